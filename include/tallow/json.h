// JSON values: ordered objects, exact 64-bit integers, and errors that name the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tallow {

/// A JSON value. Objects keep the order of their keys.
class Json {
 public:
  enum class Kind { null, boolean, integer, real, string, array, object };
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json();
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();
  Json(bool v) : value_(v) {}
  Json(int v) : value_(int64_t{v}) {}
  Json(int64_t v) : value_(v) {}
  Json(double v) : value_(v) {}
  Json(const char* v) : value_(std::string(v)) {}
  Json(std::string_view v) : value_(std::string(v)) {}
  Json(std::string v) : value_(std::move(v)) {}
  Json(Array v) : value_(std::move(v)) {}
  Json(Object v) : value_(std::move(v)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  /// Parses `text` (UTF-8); `what` (a file's name, say) begins every error message. Integers that
  /// need more than 64 bits become real; NaN and Infinity are accepted, as Python's json does.
  /// Throws Error on malformed text, duplicate keys, and nesting deeper than 256.
  static Json parse(std::string_view text, std::string_view what);
  /// Reads and parses a regular file. Throws Error if it cannot be read or parsed, or is over 1
  /// GiB.
  static Json read(const std::string& path);

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::null; }
  bool is_boolean() const { return kind() == Kind::boolean; }
  bool is_integer() const { return kind() == Kind::integer; }
  bool is_number() const { return kind() == Kind::integer || kind() == Kind::real; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_array() const { return kind() == Kind::array; }
  bool is_object() const { return kind() == Kind::object; }

  /// The value as the named type; throws Error when it is another kind. A real without a fraction
  /// is an integer too, and an integer is a number.
  bool boolean() const;
  int64_t integer() const;
  double number() const;
  const std::string& string() const;
  const Array& items() const;
  Array& items();
  const Object& members() const;
  Object& members();

  /// The member `key` of an object, or null (the pointer) when absent or not an object.
  const Json* find(std::string_view key) const;
  /// The member `key`; throws Error when absent.
  const Json& at(std::string_view key) const;
  /// Sets or replaces member `key` (turning null into an object).
  void set(std::string_view key, Json value);

  /// Compact text, or indented by `indent` spaces a level when positive. Non-ASCII stays UTF-8;
  /// invalid UTF-8 is replaced with U+FFFD.
  std::string dump(int indent = 0) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

/// Appends `text` as a JSON string with its quotes, replacing invalid UTF-8 with U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tallow
