// GGUF files, versions 2 and 3, little-endian: metadata and mapped tensors.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tallow/json.h"
#include "tallow/tensor_file.h"

namespace tallow {

enum class GgufType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};
std::string to_string(GgufType type);

/// One metadata entry. An array stays as bytes in the mapped file until it is asked for.
struct GgufValue {
  std::string_view key;
  GgufType type = GgufType::u8;  ///< of the value, or of the elements of an array
  bool is_array = false;
  uint64_t count = 1;               ///< elements; 1 unless an array
  std::span<const std::byte> data;  ///< the elements as stored
};

/// An opened GGUF file. Views and spans that it returns live as long as it does. Accessors give
/// nothing for an absent key, and throw Error, naming file and key, for a value of another type.
class GgufFile final : public TensorFile {
 public:
  /// Maps and checks the whole header. Throws Error: `file: field: offset N: reason`.
  static std::shared_ptr<const GgufFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const GgufFile> from_memory(std::span<const std::byte> bytes,
                                                     std::string what);

  int version() const { return version_; }
  int64_t alignment() const { return alignment_; }
  /// In the file's order.
  const std::vector<GgufValue>& metadata() const { return metadata_; }

  const GgufValue* find_value(std::string_view key) const;
  /// Any integer type.
  std::optional<int64_t> integer(std::string_view key) const;
  /// Any number type.
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  /// Arrays; empty when the key is absent.
  std::vector<std::string_view> strings(std::string_view key) const;
  std::span<const float> floats(std::string_view key) const;
  std::span<const int32_t> integers(std::string_view key) const;

 private:
  using TensorFile::TensorFile;
  friend class GgufParser;
  static std::shared_ptr<const GgufFile> parse(std::shared_ptr<const FileBytes> file);
  [[noreturn]] void wrong_type(const GgufValue& value, const char* wanted) const;
  const GgufValue* array(std::string_view key, GgufType type) const;
  std::span<const std::byte> aligned(const GgufValue& value) const;

  int version_ = 0;
  int64_t alignment_ = 32;
  std::vector<GgufValue> metadata_;
  std::unordered_map<std::string_view, size_t> keys_;
  mutable std::mutex copies_mutex_;
  mutable std::unordered_map<const std::byte*, std::vector<std::byte>> copies_;
};

/// A metadata value as JSON. Arrays of more than `max_items` elements become
/// {"type", "count", "first"}, with the first `max_items` elements.
Json to_json(const GgufValue& value, uint64_t max_items);

}  // namespace tallow
