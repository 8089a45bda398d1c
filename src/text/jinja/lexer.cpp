// The lexer follows jinja2.lexer's regular expressions, rule by rule.
#include "text/jinja/lexer.h"

#include <algorithm>
#include <cstdint>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

constexpr size_t kMaxTokens = 1 << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Newlines as \n, and one at the end of the text removed.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& what) : source_(std::move(source)), what_(what) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  template <class... T>
  [[noreturn]] void error(const T&... parts) {
    fail(what_, ": line ", line_, ": ", parts...);
  }

  bool starts(std::string_view text, size_t at) const {
    return std::string_view(source_).substr(at, text.size()) == text;
  }
  size_t skip_space(size_t at) const {
    return at + leading_space(std::string_view(source_).substr(at));
  }
  void add(TokenKind kind, std::string text) {
    if (tokens_.size() >= kMaxTokens) error("the template has more than ", kMaxTokens, " tokens");
    tokens_.push_back({kind, std::move(text), line_});
  }
  /// Moves on, counting lines. `line_starting_` tells whether the text so far ends with a newline.
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    if (to > at_) line_starting_ = source_[to - 1] == '\n';
    at_ = to;
  }

  /// Text up to the next tag, and the tag's beginning.
  void root() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == source_.npos) {
        add(TokenKind::data, source_.substr(at_));
        return advance(source_.size());
      }
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool is_signed = sign == '-' || sign == '+';
    data(tag, is_signed ? sign : '\0', kind == '{');
    const size_t inside = tag + 2 + (is_signed ? 1 : 0);
    if (kind == '#') {
      advance(inside);
      return comment();
    }
    if (kind == '%') {
      if (const size_t body = raw_begin(inside); body != source_.npos) {
        advance(body);
        return raw();
      }
    }
    add(kind == '{' ? TokenKind::variable_begin : TokenKind::block_begin, "");
    advance(inside);
    inside_tag(kind == '{');
  }

  /// The text in front of the tag at `end`, stripped as the tag's sign wants.
  void data(size_t end, char sign, bool variable) {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    if (sign == '-') {
      text = text.substr(0, text.size() - trailing_space(text));
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == text.npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && leading_space(text.substr(start)) == text.size() - start)
        text = text.substr(0, start);
    }
    if (!text.empty()) add(TokenKind::data, std::string(text));
    advance(end);
  }

  /// The position after the end of a tag that closes with `close` at `at`, or npos.
  size_t tag_end(size_t at, std::string_view close, bool variable) const {
    if (starts("-", at) && starts(close, at + 1)) return skip_space(at + 1 + close.size());
    if (!variable && starts("+", at) && starts(close, at + 1)) return at + 1 + close.size();
    if (!starts(close, at)) return source_.npos;
    const size_t end = at + close.size();
    return end + (!variable && starts("\n", end) ? 1 : 0);
  }

  void comment() {
    for (size_t i = at_; i + 1 < source_.size(); ++i) {
      if (const size_t end = tag_end(i, "#}", false); end != source_.npos) return advance(end);
    }
    error("a comment is not closed; add #}");
  }

  size_t raw_begin(size_t at) const {
    at = skip_space(at);
    if (!starts("raw", at)) return source_.npos;
    at = skip_space(at + 3);
    if (starts("-%}", at)) return skip_space(at + 3);
    return starts("%}", at) ? at + 2 : source_.npos;
  }

  void raw() {
    for (size_t tag = source_.find("{%", at_); tag != source_.npos;
         tag = source_.find("{%", tag + 1)) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      const bool is_signed = sign == '-' || sign == '+';
      size_t end = skip_space(tag + 2 + (is_signed ? 1 : 0));
      if (!starts("endraw", end)) continue;
      end = tag_end(skip_space(end + 6), "%}", false);
      if (end == source_.npos) continue;
      data(tag, is_signed ? sign : '\0', false);
      return advance(end);
    }
    error("a raw block is not closed; add {% endraw %}");
  }

  void inside_tag(bool variable) {
    std::string open;  // the brackets that wait for their closing ones
    while (at_ < source_.size()) {
      if (open.empty()) {
        const size_t end = tag_end(at_, variable ? "}}" : "%}", variable);
        if (end != source_.npos) {
          add(variable ? TokenKind::variable_end : TokenKind::block_end, "");
          return advance(end);
        }
      }
      if (const size_t end = skip_space(at_); end > at_) {
        advance(end);
        continue;
      }
      const char c = source_[at_];
      if (is_digit(c)) {
        number();
      } else if (is_word(c)) {
        size_t end = at_;
        while (end < source_.size() && is_word(source_[end])) ++end;
        add(TokenKind::name, source_.substr(at_, end - at_));
        advance(end);
      } else if (c == '"' || c == '\'') {
        string(c);
      } else {
        symbol(open);
      }
    }
  }

  size_t digits(size_t at) const {
    while (at < source_.size() && is_digit(source_[at])) {
      ++at;
      if (starts("_", at) && at + 1 < source_.size() && is_digit(source_[at + 1])) ++at;
    }
    return at;
  }

  void number() {
    size_t end = digits(at_);
    bool real = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot) {
      const auto digit_at = [&](size_t i) { return i < source_.size() && is_digit(source_[i]); };
      size_t exponent = end;
      if (starts(".", end) && digit_at(end + 1)) {
        end = exponent = digits(end + 1);
        real = true;
      }
      if (starts("e", exponent) || starts("E", exponent)) {
        ++exponent;
        if (starts("+", exponent) || starts("-", exponent)) ++exponent;
        if (digit_at(exponent)) {
          end = digits(exponent);
          real = true;
        }
      }
    }
    std::string text = source_.substr(at_, end - at_);
    if (!real && text == "0" && end < source_.size()) {
      const char base = static_cast<char>(source_[end] | 0x20);
      if (base == 'x' || base == 'o' || base == 'b') {
        while (end < source_.size() && is_word(source_[end])) ++end;
        text = source_.substr(at_, end - at_);
      }
    }
    std::erase(text, '_');
    if (!real && text.size() > 1 && text[0] == '0' && is_digit(text[1]) &&
        text.find_first_not_of('0') != text.npos) {
      error("the number ", text, " begins with a zero");
    }
    add(real ? TokenKind::real : TokenKind::integer, text);
    advance(end);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) error("a string is not closed");
    add(TokenKind::string, unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1);
  }

  /// Python's escapes; an unknown one stays as it is.
  std::string unescape(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      const char c = text[++i];
      constexpr std::string_view kNames = "abfnrtv\\'\"";
      constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\'\"";
      if (c == '\n') continue;
      if (const size_t k = kNames.find(c); k != kNames.npos) {
        out += kValues[k];
      } else if (c >= '0' && c <= '7') {
        size_t n = 1;
        while (n < 3 && i + n < text.size() && text[i + n] >= '0' && text[i + n] <= '7') ++n;
        append_utf8(out, code(text.substr(i, n), 8));
        i += n - 1;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        if (text.size() - i - 1 < n) error("a \\", c, " escape is too short");
        append_utf8(out, code(text.substr(i + 1, n), 16));
        i += n;
      } else {
        if (c == 'N') error("\\N escapes are not supported; write the character");
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  char32_t code(std::string_view digits, uint32_t base) {
    uint64_t value = 0;
    for (const char c : digits) {
      const char low = static_cast<char>(c | 0x20);
      const int digit = is_digit(c) ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : 99;
      if (digit >= static_cast<int>(base)) error("the escape \"", digits, "\" is malformed");
      value = value * base + static_cast<uint64_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      error("the escape \"", digits, "\" is no character");
    }
    return static_cast<char32_t>(value);
  }

  void symbol(std::string& open) {
    constexpr std::string_view kPairs[] = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kSingles = "+-/*%~[](){}><=.:|,;";
    std::string text(1, source_[at_]);
    for (const std::string_view pair : kPairs) {
      if (starts(pair, at_)) text = pair;
    }
    if (text.size() == 1 && kSingles.find(text[0]) == kSingles.npos) {
      size_t end = at_;
      next_code_point(source_, end);
      error("unexpected character \"", source_.substr(at_, end - at_), "\"");
    }
    constexpr std::string_view kOpening = "([{";
    constexpr std::string_view kClosing = ")]}";
    if (const size_t k = kOpening.find(text[0]); k != kOpening.npos) open += kClosing[k];
    if (kClosing.find(text[0]) != kClosing.npos) {
      if (open.empty()) error("unexpected '", text, "'");
      if (open.back() != text[0]) error("unexpected '", text, "', expected '", open.back(), "'");
      open.pop_back();
    }
    const size_t end = at_ + text.size();
    add(TokenKind::op, std::move(text));
    advance(end);
  }

  std::string source_;
  const std::string& what_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& what) {
  return Lexer(normalize_newlines(source), what).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data: return "text";
    case TokenKind::variable_begin: return "{{";
    case TokenKind::variable_end: return "}}";
    case TokenKind::block_begin: return "{%";
    case TokenKind::block_end: return "%}";
    case TokenKind::string: return "a string";
    case TokenKind::end: return "the end of the template";
    default: return str("'", token.text.substr(0, 60), "'");
  }
}

}  // namespace tallow::jinja
