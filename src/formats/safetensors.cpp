// safetensors: the header against the data, and sets of shards.
#include "tallow/safetensors.h"

#include <algorithm>
#include <map>

#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/safetensors_header.h"
#include "tallow/error.h"
#include "tallow/json.h"

namespace tallow {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the safetensors library has it

/// Bits of an element of the format's types that tallow lacks, so that their sizes are checked.
struct ForeignType {
  const char* name;
  int64_t bits;
};
constexpr ForeignType kForeignTypes[] = {
    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"C64", 64},
};

/// Bits of an element; 0 for a type that is not known.
int64_t bits_of(const SafetensorsEntry& entry, std::optional<DType> dtype) {
  if (dtype) return info(*dtype).bytes * 8;
  for (const ForeignType& t : kForeignTypes) {
    if (entry.dtype == t.name) return t.bits;
  }
  return 0;
}

TensorInfo checked_entry(const SafetensorsEntry& entry, uint64_t data_start, uint64_t data_bytes,
                         const std::string& path) {
  const auto bad = [&](const auto&... reason) {
    fail(path, ": tensor ", quoted(entry.name), ": offset ", data_start + entry.begin, ": ",
         reason...);
  };
  TensorInfo t;
  t.name = entry.name;
  t.shape = entry.shape;
  t.dtype = dtype_from_safetensors(entry.dtype);
  t.type = t.dtype ? info(*t.dtype).name : quoted(entry.dtype);
  if (entry.end > data_bytes) {
    bad("its data ends at ", entry.end, " of ", data_bytes,
        " bytes; the file is truncated or damaged");
  }
  t.offset = static_cast<int64_t>(data_start + entry.begin);
  t.bytes = static_cast<int64_t>(entry.end - entry.begin);
  const int64_t bits_each = bits_of(entry, t.dtype);
  int64_t bits = bits_each;
  for (const int64_t size : t.shape) {
    if (__builtin_mul_overflow(bits, size, &bits)) {
      bad("the product of its shape ", t.shape, " overflows 64 bits");
    }
  }
  if (bits_each > 0 && (bits % 8 != 0 || bits / 8 != t.bytes)) {
    bad(t.type, " ", t.shape, " takes ", bits / 8, " bytes, but data_offsets span ", t.bytes);
  }
  return t;
}

/// The data must be one run without gaps or overlaps, from the header to the end of the file.
void check_coverage(const std::vector<TensorInfo>& tensors, uint64_t data_start, uint64_t file_size,
                    const std::string& path) {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const TensorInfo& t : tensors) sorted.push_back(&t);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  auto next = static_cast<int64_t>(data_start);
  for (const TensorInfo* t : sorted) {
    if (t->offset != next) {
      fail(path, ": tensor ", quoted(t->name), ": offset ", t->offset, ": its data ",
           t->offset < next ? "overlaps other data" : "leaves a gap",
           "; the data before it ends at ", next);
    }
    next += t->bytes;
  }
  if (static_cast<uint64_t>(next) != file_size) {
    fail(path, ": data: offset ", next, ": ", file_size - static_cast<uint64_t>(next),
         " bytes belong to no tensor; the file is damaged");
  }
}

/// A shard's name must not lead out of its folder.
void check_shard_name(const std::string& name, const std::string& index) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
      name.find('\\') != name.npos || name.find('\0') != name.npos) {
    fail(index, ": weight_map: the shard ", quoted(name), " is not the name of a file beside it");
  }
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::parse(
    std::shared_ptr<const FileBytes> file) {
  const std::string& path = file->path();
  const uint64_t size = file->bytes().size();
  if (size == 0) fail(path, ": the file is empty");
  ByteReader reader(file->bytes(), path);
  const auto header_bytes = reader.read<uint64_t>("header length");
  if (header_bytes > kMaxHeaderBytes) {
    reader.fail_at("header length", header_bytes, " bytes, more than the format's limit of ",
                   kMaxHeaderBytes, "; this is not a safetensors file, or it is damaged");
  }
  const auto text = as_text(reader.take(header_bytes, "header"));
  SafetensorsHeader header = parse_safetensors_header(text, path);
  std::vector<TensorInfo> tensors;
  tensors.reserve(header.tensors.size());
  for (const SafetensorsEntry& entry : header.tensors) {
    tensors.push_back(checked_entry(entry, reader.offset(), reader.remaining(), path));
  }
  std::shared_ptr<SafetensorsFile> result(new SafetensorsFile(std::move(file)));
  result->metadata_ = std::move(header.metadata);
  result->set_tensors(std::move(tensors));
  check_coverage(result->tensors(), reader.offset(), size, result->path());
  return result;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  return parse(FileBytes::open(path));
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::from_memory(
    std::span<const std::byte> bytes, std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

void SafetensorsFolder::add(const std::shared_ptr<const SafetensorsFile>& file) {
  for (const TensorInfo& t : file->tensors()) {
    const auto [old, added] = index_.emplace(t.name, file.get());
    if (!added) {
      fail(path_, ": tensor ", quoted(t.name), " is in two shards: ", old->second->path(), " and ",
           file->path());
    }
  }
  files_.push_back(file);
}

std::shared_ptr<const SafetensorsFolder> SafetensorsFolder::open(const std::string& folder) {
  std::shared_ptr<SafetensorsFolder> result(new SafetensorsFolder);
  result->path_ = folder;
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  if (file_exists(single)) {
    result->add(SafetensorsFile::open(single));
    return result;
  }
  if (!file_exists(index)) {
    fail(folder, ": holds neither model.safetensors nor model.safetensors.index.json; ",
         "save the model with save_pretrained");
  }
  const Json json = Json::read(index);
  const Json* map = json.find("weight_map");
  if (!map || !map->is_object()) fail(index, ": weight_map: is missing or not an object");

  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [name, shard] : map->members()) {
    if (!shard.is_string()) {
      fail(index, ": weight_map: the shard of ", quoted(name), " is not a string");
    }
    const SafetensorsFile*& file = shards[shard.string()];
    if (!file) {
      check_shard_name(shard.string(), index);
      const std::string path = folder + "/" + shard.string();
      if (!file_exists(path)) {
        fail(index, ": the shard ", quoted(shard.string()), " is missing; download it again");
      }
      result->add(SafetensorsFile::open(path));
      file = result->files_.back().get();
    }
    if (!file->contains(name)) {
      fail(index, ": tensor ", quoted(name), " is not in its shard ", file->path());
    }
  }
  return result;
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  names.reserve(index_.size());
  for (const auto& file : files_) {
    for (const TensorInfo& t : file->tensors()) names.push_back(t.name);
  }
  return names;
}

Tensor SafetensorsFolder::get(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(path_, ": tensor ", quoted(name), " is not in the folder");
  return found->second->get(name);
}

}  // namespace tallow
