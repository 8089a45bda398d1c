// UTF-8 repair, normal forms through utf8proc, and the byte-level alphabet.
#include "text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/utf8.h"
#include "tallow/error.h"

namespace tallow::text {
namespace {

/// Moves past ASCII, eight bytes at a time.
size_t skip_ascii(std::string_view text, size_t i) {
  uint64_t eight;
  while (i + 8 <= text.size()) {
    std::memcpy(&eight, text.data() + i, 8);
    if (eight & 0x8080808080808080u) break;
    i += 8;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

/// Whether text with such a code point may change under the form. Errs on the side of true.
bool may_change(char32_t c, NormalForm form) {
  const bool nfc = form == NormalForm::nfc;
  if (c < 0x300 && nfc) return false;
  // Conjoining Jamo and precomposed Hangul are not in the tables: they are computed.
  if (c >= 0x1100 && c < 0x1200) return true;
  if (c >= 0xAC00 && c < 0xD7A4) return !nfc;
  const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  const bool decomposes = p->decomp_seqindex != UINT16_MAX && !(nfc && p->decomp_type != 0);
  const bool composes_back = p->comb_index != UINT16_MAX && p->comb_index >= 0x8000;
  return p->combining_class != 0 || decomposes || composes_back;
}

bool may_change(std::string_view text, NormalForm form) {
  for (size_t i = 0; (i = skip_ascii(text, i)) < text.size();) {
    if (may_change(next_code_point(text, i), form)) return true;
  }
  return false;
}

void append_normalized(std::string& out, std::string_view text, int options) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owned(result, std::free);
  if (n < 0) fail("tokenizer: Unicode normalization failed: ", utf8proc_errmsg(n));
  out.append(reinterpret_cast<const char*>(result), static_cast<size_t>(n));
}

struct ByteAlphabet {
  std::array<char32_t, 256> to_char{};
  std::array<int16_t, 0x144> to_byte{};
  constexpr ByteAlphabet() {
    to_byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
      const char32_t c = printable ? static_cast<char32_t>(b) : next++;
      to_char[static_cast<size_t>(b)] = c;
      to_byte[c] = static_cast<int16_t>(b);
    }
  }
};
constexpr ByteAlphabet kAlphabet;

}  // namespace

size_t valid_utf8_prefix(std::string_view text) {
  size_t i = 0;
  while ((i = skip_ascii(text, i)) < text.size()) {
    const size_t start = i;
    bool valid = true;
    next_code_point(text, i, &valid);
    if (!valid) return start;
  }
  return i;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (true) {
    size_t good = valid_utf8_prefix(text);
    out += text.substr(0, good);
    if (good == text.size()) return out;
    append_utf8(out, kReplacement);
    next_code_point(text, good);
    text.remove_prefix(good);
  }
}

size_t incomplete_utf8_suffix(std::string_view text) {
  const size_t longest = text.size() < 3 ? text.size() : 3;
  for (size_t n = 1; n <= longest; ++n) {
    const std::string_view tail = text.substr(text.size() - n);
    const auto lead = static_cast<unsigned char>(tail[0]);
    if ((lead & 0xC0) == 0x80) continue;
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
    if (n >= length || lead > 0xF4) return 0;
    size_t used = 0;
    next_code_point(tail, used);  // stops early where the bytes so far cannot be completed
    return used == n ? n : 0;
  }
  return 0;
}

void normalize(std::string& text, NormalForm form) {
  if (skip_ascii(text, 0) == text.size()) return;
  const bool compose = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatibility = form == NormalForm::nfkc || form == NormalForm::nfkd;
  const int options =
      (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compatibility ? UTF8PROC_COMPAT : 0);
  std::string out;
  // ASCII composes only with what follows it, so text falls apart before every ASCII character.
  size_t done = 0;
  for (size_t i = 0; (i = skip_ascii(text, i)) < text.size();) {
    const size_t start = i > done ? i - 1 : i;
    while (i < text.size() && static_cast<unsigned char>(text[i]) >= 0x80) ++i;
    const std::string_view run = std::string_view(text).substr(start, i - start);
    if (!may_change(run, form)) continue;
    out.append(text, done, start - done);
    append_normalized(out, run, options);
    done = i;
  }
  if (done == 0) return;
  out.append(text, done);
  text = std::move(out);
}

void lowercase(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    if (c < 0x80) {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else if (c == 0x130) {
      out += "i\xCC\x87";  // the one letter whose lower case is two code points
    } else {
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  }
  text = std::move(out);
}

void strip_marks(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                      category == UTF8PROC_CATEGORY_ME;
    if (!mark) append_utf8(out, c);
  }
  text = std::move(out);
}

bool is_space(char32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return c == 0x200C || c == 0x200D;  // the joiners
  }
}

char32_t byte_to_char(uint8_t byte) { return kAlphabet.to_char[byte]; }

int char_to_byte(char32_t c) { return c < kAlphabet.to_byte.size() ? kAlphabet.to_byte[c] : -1; }

void append_byte_level(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, byte_to_char(static_cast<uint8_t>(byte)));
}

void append_bytes(std::string& out, std::string_view token) {
  const size_t before = out.size();
  for (size_t i = 0; i < token.size();) {
    const int byte = char_to_byte(next_code_point(token, i));
    if (byte < 0) {
      out.resize(before);
      out += token;
      return;
    }
    out += static_cast<char>(byte);
  }
}

char32_t to_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

char32_t to_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

const char* category(char32_t c) {
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
}

}  // namespace tallow::text
