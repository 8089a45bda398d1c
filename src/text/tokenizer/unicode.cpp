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

utf8proc_category_t category_of(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

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

bool may_change(std::string_view text, NormalForm form) {
  for (size_t i = 0; (i = skip_ascii(text, i)) < text.size();) {
    if (may_change(next_code_point(text, i), form)) return true;
  }
  return false;
}

void decompose(char32_t c, bool compatibility, std::u32string& out) {
  utf8proc_int32_t parts[32];  // the longest has 18
  int boundary = 0;
  const int options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatibility ? UTF8PROC_COMPAT : 0);
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                              static_cast<utf8proc_option_t>(options), &boundary);
  if (n <= 0 || n > 32) return out.push_back(c);
  for (utf8proc_ssize_t i = 0; i < n; ++i) out.push_back(static_cast<char32_t>(parts[i]));
}

char32_t compose(char32_t a, char32_t b) {
  const bool jamo = b >= 0x1161 && b < 0x11C3;
  const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(b));
  if (!jamo && (p->comb_index == UINT16_MAX || p->comb_index < 0x8000)) return 0;
  utf8proc_int32_t pair[3] = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const int options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
  const bool joined =
      utf8proc_normalize_utf32(pair, 2, static_cast<utf8proc_option_t>(options)) == 1;
  return joined ? static_cast<char32_t>(pair[0]) : 0;
}

int combining(char32_t c) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

size_t grapheme_end(std::string_view text, size_t begin) {
  size_t end = begin;
  auto before = static_cast<utf8proc_int32_t>(next_code_point(text, end));
  utf8proc_int32_t state = 0;
  for (size_t i = end; i < text.size(); end = i) {
    const auto after = static_cast<utf8proc_int32_t>(next_code_point(text, i));
    if (utf8proc_grapheme_break_stateful(before, after, &state)) break;
    before = after;
  }
  return end;
}

bool is_mark(char32_t c) {
  const utf8proc_category_t category = category_of(c);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t c) { return category_of(c) == UTF8PROC_CATEGORY_MN; }

bool is_other(char32_t c) {
  const utf8proc_category_t category = category_of(c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

bool is_numeric(char32_t c) {
  const utf8proc_category_t category = category_of(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  const utf8proc_category_t category = category_of(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool is_space(char32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) {
  switch (category_of(c)) {
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
