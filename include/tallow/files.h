// One call per direction for every file of tensors: what a file is, its content says; what it
// becomes, its name.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tallow/tensor_file.h"

namespace tallow {

/// An opened file or folder of tensors. Nothing of their data is read yet.
struct TensorFiles {
  std::string format;  ///< "safetensors", "GGUF v3", "pytorch", "npz", "npy"
  std::shared_ptr<const WeightSource> source;
  std::vector<std::shared_ptr<const TensorFile>> files;  ///< of a folder, its shards
  /// The texts of a safetensors header, of the first file that has the key.
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Opens safetensors, GGUF, PyTorch's files, .npz, .npy; a folder of safetensors or of PyTorch's
/// .bin files, or the index.json of one. Throws Error.
TensorFiles open_tensors(const std::string& path);

/// All tensors of a file or folder, in the file's order, over the mapped file; block dtypes are as
/// they are, and .to(DType::f32) dequantizes. Throws Error.
NamedTensors load_file(const std::string& path);

using FileMetadata = std::vector<std::pair<std::string, std::string>>;

struct SaveOptions {
  FileMetadata metadata;        ///< of .safetensors and .gguf, which alone have such
  int64_t max_shard_bytes = 0;  ///< of each file in a folder; 0 for one file
  bool compressed = false;      ///< of .npz
  bool big_endian = false;      ///< of .gguf
  WriteProgress progress;
};

/// The ending of a path, in lower case, that says which format save_file writes: ".gguf"; empty
/// where it says none.
std::string format_suffix(const std::string& path);

/// Writes .safetensors, .gguf, .pth, .pt, .bin, .npz or .npy (of one tensor), as the name ends; or
/// into a folder, as model.safetensors or as shards with model.safetensors.index.json. A file is
/// replaced as a whole, or left as it was when writing fails. Throws Error.
void save_file(const NamedTensors& tensors, const std::string& path,
               const SaveOptions& options = {});

/// The same, one tensor at a time; each is made once, in an order that the format chooses.
void save_file(const std::vector<PlannedTensor>& tensors, const std::string& path,
               const SaveOptions& options = {});

}  // namespace tallow
