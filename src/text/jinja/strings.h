// Python's str, on UTF-8: white space, case, classes of characters, and code points.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tallow::jinja {

/// Whether str.isspace says so of the character.
bool is_space(char32_t c);
/// The bytes of white space at the beginning or the end.
size_t leading_space(std::string_view s);
size_t trailing_space(std::string_view s);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string capitalize(std::string_view s);
/// str.title: every run of letters begins with a capital.
std::string title(std::string_view s);
std::string swapcase(std::string_view s);

bool is_letter(char32_t c);
bool is_digit_class(char32_t c);  ///< str.isdigit, near enough: Nd, and superscripts
bool is_decimal(char32_t c);      ///< Nd
bool is_numeric(char32_t c);      ///< N*
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);  ///< what repr leaves as it is
bool is_word(char32_t c);       ///< \w

/// The byte offset of every code point of a text, and its end.
class CodePoints {
 public:
  explicit CodePoints(std::string_view text);
  size_t size() const { return ascii_ ? text_.size() : offsets_.size() - 1; }
  /// The code points [begin, end).
  std::string_view slice(size_t begin, size_t end) const;
  /// The number of code points before a byte offset.
  size_t index_of(size_t byte) const;

 private:
  std::string_view text_;
  bool ascii_;
  std::vector<size_t> offsets_;
};

/// The lines of str.splitlines, with their ends when `keep`.
std::vector<std::string_view> split_lines(std::string_view s, bool keep);

/// repr(str), with Python's choice of quotes.
std::string quote(std::string_view s);

}  // namespace tallow::jinja
