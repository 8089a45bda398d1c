// A model's folder of tensors: one file, or shards that an index names.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tallow/tensor_file.h"

namespace tallow {

/// The tensors of a folder as save_pretrained writes it: model.safetensors, or the shards that
/// model.safetensors.index.json names; else pytorch_model.bin, or its shards.
class TensorFolder final : public WeightSource {
 public:
  /// Throws Error for a missing shard, a tensor that is in two shards, and a listed tensor that its
  /// shard lacks.
  static std::shared_ptr<const TensorFolder> open(const std::string& folder);
  /// The shards that an index.json names, beside it.
  static std::shared_ptr<const TensorFolder> open_index(const std::string& index);

  const std::string& path() const override { return path_; }
  std::vector<std::string> names() const override;
  bool contains(std::string_view name) const override { return index_.contains(name); }
  Tensor get(std::string_view name) const override;
  const std::vector<std::shared_ptr<const TensorFile>>& files() const { return files_; }
  const std::string& format() const { return format_; }  ///< "safetensors" or "pytorch"

 private:
  explicit TensorFolder(std::string path) : path_(std::move(path)) {}
  void add(const std::shared_ptr<const TensorFile>& file);
  void read_index(const std::string& index);

  std::string path_, format_;
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::unordered_map<std::string_view, const TensorFile*> index_;
};

}  // namespace tallow
