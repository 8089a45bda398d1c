// Writing safetensors: the header from what was announced, then the data, tensor by tensor; and
// folders of shards.
#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include "formats/byte_reader.h"
#include "formats/output_file.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "tallow/safetensors.h"

namespace tallow {
namespace {

constexpr size_t kHeaderAlignment = 8;
constexpr const char* kFormatKey = "format";

std::string shard_name(size_t index, size_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

/// Where each shard begins, and the end.
std::vector<size_t> divided(const std::vector<PlannedTensor>& tensors, int64_t most) {
  std::vector<size_t> starts = {0};
  int64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t more = bytes_of(tensors[i]);
    if (bytes > 0 && bytes + more > most) {
      starts.push_back(i);
      bytes = 0;
    }
    bytes += more;
  }
  starts.push_back(tensors.size());
  return starts;
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
  Json::Object header;
  if (!metadata_.empty()) {
    Json::Object pairs;
    for (const auto& [key, value] : metadata_) pairs.emplace_back(key, Json(value));
    header.emplace_back("__metadata__", Json(std::move(pairs)));
  }
  int64_t offset = 0;
  for (const Planned& t : tensors_) {
    if (!names.insert(t.name).second) {
      fail(path_, ": tensor ", quoted(t.name), ": the name occurs twice");
    }
    Json::Array shape, span = {Json(offset), Json(offset + t.bytes)};
    for (const int64_t size : t.shape) shape.emplace_back(size);
    header.emplace_back(t.name, Json(Json::Object{{"dtype", Json(info(t.dtype).safetensors)},
                                                  {"shape", Json(std::move(shape))},
                                                  {"data_offsets", Json(std::move(span))}}));
    offset += t.bytes;
  }
  std::string text = Json(std::move(header)).dump();
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
  const Tensor data = tensor.contiguous();
  if (t.bytes > 0) file_->write(data.raw(), static_cast<size_t>(t.bytes));
  ++current_;
}

void SafetensorsWriter::finish() {
  if (!header_done_) write_header();
  if (current_ != tensors_.size()) {
    fail(path_, ": tensor ", quoted(tensors_[current_].name), ": its data was not written");
  }
  file_->commit();
}

std::vector<std::string> save_safetensors_folder(const std::string& folder,
                                                 std::vector<PlannedTensor> tensors,
                                                 int64_t max_shard_bytes,
                                                 const SafetensorsFile::Metadata& metadata,
                                                 const WriteProgress& progress) {
  const std::vector<size_t> starts = divided(tensors, max_shard_bytes);
  const size_t shards = starts.size() - 1;
  int64_t total = 0, done = 0, parameters = 0;
  for (const PlannedTensor& t : tensors) {
    total += bytes_of(t);
    int64_t elements = 1;
    for (const int64_t size : t.shape) elements *= size;
    parameters += elements;
  }
  SafetensorsFile::Metadata all = metadata;
  if (std::ranges::find(all, kFormatKey, &std::pair<std::string, std::string>::first) ==
      all.end()) {
    all.emplace_back(kFormatKey, "pt");  // without it transformers refuses the file
  }
  std::vector<std::string> files;
  Json::Object places;
  for (size_t shard = 0; shard < shards; ++shard) {
    files.push_back(shards == 1 ? "model.safetensors" : shard_name(shard, shards));
    const auto begin = tensors.begin() + static_cast<std::ptrdiff_t>(starts[shard]);
    const auto end = tensors.begin() + static_cast<std::ptrdiff_t>(starts[shard + 1]);
    // Wide elements first, so that all are aligned.
    std::stable_sort(begin, end, [](const PlannedTensor& a, const PlannedTensor& b) {
      return info(a.dtype).bytes > info(b.dtype).bytes;
    });
    SafetensorsWriter writer(folder + "/" + files.back(), all);
    for (auto t = begin; t != end; ++t) {
      writer.add_tensor(t->name, t->shape, t->dtype);
      places.emplace_back(t->name, Json(files.back()));
    }
    for (auto t = begin; t != end; ++t) {
      if (progress) progress(t->name, done, total);
      writer.write(t->make());
      done += bytes_of(*t);
    }
    writer.finish();
  }
  if (shards > 1) {
    std::ranges::sort(places, {}, &std::pair<std::string, Json>::first);
    const Json index(Json::Object{
        {"metadata",
         Json(Json::Object{{"total_parameters", Json(parameters)}, {"total_size", Json(total)}})},
        {"weight_map", Json(std::move(places))},
    });
    const std::string name = "model.safetensors.index.json", text = index.dump(2) + "\n";
    OutputFile file(folder + "/" + name);
    file.write(text.data(), text.size());
    file.commit();
    files.push_back(name);
  }
  return files;
}

}  // namespace tallow
