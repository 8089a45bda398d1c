// NumPy's files: .npy, one array, and .npz, an archive of such with names.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tallow/tensor_file.h"

namespace tallow {

class ZipReader;

/// Writes a tensor in C order. A regular file is replaced as a whole, or left as it was when
/// writing fails; a device or pipe is written to. Throws Error for a dtype that NumPy lacks (bf16,
/// f8, block types), and when the file cannot be written.
void save_npy(const std::string& path, const Tensor& tensor);

/// Reads versions 1 to 3, in C or Fortran order (then a strided view); the data stays mapped,
/// unless its byte order is another. Throws Error: `file: field: offset N: reason`; for text,
/// objects and structures, saying that they are.
Tensor load_npy(const std::string& path);
/// The same over a copy of `bytes`; `what` takes the place of the path.
Tensor load_npy(std::span<const std::byte> bytes, std::string what);

/// An opened .npz file. Arrays that are stored stay mapped where they are aligned; compressed ones
/// are expanded when they are asked for.
class NpzFile final : public TensorFile {
 public:
  /// Throws Error: `file: field: offset N: reason`.
  static std::shared_ptr<const NpzFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const NpzFile> from_memory(std::span<const std::byte> bytes,
                                                    std::string what);
  ~NpzFile() override;

 private:
  explicit NpzFile(std::shared_ptr<const FileBytes> file);
  Tensor make(const TensorInfo& tensor) const override;
  std::unique_ptr<const ZipReader> zip_;
};

}  // namespace tallow
