// Python's operators on values.
#include <algorithm>
#include <cmath>

#include "core/utf8.h"
#include "text/jinja/machine.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

const char* spelling(Operator op) {
  switch (op) {
    case Operator::add: return "+";
    case Operator::sub: return "-";
    case Operator::mul: return "*";
    case Operator::div: return "/";
    case Operator::floordiv: return "//";
    case Operator::mod: return "%";
    case Operator::pow: return "**";
    case Operator::eq: return "==";
    case Operator::ne: return "!=";
    case Operator::lt: return "<";
    case Operator::le: return "<=";
    case Operator::gt: return ">";
    case Operator::ge: return ">=";
    case Operator::in: return "in";
    case Operator::not_in: return "not in";
  }
  return "";
}

double python_mod(double a, double b) {
  const double mod = std::fmod(a, b);
  if (mod == 0) return std::copysign(0.0, b);
  return (b < 0) != (mod < 0) ? mod + b : mod;
}

/// Where a slice's bound falls in a sequence of n.
int64_t clamp_bound(int64_t at, int64_t n, int64_t low, int64_t high) {
  if (at < 0) at += n;
  return std::clamp(at, low, high);
}

}  // namespace

std::string Machine::str(const Value& v) {
  if (v.is(Type::string)) return v.text();
  if (v.is(Type::undefined)) return {};
  return repr(v);
}

std::string Machine::repr(const Value& v) {
  std::string out;
  append_repr(out, v);
  return out;
}

void Machine::append_repr(std::string& out, const Value& v) {
  const Deeper deeper(*this);
  step();
  if (out.size() > kMaxString) too_large();
  const auto items = [&](const List& list, char open, char close) {
    out += open;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out += ", ";
      append_repr(out, list.items[i]);
    }
    if (v.is(Type::tuple) && list.items.size() == 1) out += ',';
    out += close;
  };
  switch (v.type()) {
    case Type::undefined: out += "Undefined"; return;
    case Type::none: out += "None"; return;
    case Type::boolean: out += v.as_integer() ? "True" : "False"; return;
    case Type::integer: out += tallow::str(v.as_integer()); return;
    case Type::real: out += format_real(v.as_real()); return;
    case Type::string:
      charge(v.text().size());
      out += quote(v.text());
      return;
    case Type::list: return items(v.list(), '[', ']');
    case Type::tuple: return items(v.list(), '(', ')');
    case Type::range: out += v.list().name; return;
    case Type::view:
      out += v.list().name;
      out += '(';
      items(v.list(), '[', ']');
      out += ')';
      return;
    case Type::dict: {
      const char* separator = "{";
      for (const auto& [key, value] : v.dict().items) {
        out += separator;
        append_repr(out, key);
        out += ": ";
        append_repr(out, value);
        separator = ", ";
      }
      out += v.dict().items.empty() ? "{}" : "}";
      return;
    }
    case Type::space: {
      out += "<Namespace {";
      const char* separator = "";
      for (const auto& [name, value] : v.space().items) {
        out += separator;
        out += quote(name);
        out += ": ";
        append_repr(out, value);
        separator = ", ";
      }
      out += "}>";
      return;
    }
    case Type::function:
      out += v.function().macro ? "<Macro " + quote(v.function().name) + ">" : "<function>";
      return;
    case Type::generator: out += "<generator>"; return;
    case Type::loop:
      out += tallow::str("<LoopContext ", v.loop().index0 + 1, "/", loop_length(v.loop()), ">");
      return;
  }
}

bool Machine::equal(const Value& a, const Value& b) {
  step();
  if (a.is_number() && b.is_number()) {
    if (a.is(Type::real) || b.is(Type::real)) return a.as_real() == b.as_real();
    return a.as_integer() == b.as_integer();
  }
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::undefined:
    case Type::none: return true;
    case Type::string: step(a.text().size() / 256); return a.text() == b.text();
    case Type::list:
    case Type::tuple:
    case Type::range: {
      const auto& x = a.list().items;
      const auto& y = b.list().items;
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i) {
        if (!equal(x[i], y[i])) return false;
      }
      return true;
    }
    case Type::dict: {
      if (a.dict().items.size() != b.dict().items.size()) return false;
      for (const auto& [key, value] : a.dict().items) {
        const Value* other = find(b, key);
        if (!other || !equal(value, *other)) return false;
      }
      return true;
    }
    default: return a.identity() == b.identity();
  }
}

/// Below, equal to or above 0, as Python orders a and b.
int Machine::order(const Value& a, const Value& b, const char* op) {
  step();
  if (a.is_number() && b.is_number()) {
    if (a.is(Type::real) || b.is(Type::real)) {
      return a.as_real() < b.as_real() ? -1 : a.as_real() > b.as_real() ? 1 : 0;
    }
    return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
  }
  if (a.is(Type::undefined)) fail(a.why());
  if (b.is(Type::undefined)) fail(b.why());
  if (a.is(Type::string) && b.is(Type::string)) {
    step(a.text().size() / 256);
    return a.text().compare(b.text());  // UTF-8 keeps the order of code points
  }
  if (a.type() == b.type() && (a.is(Type::list) || a.is(Type::tuple))) {
    const auto& x = a.list().items;
    const auto& y = b.list().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(x[i], y[i])) return order(x[i], y[i], op);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  }
  fail("'", op, "' not supported between instances of '", type_name(a), "' and '", type_name(b),
       "'");
}

bool Machine::less(const Value& a, const Value& b, const char* op) { return order(a, b, op) < 0; }

bool Machine::compare(Operator op, const Value& a, const Value& b) {
  const auto is_nan = [](const Value& v) { return v.is(Type::real) && std::isnan(v.as_real()); };
  switch (op) {
    case Operator::eq: return equal(a, b);
    case Operator::ne: return !equal(a, b);
    case Operator::in: return contains(b, a);
    case Operator::not_in: return !contains(b, a);
    default: break;
  }
  const int sign = order(a, b, spelling(op));
  if (is_nan(a) || is_nan(b)) return false;
  switch (op) {
    case Operator::lt: return sign < 0;
    case Operator::le: return sign <= 0;
    case Operator::gt: return sign > 0;
    default: return sign >= 0;
  }
}

bool Machine::contains(const Value& container, const Value& item) {
  if (container.is(Type::string)) {
    if (!item.is(Type::string)) {
      fail("'in <string>' requires string as left operand, not ", type_name(item));
    }
    step(container.text().size() / 64);
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.is(Type::dict)) {
    require_key(item);
    return find(container, item) != nullptr;
  }
  if (container.is(Type::undefined)) return false;
  if (!container.is_list_like()) {
    fail("argument of type '", type_name(container), "' is not iterable");
  }
  List& list = container.list();
  for (size_t i = list.next; i < list.items.size(); ++i) {
    if (container.is(Type::generator)) list.next = i + 1;
    if (equal(list.items[i], item)) return true;
  }
  return false;
}

Value Machine::integers(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::add: overflow = __builtin_add_overflow(a, b, &result); break;
    case Operator::sub: overflow = __builtin_sub_overflow(a, b, &result); break;
    case Operator::mul: overflow = __builtin_mul_overflow(a, b, &result); break;
    case Operator::floordiv:
    case Operator::mod: {
      if (b == 0) fail("integer division or modulo by zero");
      if (b == -1) {
        if (op == Operator::mod) return Value::integer(0);
        overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      const int64_t rest = a % b;
      const bool adjust = rest != 0 && (rest < 0) != (b < 0);
      result = op == Operator::mod ? rest + (adjust ? b : 0) : a / b - (adjust ? 1 : 0);
      break;
    }
    case Operator::pow: {
      result = 1;
      for (int64_t base = a; b > 0; b >>= 1) {
        if (b & 1) overflow |= __builtin_mul_overflow(result, base, &result);
        if (b > 1) overflow |= __builtin_mul_overflow(base, base, &base);
      }
      break;
    }
    default: break;
  }
  if (overflow) fail("an integer passes 64 bits in '", spelling(op), "'");
  return Value::integer(result);
}

Value Machine::binary_numbers(Operator op, const Value& a, const Value& b) {
  const bool integral = a.is_integral() && b.is_integral();
  if (integral && op != Operator::div && !(op == Operator::pow && b.as_integer() < 0)) {
    return integers(op, a.as_integer(), b.as_integer());
  }
  const double x = a.as_real();
  const double y = b.as_real();
  const bool divides = op == Operator::div || op == Operator::floordiv || op == Operator::mod;
  if (divides && y == 0) fail("division by zero");
  switch (op) {
    case Operator::add: return Value::real(x + y);
    case Operator::sub: return Value::real(x - y);
    case Operator::mul: return Value::real(x * y);
    case Operator::div: return Value::real(x / y);
    case Operator::mod: return Value::real(python_mod(x, y));
    case Operator::floordiv: return Value::real(std::floor((x - python_mod(x, y)) / y + 0.25));
    default: break;
  }
  if (x == 0 && y < 0) fail("0 cannot be raised to a negative power");
  if (x < 0 && y != std::floor(y)) fail("a negative number to a broken power is complex");
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) fail("the power is out of range");
  return Value::real(result);
}

Value Machine::repeat(const Value& sequence, int64_t times) {
  const bool text = sequence.is(Type::string);
  const size_t unit = text ? sequence.text().size() : sequence.list().items.size() * sizeof(Value);
  const auto n = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (unit > 0 && n > kMaxString / unit) too_large();
  if (text) {
    std::string out;
    out.reserve(unit * n);
    for (size_t i = 0; unit > 0 && i < n; ++i) out += sequence.text();
    return string(std::move(out));
  }
  std::vector<Value> out;
  for (size_t i = 0; unit > 0 && i < n; ++i) {
    out.insert(out.end(), sequence.list().items.begin(), sequence.list().items.end());
  }
  return list(std::move(out), sequence.type());
}

Value Machine::binary(Operator op, const Value& a, const Value& b) {
  if (op == Operator::mod && a.is(Type::string)) return string(format_percent(a.text(), b));
  if (a.is_number() && b.is_number()) return binary_numbers(op, a, b);
  if (a.is(Type::undefined)) fail(a.why());
  if (b.is(Type::undefined)) fail(b.why());
  const auto is_sequence = [](const Value& v) {
    return v.is(Type::string) || v.is(Type::list) || v.is(Type::tuple);
  };
  if (op == Operator::add && is_sequence(a) && a.type() == b.type()) {
    if (a.is(Type::string)) {
      charge(a.text().size() + b.text().size());
      return string(a.text() + b.text());
    }
    std::vector<Value> items = a.list().items;
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    return list(std::move(items), a.type());
  }
  if (op == Operator::mul && is_sequence(a) && b.is_integral()) return repeat(a, b.as_integer());
  if (op == Operator::mul && is_sequence(b) && a.is_integral()) return repeat(b, a.as_integer());
  if (op == Operator::add && a.is(Type::string)) {
    fail("can only concatenate str (not \"", type_name(b), "\") to str");
  }
  fail("unsupported operand types for ", spelling(op), ": '", type_name(a), "' and '", type_name(b),
       "'");
}

Value Machine::negate(const Value& v, char op) {
  if (v.is(Type::undefined)) fail(v.why());
  if (!v.is_number()) fail("bad operand type for unary ", op, ": '", type_name(v), "'");
  if (v.is(Type::real)) return Value::real(op == '-' ? -v.as_real() : v.as_real());
  return op == '-' ? integers(Operator::sub, 0, v.as_integer()) : Value::integer(v.as_integer());
}

std::vector<Value> Machine::iterate(const Value& v) {
  std::vector<Value> out;
  if (v.is_list_like()) {
    List& list = v.list();
    charge(list.items.size() * sizeof(Value));
    out.assign(list.items.begin() + static_cast<std::ptrdiff_t>(list.next), list.items.end());
    if (v.is(Type::generator)) list.next = list.items.size();
  } else if (v.is(Type::dict)) {
    charge(v.dict().items.size() * sizeof(Value));
    for (const auto& [key, value] : v.dict().items) out.push_back(key);
  } else if (v.is(Type::string)) {
    const std::string& text = v.text();
    charge(text.size() * (sizeof(Value) + sizeof(Text)));
    for (size_t i = 0; i < text.size();) {
      const size_t begin = i;
      next_code_point(text, i);
      out.push_back(string(text.substr(begin, i - begin)));
    }
  } else if (!v.is(Type::undefined)) {
    fail("'", type_name(v), "' object is not iterable");
  }
  return out;
}

int64_t Machine::length(const Value& v) {
  switch (v.type()) {
    case Type::undefined: return 0;
    case Type::string:
      step(v.text().size() / 64);
      return static_cast<int64_t>(count_code_points(v.text()));
    case Type::list:
    case Type::tuple:
    case Type::range:
    case Type::view: return static_cast<int64_t>(v.list().items.size());
    case Type::dict: return static_cast<int64_t>(v.dict().items.size());
    case Type::loop: return loop_length(v.loop());
    default: fail("object of type '", type_name(v), "' has no len()");
  }
}

void Machine::require_key(const Value& v) {
  if (v.is(Type::list) || v.is(Type::dict)) fail("unhashable type: '", type_name(v), "'");
  if (!v.is(Type::tuple)) return;
  for (const Value& item : v.list().items) require_key(item);
}

const Value* Machine::find(const Value& dict, const Value& key) {
  const auto& items = dict.dict().items;
  step(items.size() / 8);
  if (key.is(Type::string)) {
    const std::string& text = key.text();
    for (const auto& [k, value] : items) {
      if (k.is(Type::string) && k.text() == text) return &value;
    }
    return nullptr;
  }
  for (const auto& [k, value] : items) {
    if (equal(k, key)) return &value;
  }
  return nullptr;
}

static std::string missing(Machine& m, const Value& object, const Value& key) {
  const std::string name = key.is(Type::string) ? quote(key.text()) : m.repr(key);
  if (object.is(Type::none)) return tallow::str("'None' has no attribute ", name);
  const bool attribute = key.is(Type::string);
  return tallow::str("'", type_name(object), " object' has no ",
                     attribute ? "attribute " : "element ", name);
}

Value Machine::attribute(const Value& object, std::string_view name) {
  if (object.is(Type::undefined)) fail(object.why());
  if (object.is(Type::loop)) return loop_attribute(object, name);
  if (object.is(Type::space)) {
    for (const auto& [key, value] : object.space().items) {
      if (key == name) return value;
    }
    return undefined(tallow::str("'Namespace object' has no attribute '", name, "'"));
  }
  if (object.is(Type::tuple)) {
    const List& tuple = object.list();
    for (size_t i = 0; i < tuple.fields.size(); ++i) {
      if (tuple.fields[i] == name) return tuple.items[i];
    }
  }
  if (object.is(Type::function) && object.function().macro && name == "name") {
    return string(object.function().name);
  }
  Value method = find_method(*this, object, name);
  if (!method.is(Type::undefined) || method.identity()) return method;
  const Value key = string(std::string(name));
  if (object.is(Type::dict)) {
    if (const Value* value = find(object, key)) return *value;
  }
  return undefined(missing(*this, object, key));
}

Value Machine::item(const Value& object, const Value& index) {
  if (object.is(Type::undefined)) fail(object.why());
  const bool sequence = object.is(Type::list) || object.is(Type::tuple) || object.is(Type::range);
  if (index.is_integral() && (sequence || object.is(Type::string))) {
    int64_t at = index.as_integer();
    const int64_t n = length(object);
    if (at < 0) at += n;
    if (at < 0 || at >= n) return undefined(missing(*this, object, index));
    const auto i = static_cast<size_t>(at);
    if (sequence) return object.list().items[i];
    charge(object.text().size() / 16);
    return string(std::string(CodePoints(object.text()).slice(i, i + 1)));
  }
  if (object.is(Type::dict) && !index.is(Type::list) && !index.is(Type::dict)) {
    if (const Value* value = find(object, index)) return *value;
  }
  if (index.is(Type::string)) {
    const bool fields = object.is(Type::tuple) && !object.list().fields.empty();
    if (object.is(Type::loop) || object.is(Type::space) || fields) {
      return attribute(object, index.text());
    }
    Value method = find_method(*this, object, index.text());
    if (!method.is(Type::undefined) || method.identity()) return method;
  }
  return undefined(missing(*this, object, index));
}

Value Machine::slice(const Value& object, const Value& begin, const Value& end,
                     const Value& step_value) {
  if (object.is(Type::undefined)) fail(object.why());
  const bool text = object.is(Type::string);
  if (object.is(Type::dict)) fail("unhashable type: 'slice'");
  if (!text && !object.is(Type::list) && !object.is(Type::tuple) && !object.is(Type::range)) {
    fail("'", type_name(object), "' object is not subscriptable");
  }
  for (const Value* v : {&begin, &end, &step_value}) {
    if (!v->is(Type::none)) to_integer(*v, "a slice's index");
  }
  const int64_t n = length(object);
  const int64_t by = step_value.is(Type::none) ? 1 : step_value.as_integer();
  if (by == 0) fail("slice step cannot be zero");
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? n : n - 1;
  const int64_t from =
      begin.is(Type::none) ? (by > 0 ? 0 : n - 1) : clamp_bound(begin.as_integer(), n, low, high);
  const int64_t to =
      end.is(Type::none) ? (by > 0 ? n : -1) : clamp_bound(end.as_integer(), n, low, high);
  if (text) charge(object.text().size());
  if (text && by == 1) {
    const CodePoints points(object.text());
    return string(std::string(
        points.slice(static_cast<size_t>(from), static_cast<size_t>(std::max(from, to)))));
  }
  std::string out_text;
  std::vector<Value> out;
  const std::optional<CodePoints> points =
      text ? std::optional<CodePoints>(object.text()) : std::nullopt;
  for (int64_t i = from; by > 0 ? i < to : i > to;) {
    const auto at = static_cast<size_t>(i);
    if (text) {
      out_text += points->slice(at, at + 1);
    } else {
      out.push_back(object.list().items[at]);
    }
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  if (text) return string(std::move(out_text));
  return list(std::move(out), object.is(Type::tuple) ? Type::tuple : Type::list);
}

Value Machine::path(const Value& object, const Value& attribute) {
  if (attribute.is(Type::none) || attribute.is(Type::undefined)) return object;
  if (!attribute.is(Type::string)) return item(object, attribute);
  Value value = object;
  const std::string& name = attribute.text();
  for (size_t at = 0; at <= name.size();) {
    const size_t dot = std::min(name.find('.', at), name.size());
    const std::string part = name.substr(at, dot - at);
    const bool number =
        !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == part.npos;
    value = item(value, number ? Value::integer(std::stoll(part)) : string(part));
    at = dot + 1;
  }
  return value;
}

}  // namespace tallow::jinja
