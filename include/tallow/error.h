// The exception types, and the text helper that error messages are written with.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
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
concept HasText = !std::is_arithmetic_v<T> && requires(const T& v) {
  { to_string(v) } -> std::convertible_to<std::string>;
};

void append(std::string& to, std::string_view v);
void append(std::string& to, char v);
void append(std::string& to, int64_t v);
void append(std::string& to, uint64_t v);
void append(std::string& to, float v);
void append(std::string& to, double v);
template <HasText T>
void append(std::string& to, const T& v) {
  append(to, std::string_view(to_string(v)));
}

// An argument as one of the types above.
template <class T>
decltype(auto) shown(const T& v) {
  if constexpr (std::convertible_to<const T&, std::string_view>) {
    return std::string_view(v);
  } else if constexpr (std::same_as<T, bool>) {
    return std::string_view(v ? "true" : "false");
  } else if constexpr (std::same_as<T, char>) {
    return v;
  } else if constexpr (std::signed_integral<T>) {
    return static_cast<int64_t>(v);
  } else if constexpr (std::unsigned_integral<T>) {
    return static_cast<uint64_t>(v);
  } else {
    return (v);  // by reference
  }
}

// A reference to an argument, and what appends it: one function takes any list of them, so that
// the thousand lists of the messages cost neither time to compile nor room.
struct Part {
  template <class T>
  Part(const T& v)  // NOLINT(google-explicit-constructor)
      : value(&v),
        append_to([](std::string& to, const void* p) { append(to, *static_cast<const T*>(p)); }) {}
  const void* value;
  void (*append_to)(std::string& to, const void* value);
};
std::string join(std::initializer_list<Part> parts);
[[noreturn]] void throw_error(std::initializer_list<Part> parts);
[[noreturn]] void throw_index_error(std::initializer_list<Part> parts);
}  // namespace detail

/// Joins its arguments as text: strings, characters, numbers, and anything with a `to_string`.
template <class... T>
std::string str(const T&... parts) {
  return detail::join({detail::shown(parts)...});
}

/// Throws an Error whose message is `str(parts...)`.
template <class... T>
[[noreturn]] void fail(const T&... parts) {
  detail::throw_error({detail::shown(parts)...});
}

/// The same for an index or a dimension out of range.
template <class... T>
[[noreturn]] void fail_index(const T&... parts) {
  detail::throw_index_error({detail::shown(parts)...});
}

}  // namespace tallow
