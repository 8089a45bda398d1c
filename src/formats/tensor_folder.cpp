#include "tallow/tensor_folder.h"

#include <map>

#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/pytorch.h"
#include "tallow/safetensors.h"

namespace tallow {
namespace {

/// What save_pretrained of transformers and diffusers, and of older transformers, write.
constexpr const char* kFiles[] = {"model.safetensors", "diffusion_pytorch_model.safetensors",
                                  "pytorch_model.bin", "diffusion_pytorch_model.bin"};

bool is_safetensors(std::string_view name) { return name.ends_with(".safetensors"); }

std::shared_ptr<const TensorFile> open_file(const std::string& path) {
  if (is_safetensors(path)) return SafetensorsFile::open(path);
  return PytorchFile::open(path);
}

/// A shard's name must not lead out of its folder.
void check_shard_name(const std::string& name, const std::string& index) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
      name.find('\\') != name.npos || name.find('\0') != name.npos) {
    fail(index, ": weight_map: the shard ", quoted(name), " is not the name of a file beside it");
  }
}

}  // namespace

void TensorFolder::add(const std::shared_ptr<const TensorFile>& file) {
  for (const TensorInfo& t : file->tensors()) {
    const auto [old, added] = index_.emplace(t.name, file.get());
    if (!added) {
      fail(path_, ": tensor ", quoted(t.name), " is in two shards: ", old->second->path(), " and ",
           file->path());
    }
  }
  format_ = is_safetensors(file->path()) ? "safetensors" : "pytorch";
  files_.push_back(file);
}

std::shared_ptr<const TensorFolder> TensorFolder::open(const std::string& folder) {
  std::shared_ptr<TensorFolder> result(new TensorFolder(folder));
  for (const char* name : kFiles) {
    const std::string single = folder + "/" + name;
    if (file_exists(single)) {
      result->add(open_file(single));
      return result;
    }
    if (const std::string index = single + ".index.json"; file_exists(index)) {
      result->read_index(index);
      return result;
    }
  }
  fail(folder, ": holds neither model.safetensors nor pytorch_model.bin, nor the index.json of ",
       "shards; save the model with save_pretrained");
}

std::shared_ptr<const TensorFolder> TensorFolder::open_index(const std::string& index) {
  const size_t slash = index.rfind('/');
  std::shared_ptr<TensorFolder> result(
      new TensorFolder(slash == index.npos ? "." : index.substr(0, slash)));
  result->read_index(index);
  return result;
}

void TensorFolder::read_index(const std::string& index) {
  const Json json = Json::read(index);
  const Json* map = json.find("weight_map");
  if (!map || !map->is_object()) fail(index, ": weight_map: is missing or not an object");
  std::map<std::string, const TensorFile*> shards;
  for (const auto& [name, shard] : map->members()) {
    if (!shard.is_string()) {
      fail(index, ": weight_map: the shard of ", quoted(name), " is not a string");
    }
    const TensorFile*& file = shards[shard.string()];
    if (!file) {
      check_shard_name(shard.string(), index);
      const std::string path = path_ + "/" + shard.string();
      if (!file_exists(path)) {
        fail(index, ": the shard ", quoted(shard.string()), " is missing; download it again");
      }
      add(open_file(path));
      file = files_.back().get();
    }
    if (!file->contains(name)) {
      fail(index, ": tensor ", quoted(name), " is not in its shard ", file->path());
    }
  }
}

std::vector<std::string> TensorFolder::names() const {
  std::vector<std::string> names;
  names.reserve(index_.size());
  for (const auto& file : files_) {
    for (const TensorInfo& t : file->tensors()) names.push_back(t.name);
  }
  return names;
}

Tensor TensorFolder::get(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(path_, ": tensor ", quoted(name), " is not in the folder");
  return found->second->get(name);
}

}  // namespace tallow
