// The forward JSON cursor.
#include "text/tokenizer/json_cursor.h"

#include <charconv>
#include <cstring>

#include "core/utf8.h"
#include "tallow/error.h"

namespace tallow::text {

JsonCursor::JsonCursor(std::string_view text) : text_(text) {
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
}

void JsonCursor::fail_here(std::string_view reason) const { fail("offset ", at_, ": ", reason); }

char JsonCursor::peek() {
  constexpr uint64_t kIndent = 0x2020202020202020;  // eight spaces, compared at once
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
    ++at_;
    if (c != '\n') continue;
    while (at_ + sizeof kIndent <= text_.size() &&
           std::memcmp(text_.data() + at_, &kIndent, sizeof kIndent) == 0) {
      at_ += sizeof kIndent;
    }
  }
  return 0;
}

void JsonCursor::enter(char open) {
  if (peek() != open) fail_here(open == '{' ? "an object is expected" : "an array is expected");
  ++at_;
  fresh_ = true;
}

bool JsonCursor::next_member(std::string_view& key) {
  const char c = peek();
  if (c == '}') {
    ++at_;
    fresh_ = false;
    return false;
  }
  if (!fresh_) {
    if (c != ',') fail_here("a comma or the end of an object is expected");
    ++at_;
  }
  fresh_ = false;
  key = string();
  if (peek() != ':') fail_here("a colon is expected");
  ++at_;
  return true;
}

bool JsonCursor::next_item() {
  const char c = peek();
  if (c == ']') {
    ++at_;
    fresh_ = false;
    return false;
  }
  if (!fresh_) {
    if (c != ',') fail_here("a comma or the end of an array is expected");
    ++at_;
  }
  fresh_ = false;
  return true;
}

std::string_view JsonCursor::string() {
  if (peek() != '"') fail_here("a string is expected");
  const size_t begin = ++at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') return text_.substr(begin, at_++ - begin);
    if (c == '\\') return unescape(begin);
    if (static_cast<unsigned char>(c) < 0x20) fail_here("a control character in a string");
  }
  fail_here("a string without an end");
}

char32_t JsonCursor::hex4() {
  unsigned code = 0;
  const std::string_view digits = text_.substr(at_, 4);
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (digits.size() != 4 || result.ptr != digits.data() + 4) fail_here("a malformed \\u escape");
  at_ += 4;
  return code;
}

std::string_view JsonCursor::unescape(size_t begin) {
  // An escape is never shorter than what it stands for, so this capacity keeps views valid.
  if (decoded_.capacity() < text_.size()) decoded_.reserve(text_.size());
  const size_t start = decoded_.size();
  decoded_.append(text_, begin, at_ - begin);
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') return std::string_view(decoded_).substr(start);
    if (static_cast<unsigned char>(c) < 0x20) fail_here("a control character in a string");
    if (c != '\\') {
      decoded_ += c;
      continue;
    }
    const char escape = at_ < text_.size() ? text_[at_++] : 0;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    const size_t known = escape ? kNames.find(escape) : kNames.npos;
    if (known != kNames.npos) {
      decoded_ += "\"\\/\b\f\n\r\t"[known];
    } else if (escape == 'u') {
      char32_t code = hex4();
      const bool high = code >= 0xD800 && code < 0xDC00;
      if (high && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        const char32_t low = hex4();
        if (low < 0xDC00 || low > 0xDFFF) fail_here("half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else if (code >= 0xD800 && code < 0xE000) {
        fail_here("half a surrogate pair");
      }
      append_utf8(decoded_, code);
    } else {
      fail_here("an unknown escape in a string");
    }
  }
  fail_here("a string without an end");
}

int64_t JsonCursor::integer() {
  peek();
  int64_t number = 0;
  const char* first = text_.data() + at_;
  const char* last = text_.data() + text_.size();
  const auto result = std::from_chars(first, last, number);
  if (result.ec != std::errc()) fail_here("an integer is expected");
  at_ = static_cast<size_t>(result.ptr - text_.data());
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E')) {
    fail_here("an integer is expected");
  }
  return number;
}

double JsonCursor::number() {
  peek();
  double number = 0;
  const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
  if (result.ec != std::errc()) fail_here("a number is expected");
  at_ = static_cast<size_t>(result.ptr - text_.data());
  return number;
}

std::string_view JsonCursor::value() {
  peek();
  const size_t begin = at_;
  size_t depth = 0;
  do {
    const char c = peek();
    if (c == '"') {
      const size_t used = decoded_.size();
      string();
      decoded_.resize(used);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth == 0) fail_here("a value is expected");
      --depth;
      ++at_;
    } else if (c == ',' || c == ':') {
      if (depth == 0) fail_here("a value is expected");
      ++at_;
    } else if (c == 0) {
      fail_here("the text ends inside a value");
    } else {
      const size_t end = text_.find_first_of(" \t\r\n,:]}[{\"", at_);
      at_ = end == text_.npos ? text_.size() : end;
    }
  } while (depth > 0);
  fresh_ = false;
  return text_.substr(begin, at_ - begin);
}

void JsonCursor::end() {
  if (peek() != 0 || at_ < text_.size()) fail_here("text after the end of the value");
}

}  // namespace tallow::text
