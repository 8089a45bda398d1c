// Python's str functions. Case is mapped one code point to one, but for the few that Python maps to
// two and that templates could meet.
#include "text/jinja/strings.h"

#include <algorithm>

#include "core/utf8.h"
#include "text/tokenizer/unicode.h"

namespace tallow::jinja {
namespace {

constexpr char32_t kSharpS = 0xDF;
constexpr char32_t kSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kDottedI = 0x130;

std::string_view category(char32_t c) { return text::category(c); }

bool is_cased(char32_t c) {
  const std::string_view k = category(c);
  return k == "Lu" || k == "Ll" || k == "Lt";
}

void append_upper(std::string& out, char32_t c) {
  if (c == kSharpS) {
    out += "SS";
  } else {
    append_utf8(out, text::to_upper(c));
  }
}

void append_title(std::string& out, char32_t c) {
  if (c == kSharpS) {
    out += "Ss";
  } else {
    append_utf8(out, text::to_upper(c));
  }
}

/// Lower case of the code point that ends at byte `end` of s; a sigma looks around itself.
void append_lower(std::string& out, char32_t c, std::string_view s, size_t begin, size_t end) {
  if (c == kDottedI) {
    out += "i\u0307";
    return;
  }
  if (c == kSigma) {
    size_t before = begin;
    while (before > 0 && (static_cast<unsigned char>(s[--before]) & 0xC0) == 0x80) {
    }
    size_t at = before;
    const bool after_letter = begin > 0 && is_cased(next_code_point(s, at));
    at = end;
    const bool before_letter = end < s.size() && is_cased(next_code_point(s, at));
    return append_utf8(out, after_letter && !before_letter ? kFinalSigma : text::to_lower(c));
  }
  append_utf8(out, text::to_lower(c));
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

size_t leading_space(std::string_view s) {
  size_t i = 0;
  while (i < s.size()) {
    size_t next = i;
    if (!is_space(next_code_point(s, next))) break;
    i = next;
  }
  return i;
}

size_t trailing_space(std::string_view s) {
  size_t end = s.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(s[begin]) & 0xC0) == 0x80) --begin;
    size_t next = begin;
    if (!is_space(next_code_point(s, next)) || next != end) break;
    end = begin;
  }
  return s.size() - end;
}

std::string upper(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size();) append_upper(out, next_code_point(s, i));
  return out;
}

std::string lower(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(s, i);
    append_lower(out, c, s, begin, i);
  }
  return out;
}

std::string capitalize(std::string_view s) {
  if (s.empty()) return {};
  std::string out;
  size_t i = 0;
  append_title(out, next_code_point(s, i));
  return out + lower(s.substr(i));
}

std::string title(std::string_view s) {
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(s, i);
    if (in_word) {
      append_lower(out, c, s, begin, i);
    } else {
      append_title(out, c);
    }
    in_word = is_cased(c);
  }
  return out;
}

std::string swapcase(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(s, i);
    if (is_upper(c)) {
      append_lower(out, c, s, begin, i);
    } else {
      append_upper(out, c);
    }
  }
  return out;
}

bool is_letter(char32_t c) { return category(c)[0] == 'L'; }
bool is_decimal(char32_t c) { return category(c) == "Nd"; }
bool is_numeric(char32_t c) { return category(c)[0] == 'N'; }
bool is_digit_class(char32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2089);
}
bool is_upper(char32_t c) { return category(c) == "Lu"; }
bool is_lower(char32_t c) { return category(c) == "Ll"; }
bool is_word(char32_t c) { return c == '_' || is_letter(c) || is_numeric(c); }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  const char kind = category(c)[0];
  return kind != 'C' && kind != 'Z';
}

CodePoints::CodePoints(std::string_view text) : text_(text) {
  ascii_ = std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii_) return;
  for (size_t i = 0; i < text.size(); next_code_point(text, i)) offsets_.push_back(i);
  offsets_.push_back(text.size());
}

std::string_view CodePoints::slice(size_t begin, size_t end) const {
  if (begin >= end) return {};
  if (ascii_) return text_.substr(begin, end - begin);
  return text_.substr(offsets_[begin], offsets_[end] - offsets_[begin]);
}

size_t CodePoints::index_of(size_t byte) const {
  if (ascii_) return byte;
  return static_cast<size_t>(std::lower_bound(offsets_.begin(), offsets_.end(), byte) -
                             offsets_.begin());
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t i = 0; i < s.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(s, i);
    const bool ends =
        (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && i < s.size() && s[i] == '\n') ++i;
    lines.push_back(s.substr(start, (keep ? i : begin) - start));
    start = i;
  }
  if (start < s.size()) lines.push_back(s.substr(start));
  return lines;
}

std::string quote(std::string_view s) {
  constexpr char kHex[] = "0123456789abcdef";
  const bool single = s.find('\'') == s.npos || s.find('"') != s.npos;
  const char32_t mark = single ? '\'' : '"';
  std::string out(1, static_cast<char>(mark));
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    if (c == mark || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else {
      const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
      out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
      for (int k = digits - 1; k >= 0; --k) out += kHex[(c >> (4 * k)) & 15];
    }
  }
  return out += static_cast<char>(mark);
}

}  // namespace tallow::jinja
