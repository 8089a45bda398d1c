// What torch.save writes: .pth, .pt and .bin files, in the zip form, the older stream of pickles,
// and TorchScript's archives. Pickles are read, never run.
// Format: https://docs.pytorch.org/docs/stable/notes/serialization.html
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tallow/object.h"
#include "tallow/tensor_file.h"

namespace tallow {

/// An opened file of PyTorch. Its tensors are named by their way through nested containers,
/// "model.layers.0.weight" or "optimizer.state.3.exp_avg"; those of TorchScript's constants are
/// "CONSTANTS.c0". They share memory where they shared it when they were saved, keep their strides,
/// and lie over the mapped file where it has aligned them.
class PytorchFile final : public TensorFile {
 public:
  /// Throws Error, `file: field: offset N: reason`, for what is no sound file of tensors and plain
  /// containers; for a class or function that is neither, with its name.
  static std::shared_ptr<const PytorchFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const PytorchFile> from_memory(std::span<const std::byte> bytes,
                                                        std::string what);
  /// Everything that the file holds, as torch.load gives it.
  const Object& root() const { return root_; }

 private:
  using TensorFile::TensorFile;
  friend class PytorchParser;
  static std::shared_ptr<const PytorchFile> parse(std::shared_ptr<const FileBytes> file);
  Tensor make(const TensorInfo& tensor) const override;
  Object root_;
  std::vector<std::pair<std::string, Tensor>> named_;
};

/// Writes the zip form, so that torch.load reads it, with weights_only and mmap too. Tensors that
/// share memory share it in the file. A regular file is replaced as a whole, or left as it was when
/// writing fails. Throws Error for block dtypes.
void save_pytorch(const std::string& path, const Object& object);

}  // namespace tallow
