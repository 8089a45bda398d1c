// Writing GGUF: the header from what was announced, then the data, tensor by tensor.
#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/byte_reader.h"
#include "formats/gguf_bytes.h"
#include "formats/output_file.h"
#include "tallow/error.h"
#include "tallow/gguf.h"

namespace tallow {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMostAlignment = 1 << 20;  // what the reader takes

template <class T>
void append(std::string& out, T value, bool big_endian = false) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof raw);
  if (big_endian) std::ranges::reverse(raw);
  out.append(raw, sizeof raw);
}

void append_text(std::string& out, std::string_view text, bool big_endian = false) {
  append<uint64_t>(out, text.size(), big_endian);
  out += text;
}

std::string typed(GgufType type) {
  std::string out;
  append(out, static_cast<uint32_t>(type));
  return out;
}

template <class T>
std::string scalar(GgufType type, T value) {
  std::string out = typed(type);
  append(out, value);
  return out;
}

std::string array_head(GgufType type, uint64_t count) {
  std::string out = typed(GgufType::array) + typed(type);
  append(out, count);
  return out;
}

template <class T>
std::string array(GgufType type, std::span<const T> values) {
  std::string out = array_head(type, values.size());
  out += as_text(std::as_bytes(values));
  return out;
}

/// A typed value with the bytes of its numbers turned around.
std::string turned(std::string value) {
  auto* at = reinterpret_cast<std::byte*>(value.data());
  const auto turn = [&](size_t width) {
    std::reverse(at, at + width);
    at += width;
  };
  auto type = GgufType{load<uint32_t>(at)};
  turn(4);
  uint64_t count = 1;
  if (type == GgufType::array) {
    type = GgufType{load<uint32_t>(at)};
    turn(4);
    count = load<uint64_t>(at);
    turn(8);
  }
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t text = type == GgufType::string ? load<uint64_t>(at) : 0;
    turn(bytes_of(type));
    at += text;
  }
  return value;
}

}  // namespace

void GgufMetadata::put(std::string_view key, std::string value) {
  if (key.empty()) fail("GGUF metadata: a key is empty");
  const auto [found, is_new] = keys_.emplace(key, entries_.size());
  if (is_new) entries_.push_back({std::string(key), {}});
  entries_[found->second].value = std::move(value);
}

void GgufMetadata::set(const GgufValue& value) {
  std::string bytes = value.is_array ? array_head(value.type, value.count) : typed(value.type);
  bytes += as_text(value.data);
  put(value.key, std::move(bytes));
}

void GgufMetadata::set_string(std::string_view key, std::string_view value) {
  std::string bytes = typed(GgufType::string);
  append_text(bytes, value);
  put(key, std::move(bytes));
}
void GgufMetadata::set_boolean(std::string_view key, bool value) {
  put(key, scalar(GgufType::boolean, static_cast<uint8_t>(value)));
}
void GgufMetadata::set_u32(std::string_view key, uint32_t value) {
  put(key, scalar(GgufType::u32, value));
}
void GgufMetadata::set_i32(std::string_view key, int32_t value) {
  put(key, scalar(GgufType::i32, value));
}
void GgufMetadata::set_u64(std::string_view key, uint64_t value) {
  put(key, scalar(GgufType::u64, value));
}
void GgufMetadata::set_i64(std::string_view key, int64_t value) {
  put(key, scalar(GgufType::i64, value));
}
void GgufMetadata::set_f32(std::string_view key, float value) {
  put(key, scalar(GgufType::f32, value));
}
void GgufMetadata::set_f64(std::string_view key, double value) {
  put(key, scalar(GgufType::f64, value));
}
void GgufMetadata::set_floats(std::string_view key, std::span<const float> values) {
  put(key, array(GgufType::f32, values));
}
void GgufMetadata::set_integers(std::string_view key, std::span<const int32_t> values) {
  put(key, array(GgufType::i32, values));
}
void GgufMetadata::set_strings(std::string_view key, std::span<const std::string> values) {
  std::string bytes = array_head(GgufType::string, values.size());
  for (const std::string& value : values) append_text(bytes, value);
  put(key, std::move(bytes));
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = keys_.find(std::string(key));
  if (found == keys_.end()) return;
  const size_t place = found->second;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(place));
  keys_.erase(found);
  for (auto& [name, index] : keys_) index -= index > place;
}

uint64_t GgufMetadata::alignment(const std::string& what) const {
  const auto found = keys_.find("general.alignment");
  if (found == keys_.end()) return kDefaultAlignment;
  const std::string& value = entries_[found->second].value;
  uint32_t alignment = 0;
  if (value.size() == 8) std::memcpy(&alignment, value.data() + 4, 4);
  if (!std::has_single_bit(alignment) || alignment > kMostAlignment) {
    fail(what, ": metadata \"general.alignment\": is not a power of two up to ", kMostAlignment);
  }
  return alignment;
}

std::string GgufMetadata::header(uint64_t tensors, bool big_endian) const {
  std::string out = "GGUF";
  append(out, kVersion, big_endian);
  append(out, tensors, big_endian);
  append<uint64_t>(out, entries_.size(), big_endian);
  for (const Entry& entry : entries_) {
    append_text(out, entry.key, big_endian);
    out += big_endian ? turned(entry.value) : entry.value;
  }
  return out;
}

std::shared_ptr<const GgufFile> GgufMetadata::as_file(std::string what) const {
  const std::string bytes = header(0);
  return GgufFile::from_memory(std::as_bytes(std::span(bytes)), std::move(what));
}

GgufWriter::GgufWriter(const std::string& path, bool big_endian)
    : file_(std::make_unique<OutputFile>(path)), path_(path), big_endian_(big_endian) {}
GgufWriter::~GgufWriter() = default;

GgufMetadata& GgufWriter::metadata() {
  if (header_done_)
    fail(path_, ": metadata is written before any data, and cannot change after it");
  return metadata_;
}

void GgufWriter::add_tensor(std::string_view name, const Shape& shape, DType dtype) {
  const std::string what = str(path_, ": tensor ", quoted(name), ": ");
  if (header_done_) fail(what, "announced after data was written");
  const DTypeInfo& row = info(dtype);
  if (row.gguf < 0) fail(what, "GGUF has no ", row.name, "; convert it to another dtype");
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size == 0) fail(what, "GGUF has no tensors without elements (", shape, "); leave it out");
    if (__builtin_mul_overflow(elements, size, &elements)) fail(what, shape, " overflows 64 bits");
  }
  if ((shape.empty() ? 1 : shape.back()) % row.block != 0) {
    fail(what, "its rows of ", shape.empty() ? 1 : shape.back(), " elements are not whole ",
         row.name, " blocks of ", row.block);
  }
  if (!names_.emplace(name, tensors_.size()).second) fail(what, "the name occurs twice");
  tensors_.push_back({std::string(name), shape, dtype, storage_bytes(dtype, elements)});
}

void GgufWriter::write_header() {
  header_done_ = true;
  alignment_ = metadata_.alignment(path_);
  std::string out = metadata_.header(tensors_.size(), big_endian_);
  uint64_t offset = 0;
  for (const Planned& t : tensors_) {
    append_text(out, t.name, big_endian_);
    append(out, static_cast<uint32_t>(t.shape.size()), big_endian_);
    for (int d = t.shape.size() - 1; d >= 0; --d) append<int64_t>(out, t.shape[d], big_endian_);
    append(out, static_cast<uint32_t>(info(t.dtype).gguf), big_endian_);
    append(out, offset, big_endian_);
    offset += (static_cast<uint64_t>(t.bytes) + alignment_ - 1) / alignment_ * alignment_;
  }
  file_->write(out.data(), out.size());
  at_ = out.size();
  pad_to_alignment();
}

void GgufWriter::pad_to_alignment() {
  const std::string zeros((alignment_ - at_ % alignment_) % alignment_, '\0');
  file_->write(zeros.data(), zeros.size());
  at_ += zeros.size();
}

const GgufWriter::Planned& GgufWriter::next(const char* what) const {
  if (current_ == tensors_.size()) fail(path_, ": ", what, " past the announced tensors");
  return tensors_[current_];
}

void GgufWriter::write(const Tensor& tensor) {
  const Planned& t = next("a tensor");
  if (written_ != 0 || tensor.dtype() != t.dtype || tensor.shape() != t.shape) {
    fail(path_, ": tensor ", quoted(t.name), ": announced as ", t.dtype, " ", t.shape, ", given ",
         tensor.dtype(), " ", tensor.shape(), written_ != 0 ? " after a part of its bytes" : "");
  }
  const Tensor data = tensor.contiguous();
  write({static_cast<const std::byte*>(data.raw()), static_cast<size_t>(data.nbytes())});
}

void GgufWriter::write_turned(DType dtype, std::span<const std::byte> bytes) {
  const auto step = static_cast<size_t>(info(dtype).bytes);
  if (bytes.size() % step != 0) {
    fail(path_, ": ", bytes.size(), " bytes are no whole blocks of ", dtype);
  }
  const size_t most = (size_t{1} << 20) / step * step;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(most, bytes.size()));
    std::vector<std::byte> copy(part.begin(), part.end());
    turn_elements(dtype, copy.data(), std::ssize(copy));
    file_->write(copy.data(), copy.size());
    bytes = bytes.subspan(part.size());
  }
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  const Planned& t = next("data");
  if (static_cast<uint64_t>(t.bytes - written_) < bytes.size()) {
    fail(path_, ": tensor ", quoted(t.name), ": ", bytes.size(), " bytes where ",
         t.bytes - written_, " are left of it");
  }
  if (!header_done_) write_header();
  if (big_endian_) {
    write_turned(t.dtype, bytes);
  } else {
    file_->write(bytes.data(), bytes.size());
  }
  at_ += bytes.size();
  written_ += static_cast<int64_t>(bytes.size());
  if (written_ < t.bytes) return;
  pad_to_alignment();
  ++current_;
  written_ = 0;
}

void GgufWriter::finish() {
  if (!header_done_) write_header();
  if (current_ != tensors_.size()) {
    fail(path_, ": tensor ", quoted(tensors_[current_].name), ": its data was not written");
  }
  file_->commit();
}

}  // namespace tallow
