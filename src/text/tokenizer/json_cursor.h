// Reads a large JSON text in one pass without building it: a tokenizer.json has hundreds of
// thousands of strings, and most of them are only looked at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tallow::text {

/// A forward cursor. Every error names the offset. Nesting costs no stack.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text);

  /// The next character that is not white space, without taking it; 0 at the end.
  char peek();
  /// Enters an object or array; then next_member or next_item moves through it.
  void enter(char open);
  /// Takes the key of the next member; false at the end of the object.
  bool next_member(std::string_view& key);
  /// Stands at the next item; false at the end of the array.
  bool next_item();
  /// Takes a string. The view lives as long as the text and the cursor.
  std::string_view string();
  int64_t integer();
  double number();
  /// Takes a value of any kind and returns its text.
  std::string_view value();
  size_t remaining() const { return text_.size() - at_; }
  /// Throws Error unless only white space is left.
  void end();
  [[noreturn]] void fail_here(std::string_view reason) const;

 private:
  std::string_view unescape(size_t begin);
  char32_t hex4();
  std::string_view text_;
  size_t at_ = 0;
  bool fresh_ = false;   // just entered: no comma before the next member
  std::string decoded_;  // strings with escapes; never grows past its first capacity
};

}  // namespace tallow::text
