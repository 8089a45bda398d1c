// safetensors files: mapped tensors, fully checked headers; and their writer.
// Format: https://huggingface.co/docs/safetensors
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tallow/tensor_file.h"

namespace tallow {

class OutputFile;

class SafetensorsFile final : public TensorFile {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  /// Maps the file and checks its header against the data. Throws Error:
  /// `file: field: offset N: reason`.
  static std::shared_ptr<const SafetensorsFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const SafetensorsFile> from_memory(std::span<const std::byte> bytes,
                                                            std::string what);
  /// The header's __metadata__.
  const Metadata& metadata() const { return metadata_; }

 private:
  using TensorFile::TensorFile;
  static std::shared_ptr<const SafetensorsFile> parse(std::shared_ptr<const FileBytes> file);
  Tensor make(const TensorInfo& tensor) const override;
  Metadata metadata_;
};

/// Writes a safetensors file: first the list of its tensors, then their data in that order, so that
/// no more than one tensor need be in memory. The file takes its place when finish() is called;
/// without that nothing is left behind. Elements are aligned where wide ones come first. Throws
/// Error when it cannot be written.
class SafetensorsWriter {
 public:
  explicit SafetensorsWriter(const std::string& path, SafetensorsFile::Metadata metadata = {});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Announces a tensor, before any data is written. Throws Error for a name that occurs twice and
  /// a dtype that safetensors lacks.
  void add_tensor(const std::string& name, const Shape& shape, DType dtype);
  /// The next tensor's data; it must have the shape and dtype that were announced.
  void write(const Tensor& tensor);
  /// Puts the file in place. Throws Error when data is missing.
  void finish();

 private:
  struct Planned {
    std::string name;
    Shape shape;
    DType dtype;
    int64_t bytes;
  };
  void write_header();

  std::unique_ptr<OutputFile> file_;
  std::string path_;
  SafetensorsFile::Metadata metadata_;
  std::vector<Planned> tensors_;
  size_t current_ = 0;  // the tensor whose data comes next
  bool header_done_ = false;
};

/// Writes a file as the package safetensors does, byte for byte, one tensor in memory at a time.
void save_safetensors(const std::string& path, std::vector<PlannedTensor> tensors,
                      const SafetensorsFile::Metadata& metadata = {},
                      const WriteProgress& progress = {});

/// Writes model.safetensors; or, where that would be over `max_shard_bytes`, shards and
/// model.safetensors.index.json, as transformers does. A tensor is never divided. All files are
/// written before the first takes its place; those of an earlier model are removed. Returns the
/// names of the files. Throws Error when they cannot be written.
std::vector<std::string> save_safetensors_folder(const std::string& folder,
                                                 std::vector<PlannedTensor> tensors,
                                                 int64_t max_shard_bytes,
                                                 const SafetensorsFile::Metadata& metadata = {},
                                                 const WriteProgress& progress = {});

}  // namespace tallow
