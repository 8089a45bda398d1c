// The exception types, and the text helper that error messages are written with.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace tallow {

/// Whatever a user, a file or a device can cause. The message is one line that names the thing,
/// the value and the remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An index or a dimension out of range.
class IndexError : public Error {
 public:
  using Error::Error;
};

namespace detail {
template <class T>
concept Number = (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>) ||
                 std::floating_point<T>;
template <class T>
concept HasText = !std::is_arithmetic_v<T> && requires(const T& v) {
  { to_string(v) } -> std::convertible_to<std::string>;
};

inline void append(std::string& s, std::string_view v) { s += v; }
inline void append(std::string& s, char v) { s += v; }
template <std::same_as<bool> T>  // a template, since a literal would convert to a plain bool first
void append(std::string& s, T v) {
  s += v ? "true" : "false";
}
template <Number T>
void append(std::string& s, T v) {
  char buffer[32];
  s.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
}
template <HasText T>
void append(std::string& s, const T& v) {
  s += to_string(v);
}
}  // namespace detail

/// Joins its arguments as text: strings, characters, numbers, and anything with a `to_string`.
template <class... T>
std::string str(const T&... parts) {
  std::string s;
  (detail::append(s, parts), ...);
  return s;
}

/// Throws an Error whose message is `str(parts...)`.
template <class... T>
[[noreturn]] void fail(const T&... parts) {
  throw Error(str(parts...));
}

/// The same for an index or a dimension out of range.
template <class... T>
[[noreturn]] void fail_index(const T&... parts) {
  throw IndexError(str(parts...));
}

}  // namespace tallow
