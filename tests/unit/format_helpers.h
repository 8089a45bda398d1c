// Small files made by hand, and the damage that is done to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "tallow/error.h"

namespace format_helpers {

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// A file's bytes, appended little-endian.
class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof raw);
    text.append(raw, sizeof raw);
    return *this;
  }
  Bytes& raw(std::string_view s) {
    text += s;
    return *this;
  }
  /// A GGUF string.
  Bytes& string(std::string_view s) { return put<uint64_t>(s.size()).raw(s); }
  Bytes& pad(size_t alignment, char fill = '\0') {
    text.append((alignment - text.size() % alignment) % alignment, fill);
    return *this;
  }
  std::string text;
};

/// The message of the Error that `run` throws; empty when it throws none.
inline std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const tallow::Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

using Open = std::function<void(std::string_view bytes)>;

/// Every shorter file must give a one-line error that begins with the file's name, "t".
inline void check_prefixes(const std::string& file, const Open& open) {
  for (size_t n = 0; n < file.size(); ++n) {
    CAPTURE(n);
    const std::string message = error_of([&] { open(std::string_view(file).substr(0, n)); });
    REQUIRE(message.substr(0, 3) == "t: ");
    REQUIRE(message.find('\n') == message.npos);
  }
}

/// Every single flipped bit must give such an error or a file that can be read.
inline void check_bit_flips(const std::string& file, const Open& open) {
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    CAPTURE(bit);
    const std::string message = error_of([&] { open(damaged); });
    REQUIRE((message.empty() || message.substr(0, 3) == "t: "));
    REQUIRE(message.find('\n') == message.npos);
  }
}

}  // namespace format_helpers
