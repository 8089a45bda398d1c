// A cursor over a file's bytes that checks every read. Its errors read
// `file: field: offset N: reason`.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "tallow/error.h"
#include "tallow/json.h"

namespace tallow {

static_assert(std::endian::native == std::endian::little, "files are read as they are in memory");

/// `text` in quotes, escaped to one line and cut to a readable length, for messages.
inline std::string quoted(std::string_view text) {
  constexpr size_t kLongest = 120;
  std::string out;
  append_json_string(out, text.substr(0, kLongest));
  if (text.size() > kLongest) out += "...";
  return out;
}

class ByteReader {
 public:
  /// Begins at `offset`, which must be in the bytes.
  ByteReader(std::span<const std::byte> bytes, const std::string& file, uint64_t offset = 0)
      : bytes_(bytes), file_(&file), offset_(std::min<uint64_t>(offset, bytes.size())) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  /// Goes back to an offset that was passed.
  void seek(uint64_t offset) { offset_ = offset; }

  /// Whether numbers stand with their highest byte first.
  void set_big_endian(bool value) { big_endian_ = value; }

  template <class T>
  T read(std::string_view field) {
    const auto from = take(sizeof(T), field);
    std::byte bytes[sizeof(T)];
    for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = from[big_endian_ ? sizeof(T) - 1 - i : i];
    return std::bit_cast<T>(bytes);
  }

  std::span<const std::byte> take(uint64_t n, std::string_view field) {
    if (n > remaining()) {
      fail_at(field, "needs ", n, " bytes, but ", remaining(), " are left; the file is truncated ",
              "or damaged");
    }
    const auto part = bytes_.subspan(offset_, n);
    offset_ += n;
    return part;
  }

  /// `n` elements of at least `bytes_each` bytes must fit into what is left of the file.
  void check_count(uint64_t n, uint64_t bytes_each, std::string_view field) const {
    if (n > remaining() / bytes_each) {
      fail_at(field, n, " of them cannot be in the ", remaining(), " bytes left; the file is ",
              "truncated or damaged");
    }
  }

  template <class... T>
  [[noreturn]] void fail_at(std::string_view field, const T&... reason) const {
    fail(*file_, ": ", field, ": offset ", offset_, ": ", reason...);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string* file_;
  uint64_t offset_;
  bool big_endian_ = false;
};

/// The text of bytes.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace tallow
