// Writing safetensors: the header from what was announced, then the data, tensor by tensor; and
// folders of shards.
#include <algorithm>
#include <cstdio>
#include <span>
#include <unordered_set>

#include <dirent.h>
#include <unistd.h>

#include "formats/byte_reader.h"
#include "formats/output_file.h"
#include "formats/tensor_bytes.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "tallow/safetensors.h"

namespace tallow {
namespace {

constexpr size_t kHeaderAlignment = 8;
constexpr const char* kFormatKey = "format";
constexpr const char* kIndexName = "model.safetensors.index.json";

std::string shard_name(size_t index, size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

/// The package orders data by the dtype's place in this list, the last first, and then by name.
constexpr DType kOrder[] = {
    DType::boolean,     DType::f4_e2m1, DType::f6_e2m3, DType::f6_e3m2, DType::u8,
    DType::i8,          DType::f8_e5m2, DType::f8_e4m3, DType::f8_e8m0, DType::f8_e4m3fnuz,
    DType::f8_e5m2fnuz, DType::i16,     DType::u16,     DType::f16,     DType::bf16,
    DType::i32,         DType::u32,     DType::f32,     DType::c64,     DType::f64,
    DType::i64,         DType::u64,
};

size_t rank(DType dtype) {
  return static_cast<size_t>(std::find(std::begin(kOrder), std::end(kOrder), dtype) - kOrder);
}

/// Wide elements first, so that all are aligned.
void sort_as_package(std::span<PlannedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const PlannedTensor& a, const PlannedTensor& b) {
    const size_t x = rank(a.dtype), y = rank(b.dtype);
    return x != y ? x > y : a.name < b.name;
  });
}

using Shards = std::vector<std::vector<PlannedTensor>>;

/// As huggingface_hub divides: in order, a new shard where the next tensor would not fit; one that
/// never fits has its own, and the shard at hand goes on.
Shards divided(std::vector<PlannedTensor> tensors, int64_t most) {
  Shards shards;
  std::vector<PlannedTensor> current;
  int64_t bytes = 0;
  const auto end_shard = [&] {
    if (!current.empty()) shards.push_back(std::exchange(current, {}));
    bytes = 0;
  };
  for (PlannedTensor& tensor : tensors) {
    const int64_t more = bytes_of(tensor);
    if (more > most) {
      shards.emplace_back().push_back(std::move(tensor));
      continue;
    }
    if (more > most - bytes) end_shard();
    current.push_back(std::move(tensor));
    bytes += more;
  }
  end_shard();
  if (shards.empty()) shards.emplace_back();
  return shards;
}

/// Tells of progress over all files of one write.
class Progress {
 public:
  Progress(const std::vector<PlannedTensor>& tensors, const WriteProgress& tell) : tell_(tell) {
    for (const PlannedTensor& t : tensors) total_ += bytes_of(t);
  }
  void begin(const PlannedTensor& tensor) {
    if (tell_) tell_(tensor.name, done_, total_);
    done_ += bytes_of(tensor);
  }
  int64_t total() const { return total_; }

 private:
  const WriteProgress& tell_;
  int64_t done_ = 0, total_ = 0;
};

void write_all(SafetensorsWriter& writer, std::span<PlannedTensor> tensors, Progress& progress) {
  sort_as_package(tensors);
  for (const PlannedTensor& t : tensors) writer.add_tensor(t.name, t.shape, t.dtype);
  for (const PlannedTensor& t : tensors) {
    progress.begin(t);
    writer.write(t.make());
  }
}

/// As transformers writes it.
std::string index_text(const Shards& shards, const std::vector<std::string>& files, int64_t total) {
  Json::Object places;
  int64_t parameters = 0;
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    for (const PlannedTensor& t : shards[shard]) {
      places.emplace_back(t.name, Json(files[shard]));
      parameters += t.shape.numel();
    }
  }
  std::ranges::sort(places, {}, &std::pair<std::string, Json>::first);
  const Json index(Json::Object{
      {"metadata",
       Json(Json::Object{{"total_parameters", Json(parameters)}, {"total_size", Json(total)}})},
      {"weight_map", Json(std::move(places))},
  });
  return index.dump(2) + "\n";
}

/// Removes the files of an earlier model, of which a shard of the same name may be left.
void remove_others(const std::string& folder, const std::vector<std::string>& kept) {
  DIR* directory = ::opendir(folder.c_str());
  if (!directory) return;
  std::vector<std::string> old;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    const bool shard = name.starts_with("model-") && name.ends_with(".safetensors") &&
                       name.find("-of-") != name.npos;
    const bool of_model = shard || name == "model.safetensors" || name == kIndexName;
    if (of_model && std::ranges::find(kept, name) == kept.end()) old.push_back(name);
  }
  ::closedir(directory);
  for (const std::string& name : old) ::unlink((folder + "/" + name).c_str());
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, SafetensorsFile::Metadata metadata)
    : file_(std::make_unique<OutputFile>(path)), path_(path), metadata_(std::move(metadata)) {}
SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::add_tensor(const std::string& name, const Shape& shape, DType dtype) {
  const std::string what = str(path_, ": tensor ", quoted(name), ": ");
  if (header_done_) fail(what, "announced after data was written");
  if (!info(dtype).safetensors) {
    fail(what, "safetensors has no ", dtype, "; convert it to another dtype");
  }
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) fail(what, shape, " overflows 64 bits");
  }
  tensors_.push_back({name, shape, dtype, storage_bytes(dtype, elements)});
}

void SafetensorsWriter::write_header() {
  header_done_ = true;
  std::unordered_set<std::string_view> names = {"__metadata__"};
  std::string text = "{";
  const auto append_key = [](std::string& out, const std::string& key) {
    if (out.back() != '{') out += ',';
    append_json_string(out, key);
    out += ':';
  };
  if (!metadata_.empty()) {
    append_key(text, "__metadata__");
    text += '{';
    for (const auto& [key, value] : metadata_) {
      append_key(text, key);
      append_json_string(text, value);
    }
    text += '}';
  }
  int64_t offset = 0;
  for (const Planned& t : tensors_) {
    if (!names.insert(t.name).second) {
      fail(path_, ": tensor ", quoted(t.name), ": the name occurs twice");
    }
    append_key(text, t.name);
    text += str("{\"dtype\":\"", info(t.dtype).safetensors, "\",\"shape\":[");
    for (int d = 0; d < t.shape.size(); ++d) text += str(d > 0 ? "," : "", t.shape[d]);
    text += str("],\"data_offsets\":[", offset, ",", offset + t.bytes, "]}");
    offset += t.bytes;
  }
  text += '}';
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  const uint64_t size = text.size();
  file_->write(&size, sizeof size);
  file_->write(text.data(), text.size());
}

void SafetensorsWriter::write(const Tensor& tensor) {
  if (current_ == tensors_.size()) fail(path_, ": a tensor past the announced ones");
  const Planned& t = tensors_[current_];
  if (tensor.dtype() != t.dtype || tensor.shape() != t.shape) {
    fail(path_, ": tensor ", quoted(t.name), ": announced as ", t.dtype, " ", t.shape, ", given ",
         tensor.dtype(), " ", tensor.shape());
  }
  if (!header_done_) write_header();
  give_bytes(tensor, [&](ByteSpan bytes) { file_->write(bytes.data(), bytes.size()); });
  ++current_;
}

void SafetensorsWriter::finish() {
  if (!header_done_) write_header();
  if (current_ != tensors_.size()) {
    fail(path_, ": tensor ", quoted(tensors_[current_].name), ": its data was not written");
  }
  file_->commit();
}

void save_safetensors(const std::string& path, std::vector<PlannedTensor> tensors,
                      const SafetensorsFile::Metadata& metadata, const WriteProgress& progress) {
  Progress told(tensors, progress);
  SafetensorsWriter writer(path, metadata);
  write_all(writer, tensors, told);
  writer.finish();
}

std::vector<std::string> save_safetensors_folder(const std::string& folder,
                                                 std::vector<PlannedTensor> tensors,
                                                 int64_t max_shard_bytes,
                                                 const SafetensorsFile::Metadata& metadata,
                                                 const WriteProgress& progress) {
  Progress told(tensors, progress);
  Shards shards = divided(std::move(tensors), max_shard_bytes);
  SafetensorsFile::Metadata all = metadata;
  if (std::ranges::find(all, kFormatKey, &std::pair<std::string, std::string>::first) ==
      all.end()) {
    all.emplace_back(kFormatKey, "pt");  // without it transformers refuses the file
  }
  std::vector<std::string> files;
  std::vector<std::unique_ptr<SafetensorsWriter>> writers;
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    files.push_back(shards.size() == 1 ? "model.safetensors" : shard_name(shard, shards.size()));
    writers.push_back(std::make_unique<SafetensorsWriter>(folder + "/" + files.back(), all));
    write_all(*writers.back(), shards[shard], told);
  }
  // All are written before the first takes its place, and the index comes last.
  for (const auto& writer : writers) writer->finish();
  if (shards.size() > 1) {
    const std::string text = index_text(shards, files, told.total());
    OutputFile file(folder + "/" + kIndexName);
    file.write(text.data(), text.size());
    file.commit();
    files.push_back(kIndexName);
  }
  remove_others(folder, files);
  return files;
}

}  // namespace tallow
