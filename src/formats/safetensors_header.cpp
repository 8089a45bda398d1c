// A reader of the one JSON layout that a safetensors header may have.
#include "formats/safetensors_header.h"

#include <limits>
#include <unordered_set>

#include "core/utf8.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint64_t kHeaderStart = 8;
constexpr int kMaxDepth = 64;

class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  SafetensorsHeader run() {
    if (text_.empty() || text_[0] != '{') bad("header", "does not begin with '{'");
    SafetensorsHeader header;
    read_object([&](std::string name) {
      if (name == "__metadata__") {
        if (has_metadata_) bad("header", "__metadata__ occurs twice");
        has_metadata_ = true;
        read_metadata(header);
      } else {
        header.tensors.push_back(read_entry(std::move(name)));
      }
    });
    skip_space();
    if (at_ != text_.size()) bad("header", "text follows the closing '}'");
    return header;
  }

 private:
  template <class... T>
  [[noreturn]] void bad(std::string_view field, const T&... reason) const {
    fail(file_, ": ", field, ": offset ", kHeaderStart + at_, ": ", reason...);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) bad("header", "expected '", c, "'; the JSON is malformed");
  }

  /// Calls read_member(key) with the cursor at each value.
  template <class ReadMember>
  void read_object(const ReadMember& read_member) {
    expect('{');
    if (accept('}')) return;
    do {
      std::string key = read_string();
      expect(':');
      read_member(std::move(key));
    } while (accept(','));
    expect('}');
  }

  template <class ReadItem>
  void read_array(const ReadItem& read_item) {
    expect('[');
    if (accept(']')) return;
    do {
      read_item();
    } while (accept(','));
    expect(']');
  }

  std::string read_string() {
    expect('"');
    std::string out;
    while (true) {
      if (at_ >= text_.size()) bad("header", "a string has no end");
      const char c = text_[at_];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) bad("header", "a control character in a string");
      if (c == '\\') {
        append_utf8(out, read_escape());
        continue;
      }
      bool valid = true;
      const size_t begin = at_;
      next_code_point(text_, at_, &valid);
      if (!valid) bad("header", "invalid UTF-8");
      out += text_.substr(begin, at_ - begin);
    }
    ++at_;
    return out;
  }

  char32_t read_escape() {
    ++at_;
    const char c = peek();
    ++at_;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    if (const size_t i = kNames.find(c); i != kNames.npos) return static_cast<uint8_t>(kValues[i]);
    if (c != 'u') bad("header", "an unknown escape in a string");
    const char32_t high = read_hex();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const char32_t low = read_hex();
      if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF);
    }
    bad("header", "a surrogate escape stands alone");
  }

  char32_t read_hex() {
    char32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) bad("header", "a \\u escape without four hexadecimal digits");
      value = value * 16 + static_cast<char32_t>(digit);
    }
    return value;
  }

  /// A number from 0 to 2^63 - 1.
  int64_t read_size(const std::string& field) {
    skip_space();
    const size_t begin = at_;
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, peek() - '0', &value)) {
        bad(field, "a number that overflows 64 bits");
      }
    }
    const bool leading_zero = at_ - begin > 1 && text_[begin] == '0';
    const bool more =
        peek() != '\0' && std::string_view(".eE").find(peek()) != std::string_view::npos;
    if (at_ == begin || leading_zero || more) bad(field, "expected an integer of 0 or more");
    return value;
  }

  void read_metadata(SafetensorsHeader& header) {
    std::unordered_set<std::string> keys;
    read_object([&](std::string key) {
      if (!keys.insert(key).second) bad("__metadata__", "the key ", quoted(key), " occurs twice");
      skip_space();
      if (peek() != '"') bad("__metadata__", "the value of ", quoted(key), " is not a string");
      header.metadata.emplace_back(std::move(key), read_string());
    });
  }

  SafetensorsEntry read_entry(std::string name) {
    SafetensorsEntry entry;
    entry.name = std::move(name);
    const std::string field = str("tensor ", quoted(entry.name));
    enum : unsigned { kDtype = 1, kShape = 2, kOffsets = 4 };
    unsigned seen = 0;
    const auto once = [&](unsigned which, const std::string& key) {
      if (seen & which) bad(field, "the key ", quoted(key), " occurs twice");
      seen |= which;
    };
    skip_space();
    if (peek() != '{') bad(field, "is not an object");
    read_object([&](const std::string& key) {
      if (key == "dtype") {
        once(kDtype, key);
        entry.dtype = read_string();
      } else if (key == "shape") {
        once(kShape, key);
        read_shape(entry.shape, field);
      } else if (key == "data_offsets") {
        once(kOffsets, key);
        read_offsets(entry, field);
      } else {
        skip_value(0);
      }
    });
    if (seen != (kDtype | kShape | kOffsets)) {
      bad(field, "lacks one of dtype, shape and data_offsets");
    }
    return entry;
  }

  void read_shape(Shape& shape, const std::string& field) {
    read_array([&] {
      if (shape.size() == Shape::kMaxDims) bad(field, "more than ", Shape::kMaxDims, " dimensions");
      shape.push_back(read_size(field));
    });
  }

  void read_offsets(SafetensorsEntry& entry, const std::string& field) {
    expect('[');
    entry.begin = static_cast<uint64_t>(read_size(field));
    expect(',');
    entry.end = static_cast<uint64_t>(read_size(field));
    expect(']');
    if (entry.begin > entry.end) {
      bad(field, "data_offsets are reversed: ", entry.begin, " to ", entry.end);
    }
  }

  /// A value that the format does not define.
  void skip_value(int depth) {
    if (depth > kMaxDepth) bad("header", "nested deeper than ", kMaxDepth, " levels");
    skip_space();
    const char c = peek();
    if (c == '{') return read_object([&](const std::string&) { skip_value(depth + 1); });
    if (c == '[') return read_array([&] { skip_value(depth + 1); });
    if (c == '"') {
      read_string();
      return;
    }
    const size_t end = text_.find_first_not_of("+-.0123456789Eaeflnrstu", at_);
    const std::string_view word = text_.substr(at_, end == text_.npos ? end : end - at_);
    if (word.empty()) bad("header", "expected a value; the JSON is malformed");
    at_ += word.size();
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  bool has_metadata_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  return HeaderReader(text, file).run();
}

}  // namespace tallow
