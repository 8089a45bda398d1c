// Reading GGUF: one pass over the header checks everything; values and tensors stay in the mapping.
#include "tallow/gguf.h"

#include <algorithm>
#include <limits>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint32_t kTypes = 13;
constexpr const char* kTypeNames[kTypes] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                            "bool", "string", "array", "u64", "i64", "f64"};
/// Bytes of a value; of a string or array, the least that one takes.
constexpr uint64_t kTypeBytes[kTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMostReserved = 4096;  // entries; more are taken only as they are read

uint64_t bytes_of(GgufType type) { return kTypeBytes[static_cast<uint32_t>(type)]; }

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// The string at `at`, which moves past it. The parser has checked the lengths.
std::string_view next_string(const std::byte*& at) {
  const auto length = load<uint64_t>(at);
  const std::string_view text(reinterpret_cast<const char*>(at + 8), length);
  at += 8 + length;
  return text;
}

/// An integer of any type as i64; none for other types, and for u64 values past the range.
std::optional<int64_t> integer_at(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::u8: return load<uint8_t>(at);
    case GgufType::i8: return load<int8_t>(at);
    case GgufType::u16: return load<uint16_t>(at);
    case GgufType::i16: return load<int16_t>(at);
    case GgufType::u32: return load<uint32_t>(at);
    case GgufType::i32: return load<int32_t>(at);
    case GgufType::i64: return load<int64_t>(at);
    case GgufType::u64: {
      const auto value = load<uint64_t>(at);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

Json element_json(GgufType type, const std::byte*& at) {
  if (type == GgufType::string) return Json(next_string(at));
  const std::byte* here = at;
  at += bytes_of(type);
  if (type == GgufType::boolean) return Json(load<uint8_t>(here) != 0);
  if (type == GgufType::f32) return Json(double{load<float>(here)});
  if (type == GgufType::f64) return Json(load<double>(here));
  if (const auto value = integer_at(type, here)) return Json(*value);
  return Json(static_cast<double>(load<uint64_t>(here)));
}

}  // namespace

std::string to_string(GgufType type) { return kTypeNames[static_cast<uint32_t>(type)]; }

/// Fills a GgufFile from its bytes.
class GgufParser {
 public:
  explicit GgufParser(GgufFile& file) : file_(file), reader_(file.file().bytes(), file.path()) {}

  void run() {
    read_version();
    const auto tensors = reader_.read<uint64_t>("tensor count");
    const auto values = reader_.read<uint64_t>("metadata count");
    reader_.check_count(tensors, 24, "tensor count");
    reader_.check_count(values, 13, "metadata count");
    read_metadata(values);
    read_alignment();
    read_tensors(tensors);
  }

 private:
  void read_version();
  void read_metadata(uint64_t count);
  void read_value(GgufValue& value, const std::string& field);
  void read_alignment();
  void read_tensors(uint64_t count);
  TensorInfo read_tensor(uint64_t index);
  void place_tensors(std::vector<TensorInfo>& tensors);
  void check_overlap(const std::vector<TensorInfo>& tensors) const;
  void check_booleans(std::span<const std::byte> values, const std::string& field) const;

  std::string_view read_text(std::string_view field) {
    const auto length = reader_.read<uint64_t>(field);
    return as_text(reader_.take(length, field));
  }
  GgufType read_type(const std::string& field) {
    const auto id = reader_.read<uint32_t>(field);
    if (id >= kTypes) reader_.fail_at(field, "unknown value type ", id);
    return static_cast<GgufType>(id);
  }

  GgufFile& file_;
  ByteReader reader_;
};

void GgufParser::read_version() {
  if (reader_.remaining() == 0) fail(file_.path(), ": the file is empty");
  const auto magic = as_text(reader_.take(4, "magic"));
  if (magic != "GGUF") {
    reader_.fail_at("magic", quoted(magic), " instead of \"GGUF\"; this is not a GGUF file");
  }
  const auto version = reader_.read<uint32_t>("version");
  if (version != 0 && (version & 0xFFFF) == 0) {
    reader_.fail_at("version", "the file is big-endian; convert it with gguf-convert-endian");
  }
  if (version != 2 && version != 3) {
    reader_.fail_at("version", version, " is not supported, only 2 and 3; convert the file again");
  }
  file_.version_ = static_cast<int>(version);
}

void GgufParser::read_metadata(uint64_t count) {
  file_.metadata_.reserve(std::min(count, kMostReserved));
  for (uint64_t i = 0; i < count; ++i) {
    GgufValue value;
    value.key = read_text("metadata key");
    const std::string field = str("metadata ", quoted(value.key));
    read_value(value, field);
    if (!file_.keys_.emplace(value.key, file_.metadata_.size()).second) {
      reader_.fail_at(field, "the key occurs twice");
    }
    file_.metadata_.push_back(value);
  }
}

void GgufParser::read_value(GgufValue& value, const std::string& field) {
  value.type = read_type(field);
  if (value.type == GgufType::array) {
    value.is_array = true;
    value.type = read_type(field);
    value.count = reader_.read<uint64_t>(field);
    if (value.type == GgufType::array) {
      reader_.fail_at(field, "an array of arrays is not supported");
    }
  }
  reader_.check_count(value.count, bytes_of(value.type), field);
  if (value.type != GgufType::string) {
    value.data = reader_.take(value.count * bytes_of(value.type), field);
    if (value.type == GgufType::boolean) check_booleans(value.data, field);
    return;
  }
  const uint64_t begin = reader_.offset();
  for (uint64_t i = 0; i < value.count; ++i) read_text(field);
  value.data = file_.file().bytes().subspan(begin, reader_.offset() - begin);
}

void GgufParser::check_booleans(std::span<const std::byte> values, const std::string& field) const {
  for (const std::byte b : values) {
    if (b > std::byte{1}) {
      reader_.fail_at(field, "the boolean is ", static_cast<int>(b), " instead of 0 or 1");
    }
  }
}

void GgufParser::read_alignment() {
  const GgufValue* value = file_.find_value("general.alignment");
  if (!value) return;
  const char* field = "metadata \"general.alignment\"";
  if (value->is_array || value->type != GgufType::u32) {
    reader_.fail_at(field, "has the type ", to_string(value->type), " instead of u32");
  }
  file_.alignment_ = load<uint32_t>(value->data.data());
  if (!std::has_single_bit(static_cast<uint64_t>(file_.alignment_)) ||
      file_.alignment_ > kMaxAlignment) {
    reader_.fail_at(field, file_.alignment_, " is not a power of two up to ", kMaxAlignment);
  }
}

void GgufParser::read_tensors(uint64_t count) {
  std::vector<TensorInfo> tensors;
  tensors.reserve(std::min(count, kMostReserved));
  for (uint64_t i = 0; i < count; ++i) tensors.push_back(read_tensor(i));
  place_tensors(tensors);
  check_overlap(tensors);
  file_.set_tensors(std::move(tensors));
}

TensorInfo GgufParser::read_tensor(uint64_t index) {
  TensorInfo t;
  t.name = read_text(str("name of tensor ", index));
  const std::string field = str("tensor ", quoted(t.name));
  const auto dims = reader_.read<uint32_t>(field);
  if (dims > Shape::kMaxDims) {
    reader_.fail_at(field, dims, " dimensions, more than ", Shape::kMaxDims);
  }
  t.shape = Shape::filled(static_cast<int>(dims), 0);
  int64_t elements = 1;
  for (int d = static_cast<int>(dims) - 1; d >= 0; --d) {  // GGUF's first dimension is the last
    const auto size = reader_.read<int64_t>(field);
    if (size <= 0) reader_.fail_at(field, "the dimension ", size, " is not positive");
    if (__builtin_mul_overflow(elements, size, &elements)) {
      reader_.fail_at(field, "the product of its dimensions overflows 64 bits");
    }
    t.shape[d] = size;
  }
  const auto type = reader_.read<uint32_t>(field);
  t.dtype = dtype_from_gguf(type);
  if (!t.dtype) {
    reader_.fail_at(field, "the type id ", type, " is unknown or was removed from GGUF; ",
                    "convert the file again");
  }
  const DTypeInfo& layout = info(*t.dtype);
  t.type = layout.name;
  const int64_t row = t.shape.empty() ? 1 : t.shape.back();
  if (row % layout.block != 0) {
    reader_.fail_at(field, "its rows of ", row, " elements are not whole ", t.type, " blocks of ",
                    layout.block);
  }
  if (__builtin_mul_overflow(elements / layout.block, layout.bytes, &t.bytes)) {
    reader_.fail_at(field, "its size in bytes overflows 64 bits");
  }
  const auto offset = reader_.read<uint64_t>(field);
  if (offset % static_cast<uint64_t>(file_.alignment_) != 0) {
    reader_.fail_at(field, "its data's offset ", offset, " is not a multiple of ",
                    file_.alignment_);
  }
  if (offset > file_.file().bytes().size()) {
    reader_.fail_at(field, "its data's offset ", offset, " is past the end of the file");
  }
  t.offset = static_cast<int64_t>(offset);
  return t;
}

/// Turns offsets into the data section into offsets into the file, and checks that they are in it,
/// with the padding that ggml writes after each tensor: a file without it was cut.
void GgufParser::place_tensors(std::vector<TensorInfo>& tensors) {
  const auto size = static_cast<int64_t>(file_.file().bytes().size());
  const auto pad = [this](int64_t n) {
    return (n + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
  };
  const int64_t start = pad(static_cast<int64_t>(reader_.offset()));
  for (TensorInfo& t : tensors) {
    t.offset += start;
    if (t.offset > size || t.bytes > size - t.offset || pad(t.offset + t.bytes) > size) {
      reader_.fail_at(str("tensor ", quoted(t.name)), "its ", t.bytes, " bytes at ", t.offset,
                      ", padded to ", file_.alignment_, ", end past the file's ", size,
                      "; the file is truncated or damaged");
    }
  }
}

void GgufParser::check_overlap(const std::vector<TensorInfo>& tensors) const {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const TensorInfo& t : tensors) sorted.push_back(&t);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorInfo& before = *sorted[i - 1];
    if (before.offset + before.bytes > sorted[i]->offset) {
      reader_.fail_at(str("tensor ", quoted(sorted[i]->name)), "its data at ", sorted[i]->offset,
                      " overlaps that of ", quoted(before.name));
    }
  }
}

std::shared_ptr<const GgufFile> GgufFile::parse(std::shared_ptr<const FileBytes> file) {
  std::shared_ptr<GgufFile> result(new GgufFile(std::move(file)));
  GgufParser(*result).run();
  return result;
}

std::shared_ptr<const GgufFile> GgufFile::open(const std::string& path) {
  return parse(FileBytes::open(path));
}

std::shared_ptr<const GgufFile> GgufFile::from_memory(std::span<const std::byte> bytes,
                                                      std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

void GgufFile::wrong_type(const GgufValue& value, const char* wanted) const {
  fail(path(), ": metadata ", quoted(value.key), ": expected ", wanted, ", found ",
       value.is_array ? "an array of " : "", to_string(value.type));
}

const GgufValue* GgufFile::find_value(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &metadata_[found->second];
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (!value) return std::nullopt;
  if (value->is_array) wrong_type(*value, "an integer");
  const auto result = integer_at(value->type, value->data.data());
  if (!result) wrong_type(*value, value->type == GgufType::u64 ? "one below 2^63" : "an integer");
  return result;
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (!value) return std::nullopt;
  if (!value->is_array && value->type == GgufType::f32) return load<float>(value->data.data());
  if (!value->is_array && value->type == GgufType::f64) return load<double>(value->data.data());
  if (!value->is_array && value->type == GgufType::u64) {
    return static_cast<double>(load<uint64_t>(value->data.data()));
  }
  return static_cast<double>(*integer(key));
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (!value) return std::nullopt;
  if (value->is_array || value->type != GgufType::boolean) wrong_type(*value, "a boolean");
  return value->data[0] != std::byte{0};
}

std::optional<std::string_view> GgufFile::string(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (!value) return std::nullopt;
  if (value->is_array || value->type != GgufType::string) wrong_type(*value, "a string");
  const std::byte* at = value->data.data();
  return next_string(at);
}

const GgufValue* GgufFile::array(std::string_view key, GgufType type) const {
  const GgufValue* value = find_value(key);
  if (!value) return nullptr;
  if (!value->is_array || value->type != type) {
    wrong_type(*value, str("an array of ", to_string(type)).c_str());
  }
  return value;
}

std::vector<std::string_view> GgufFile::strings(std::string_view key) const {
  std::vector<std::string_view> result;
  const GgufValue* value = array(key, GgufType::string);
  if (!value) return result;
  result.reserve(value->count);
  const std::byte* at = value->data.data();
  for (uint64_t i = 0; i < value->count; ++i) result.push_back(next_string(at));
  return result;
}

/// Arrays follow strings of any length, so most are not aligned for their type.
std::span<const std::byte> GgufFile::aligned(const GgufValue& value) const {
  if (reinterpret_cast<uintptr_t>(value.data.data()) % bytes_of(value.type) == 0) {
    return value.data;
  }
  const std::lock_guard lock(copies_mutex_);
  auto& copy = copies_[value.data.data()];
  if (copy.empty()) copy.assign(value.data.begin(), value.data.end());
  return copy;
}

std::span<const float> GgufFile::floats(std::string_view key) const {
  const GgufValue* value = array(key, GgufType::f32);
  if (!value) return {};
  return {reinterpret_cast<const float*>(aligned(*value).data()), value->count};
}

std::span<const int32_t> GgufFile::integers(std::string_view key) const {
  const GgufValue* value = array(key, GgufType::i32);
  if (!value) return {};
  return {reinterpret_cast<const int32_t*>(aligned(*value).data()), value->count};
}

Json to_json(const GgufValue& value, uint64_t max_items) {
  const std::byte* at = value.data.data();
  if (!value.is_array) return element_json(value.type, at);
  Json::Array items;
  const uint64_t shown = std::min(value.count, max_items);
  items.reserve(shown);
  for (uint64_t i = 0; i < shown; ++i) items.push_back(element_json(value.type, at));
  if (shown == value.count) return Json(std::move(items));
  Json result;
  result.set("type", to_string(value.type));
  result.set("count", static_cast<int64_t>(value.count));
  result.set("first", Json(std::move(items)));
  return result;
}

}  // namespace tallow
