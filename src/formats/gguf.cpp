// What a GGUF file says: its values by key and type, and its tensors.
#include "tallow/gguf.h"

#include <algorithm>
#include <limits>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/gguf_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

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

std::string to_string(GgufType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<uint32_t>(type)];
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

void GgufFile::will_need() const {
  TensorFile::will_need();
  for (const auto& part : parts_) part->will_need();
}

Tensor GgufFile::make(const TensorInfo& info) const {
  for (const auto& part : parts_) {
    if (part->contains(info.name)) return part->get(info.name);
  }
  if (!big_endian_) return TensorFile::make(info);
  const Tensor out = Tensor::empty(info.shape, *info.dtype);
  std::memcpy(out.raw(), file().bytes().data() + info.offset, static_cast<size_t>(info.bytes));
  turn_elements(*info.dtype, static_cast<std::byte*>(out.raw()), info.bytes);
  return out;
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
