// Code points of UTF-8 text, with Python's rules for what is invalid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tallow {

inline constexpr char32_t kReplacement = 0xFFFD;

/// Decodes the code point at s[i] and moves i past it. An invalid sequence gives U+FFFD for its
/// longest well-formed beginning, as Python's errors="replace" does. `valid` turns false on it.
inline char32_t next_code_point(std::string_view s, size_t& i, bool* valid = nullptr) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(s[k]); };
  const unsigned char lead = byte(i++);
  if (lead < 0x80) return lead;
  int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  bool ok = lead >= 0xC2 && lead <= 0xF4;
  char32_t code = lead & (0x3F >> more);
  for (; ok && more > 0; --more) {
    ok = i < s.size() && byte(i) >= low && byte(i) <= high;
    if (ok) code = (code << 6) | (byte(i++) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  if (ok) return code;
  if (valid) *valid = false;
  return kReplacement;
}

inline void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t v) { out += static_cast<char>(v); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      put(0xE0 | (c >> 12));
    } else {
      put(0xF0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3F));
    }
    put(0x80 | ((c >> 6) & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

/// The number of code points; invalid bytes count as one each where next_code_point says so.
inline size_t count_code_points(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); ++n) next_code_point(s, i);
  return n;
}

}  // namespace tallow
