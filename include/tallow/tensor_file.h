// A file of named tensors that is mapped into memory: the common ground of GGUF and safetensors.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tallow/tensor.h"
#include "tallow/weights.h"

namespace tallow {

class FileBytes;

/// Tensors by name, in an order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// What a file says about one of its tensors.
struct TensorInfo {
  std::string name;            ///< as the file spells it
  Shape shape;                 ///< in PyTorch's order
  std::optional<DType> dtype;  ///< none for a type that the file's format has and tallow lacks
  std::string type;            ///< the dtype's name, or the file's own where tallow lacks it
  int64_t offset = 0;          ///< bytes from the start of the file
  int64_t bytes = 0;           ///< bytes of data
};

/// Tensors of one mapped file. They keep the mapping alive. The file must not be truncated or
/// rewritten in place while it is mapped: the system answers such a read with SIGBUS. Replacing it
/// by a rename is safe. Safe to use from several threads.
class TensorFile : public WeightSource {
 public:
  ~TensorFile() override;
  const std::string& path() const override;
  std::vector<std::string> names() const override;
  bool contains(std::string_view name) const override { return find(name) != nullptr; }
  /// The tensor over the mapped bytes; a copy where they are not aligned for the dtype. The same
  /// name gives the same buffer each time. Throws Error for an absent name or unsupported type.
  Tensor get(std::string_view name) const override;

  /// In the file's order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;
  /// Asks the system to read the file ahead.
  void will_need() const;

 protected:
  explicit TensorFile(std::shared_ptr<const FileBytes> file);
  const FileBytes& file() const { return *file_; }
  /// Takes over the list of tensors. Throws Error for a name that occurs twice.
  void set_tensors(std::vector<TensorInfo> tensors);
  /// The tensor, when it is first asked for; here, over the file's bytes, row-major.
  virtual Tensor make(const TensorInfo& tensor) const;

 private:
  std::shared_ptr<const FileBytes> file_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, size_t> index_;
  mutable std::mutex mutex_;
  mutable std::vector<Tensor> opened_;  // parallel to tensors_
};

/// A tensor that is made when it is asked for, so that of many that are written one at a time is in
/// memory.
struct PlannedTensor {
  std::string name;
  Shape shape;
  DType dtype;
  std::function<Tensor()> make;  ///< gives the shape and the dtype above
};
int64_t bytes_of(const PlannedTensor& tensor);

/// Says how far a long write is: the tensor in work, and bytes done of all.
using WriteProgress = std::function<void(std::string_view name, int64_t done, int64_t total)>;

}  // namespace tallow
