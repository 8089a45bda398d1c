// Access to values, and the few questions about them that need no machine.
#include "text/jinja/value.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace tallow::jinja {

Value Value::real(double v) {
  Value result;
  result.type_ = Type::real;
  result.real_ = v;
  return result;
}

double Value::as_real() const { return is(Type::real) ? real_ : static_cast<double>(integer_); }

const std::string& Value::text() const { return static_cast<const Text&>(*object_).text; }
List& Value::list() const { return static_cast<List&>(*object_); }
Dict& Value::dict() const { return static_cast<Dict&>(*object_); }
Namespace& Value::space() const { return static_cast<Namespace&>(*object_); }
Function& Value::function() const { return static_cast<Function&>(*object_); }
Loop& Value::loop() const { return static_cast<Loop&>(*object_); }

const std::string& Value::why() const {
  static const std::string kNothing = "the value is undefined";
  return object_ ? static_cast<const Text&>(*object_).text : kNothing;
}

const char* type_name(const Value& v) {
  switch (v.type()) {
    case Type::undefined: return "Undefined";
    case Type::none: return "NoneType";
    case Type::boolean: return "bool";
    case Type::integer: return "int";
    case Type::real: return "float";
    case Type::string: return "str";
    case Type::list: return "list";
    case Type::tuple: return "tuple";
    case Type::dict: return "dict";
    case Type::range: return "range";
    case Type::view: return v.list().name.c_str();
    case Type::generator: return "generator";
    case Type::space: return "Namespace";
    case Type::function: return "function";
    case Type::loop: return "LoopContext";
  }
  return "object";
}

std::string format_real(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  const std::string_view shortest(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = shortest.find('e');
  const int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(shortest);
  std::string digits;
  for (const char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = v < 0 || (v == 0 && std::signbit(v)) ? "-" : "";
  if (exponent < 0) {
    out.append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
    return out;
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  out.append(digits, 0, whole).append(".");
  return out.append(digits.size() > whole ? digits.substr(whole) : "0");
}

bool truth(const Value& v) {
  switch (v.type()) {
    case Type::undefined:
    case Type::none: return false;
    case Type::boolean:
    case Type::integer: return v.as_integer() != 0;
    case Type::real: return v.as_real() != 0;
    case Type::string: return !v.text().empty();
    case Type::list:
    case Type::tuple:
    case Type::range:
    case Type::view: return !v.list().items.empty();
    case Type::dict: return !v.dict().items.empty();
    case Type::generator:
    case Type::space:
    case Type::function:
    case Type::loop: return true;
  }
  return true;
}

}  // namespace tallow::jinja
