// The bytes of GGUF's values, for those who read them.
#pragma once

#include <cstring>
#include <string_view>

#include "tallow/gguf.h"

namespace tallow {

inline constexpr uint32_t kGgufTypes = 13;

/// Bytes of a value; of a string or array, the least that one takes.
inline uint64_t bytes_of(GgufType type) {
  constexpr uint64_t kBytes[kGgufTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return kBytes[static_cast<uint32_t>(type)];
}

template <class T>
inline T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// The string at `at`, which moves past it. The parser has checked the lengths.
inline std::string_view next_string(const std::byte*& at) {
  const auto length = load<uint64_t>(at);
  const std::string_view text(reinterpret_cast<const char*>(at + 8), length);
  at += 8 + length;
  return text;
}

/// Turns the bytes of a tensor's numbers around, those in blocks included.
void turn_elements(DType dtype, std::byte* data, int64_t bytes);

}  // namespace tallow
