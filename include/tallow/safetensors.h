// safetensors files and sharded sets of them: mapped tensors, fully checked headers.
// Format: https://huggingface.co/docs/safetensors
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tallow/tensor_file.h"

namespace tallow {

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
  Metadata metadata_;
};

/// The safetensors of a folder: model.safetensors, or the shards that
/// model.safetensors.index.json names.
class SafetensorsFolder final : public WeightSource {
 public:
  /// Throws Error for a missing shard, a tensor that is in two shards, and a listed tensor that its
  /// shard lacks.
  static std::shared_ptr<const SafetensorsFolder> open(const std::string& folder);

  const std::string& path() const override { return path_; }
  std::vector<std::string> names() const override;
  bool contains(std::string_view name) const override { return index_.contains(name); }
  Tensor get(std::string_view name) const override;
  const std::vector<std::shared_ptr<const SafetensorsFile>>& files() const { return files_; }

 private:
  void add(const std::shared_ptr<const SafetensorsFile>& file);

  std::string path_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::unordered_map<std::string_view, const SafetensorsFile*> index_;
};

}  // namespace tallow
