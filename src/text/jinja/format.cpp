// Text from values: the % operator and str.format.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/utf8.h"
#include "text/jinja/machine.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

/// The parts that the specifications of % and of str.format have in common.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = 0;
  bool alternate = false;
  char thousands = 0;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

int64_t read_number(Machine& m, std::string_view s, size_t& i) {
  int64_t value = 0;
  for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i) {
    value = value * 10 + (s[i] - '0');
    if (value > kMaxWidth) m.fail("a format's width or precision is over ", kMaxWidth);
  }
  return value;
}

std::string pad(Machine& m, const std::string& text, size_t prefix, const Spec& spec, char align) {
  const auto length = static_cast<int64_t>(count_code_points(text));
  const int64_t missing = spec.width - length;
  if (missing <= 0) return text;
  m.charge(static_cast<size_t>(missing));
  const auto fill = [&](int64_t n) {
    std::string out;
    for (int64_t i = 0; i < n; ++i) out += spec.fill;
    return out;
  };
  switch (align) {
    case '<': return text + fill(missing);
    case '^': return fill(missing / 2) + text + fill(missing - missing / 2);
    case '=': return text.substr(0, prefix) + fill(missing) + text.substr(prefix);
    default: return fill(missing) + text;
  }
}

std::string group_thousands(std::string digits, char separator) {
  size_t end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  for (size_t i = end; i > 3; i -= 3) digits.insert(i - 3, 1, separator);
  return digits;
}

std::string real_digits(double v, char type, int64_t precision, bool alternate) {
  if (std::isnan(v) || std::isinf(v)) {
    const std::string text = std::isnan(v) ? "nan" : "inf";
    return type >= 'A' && type <= 'Z' ? upper(text) : text;
  }
  const char format[] = {'%',
                         alternate ? '#' : '.',
                         alternate ? '.' : '*',
                         alternate ? '*' : type,
                         alternate ? type : '\0',
                         '\0'};
  const int digits = static_cast<int>(precision < 0 ? 6 : std::min<int64_t>(precision, 400));
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, format, digits, v);
  return buffer;
}

std::string integer_digits(uint64_t v, char type) {
  const uint64_t base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string out;
  do {
    const auto digit = static_cast<char>(v % base);
    out += static_cast<char>(digit < 10 ? '0' + digit : (type == 'X' ? 'A' : 'a') + digit - 10);
    v /= base;
  } while (v > 0);
  std::reverse(out.begin(), out.end());
  return out;
}

/// A number by the specification, its sign and padding included.
std::string format_number(Machine& m, const Value& v, const Spec& spec) {
  const bool integral = v.is_integral();
  const char type = spec.type ? spec.type : integral ? 'd' : 0;
  std::string text;
  bool negative = false;
  std::string prefix;
  if (type == 'd' || type == 'x' || type == 'X' || type == 'o' || type == 'b') {
    if (!integral) m.fail("format code '", type, "' needs an integer, not ", type_name(v));
    const int64_t n = v.as_integer();
    negative = n < 0;
    text = integer_digits(negative ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n), type);
    if (spec.alternate && type != 'd') prefix = {'0', type};
  } else {
    const double real = v.as_real();
    negative = std::signbit(real) && !std::isnan(real);
    const double magnitude = std::abs(real);
    if (type == 0 && spec.precision < 0) {
      text = format_real(magnitude);
    } else if (type == '%') {
      text = real_digits(magnitude * 100, 'f', spec.precision, spec.alternate) + "%";
    } else if (std::string_view("eEfFgG").find(type ? type : 'g') != std::string_view::npos) {
      text = real_digits(magnitude, type ? type : 'g', spec.precision, spec.alternate);
    } else {
      m.fail("unknown format code '", type, "' for a number");
    }
  }
  if (spec.thousands) text = group_thousands(std::move(text), spec.thousands);
  const std::string sign = negative                               ? "-"
                           : spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign)
                                                                  : "";
  const std::string head = sign + prefix;
  return pad(m, head + text, head.size(), spec, spec.align ? spec.align : '>');
}

std::string format_text(Machine& m, std::string_view text, const Spec& spec) {
  std::string shown(text);
  if (spec.precision >= 0) {
    const CodePoints points(text);
    shown = points.slice(0, std::min(points.size(), static_cast<size_t>(spec.precision)));
  }
  return pad(m, shown, 0, spec, spec.align && spec.align != '=' ? spec.align : '<');
}

/// One conversion of the % operator, with `type` read.
std::string convert(Machine& m, const Value& v, Spec spec) {
  switch (spec.type) {
    case 's':
    case 'r':
    case 'a': {
      if (!spec.align || spec.align == '=') spec.align = '>';
      spec.fill = " ";
      return format_text(m, spec.type == 's' ? m.str(v) : m.repr(v), spec);
    }
    case 'c': {
      if (v.is(Type::string)) return format_text(m, v.text(), spec);
      std::string c;
      append_utf8(c, static_cast<char32_t>(std::clamp<int64_t>(m.to_integer(v, "%c"), 0, 0xFFFF)));
      return format_text(m, c, spec);
    }
    case 'd':
    case 'i':
    case 'u': {
      if (!v.is_number())
        m.fail("%", spec.type, " format: a number is required, not ", type_name(v));
      spec.type = 'd';
      if (!v.is(Type::real)) return format_number(m, v, spec);
      const double real = v.as_real();
      if (!(std::abs(real) < 9.2e18)) m.fail("%d format: the number is out of range");
      return format_number(m, Value::integer(static_cast<int64_t>(real)), spec);
    }
    case 'x':
    case 'X':
    case 'o':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (!v.is_number())
        m.fail("%", spec.type, " format: a number is required, not ", type_name(v));
      return format_number(m, v, spec);
    default: m.fail("unsupported format character '", spec.type, "'");
  }
}

Spec read_spec(Machine& m, std::string_view s) {
  Spec spec;
  size_t i = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty()) {
    size_t after = 0;
    next_code_point(s, after);
    if (after < s.size() && is_align(s[after])) {
      spec.fill = s.substr(0, after);
      spec.align = s[after];
      i = after + 1;
    } else if (is_align(s[0])) {
      spec.align = s[0];
      i = 1;
    }
  }
  const auto at = [&](char c) { return i < s.size() && s[i] == c; };
  if (at('+') || at('-') || at(' ')) spec.sign = s[i++];
  if (at('#')) spec.alternate = s[i++] == '#';
  if (at('0')) {
    if (!spec.align) {
      spec.align = '=';
      spec.fill = "0";
    }
    ++i;
  }
  spec.width = read_number(m, s, i);
  if (at(',') || at('_')) spec.thousands = s[i++];
  if (at('.')) spec.precision = read_number(m, s, ++i);
  if (i < s.size()) spec.type = s[i++];
  if (i < s.size()) m.fail("invalid format specifier '", s.substr(0, 60), "'");
  return spec;
}

}  // namespace

std::string Machine::format_percent(const std::string& format, const Value& values) {
  std::string out;
  size_t used = 0;
  const bool many = values.is(Type::tuple);
  const auto next_value = [&]() -> Value {
    if (many) {
      if (used >= values.list().items.size()) fail("not enough arguments for format string");
      return values.list().items[used++];
    }
    if (used++ > 0) fail("not enough arguments for format string");
    return values;
  };
  bool named = false;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    step();
    Value value;
    bool have = false;
    if (++i < format.size() && format[i] == '(') {
      const size_t close = format.find(')', i);
      if (close == format.npos) fail("incomplete format key");
      if (!values.is(Type::dict)) fail("format requires a mapping");
      const Value* found = find(values, string(format.substr(i + 1, close - i - 1)));
      if (!found) fail("the format key '", format.substr(i + 1, close - i - 1), "' is missing");
      value = *found;
      have = named = true;
      i = close + 1;
    }
    Spec spec;
    bool left = false;
    bool zero = false;
    for (; i < format.size() && std::string_view("-+ #0").find(format[i]) != std::string_view::npos;
         ++i) {
      left |= format[i] == '-';
      zero |= format[i] == '0';
      spec.alternate |= format[i] == '#';
      if (format[i] == '+' || (format[i] == ' ' && spec.sign != '+')) spec.sign = format[i];
    }
    spec.width = read_number(*this, format, i);
    if (i < format.size() && format[i] == '.') spec.precision = read_number(*this, format, ++i);
    while (i < format.size() && (format[i] == 'l' || format[i] == 'h' || format[i] == 'L')) ++i;
    if (i >= format.size()) fail("incomplete format");
    if (zero && !left) spec.fill = "0";
    spec.align = left ? '<' : zero ? '=' : '>';
    spec.type = format[i];
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (!have) value = next_value();
    out += convert(*this, value, spec);
    if (out.size() > kMaxString) too_large();
  }
  // What could be a mapping may be left unused: Python asks no more of it than subscripts.
  const bool mapping = values.is(Type::dict) || values.is(Type::list) || values.is(Type::range) ||
                       values.is(Type::undefined);
  const bool all =
      many ? named || used == values.list().items.size() : used > 0 || named || mapping;
  if (!all) fail("not all arguments converted during string formatting");
  return out;
}

std::string Machine::format_braces(const std::string& format, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    const bool doubled = i + 1 < format.size() && format[i + 1] == c;
    if ((c == '{' || c == '}') && doubled) ++i;
    if (c == '}' && !doubled) fail("single '}' encountered in format string");
    if (c != '{' || doubled) {
      out += c;
      continue;
    }
    const size_t close = format.find('}', i);
    if (close == format.npos) fail("single '{' encountered in format string");
    std::string_view field = std::string_view(format).substr(i + 1, close - i - 1);
    i = close;
    step();
    std::string_view spec;
    if (const size_t colon = field.find(':'); colon != field.npos) {
      spec = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    if (spec.find('{') != spec.npos) fail("nested fields in a format are not supported");
    char conversion = 0;
    if (const size_t mark = field.find('!'); mark != field.npos) {
      conversion = mark + 1 < field.size() ? field[mark + 1] : '?';
      field = field.substr(0, mark);
    }
    const size_t end = std::min(field.find_first_of(".["), field.size());
    const std::string first(field.substr(0, end));
    Value value;
    if (first.empty() || first.find_first_not_of("0123456789") == first.npos) {
      const size_t at = first.empty() ? automatic++ : std::stoul(first.substr(0, 9));
      if (at >= arguments.positional.size()) fail("replacement index ", at, " is out of range");
      value = arguments.positional[at];
    } else {
      const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                      [&](const auto& named) { return named.first == first; });
      if (found == arguments.named.end()) fail("format: no argument '", first, "'");
      value = found->second;
    }
    std::string_view rest = field.substr(end);
    while (!rest.empty()) {
      const bool bracket = rest[0] == '[';
      const size_t stop =
          bracket ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
      if (stop == rest.npos) fail("format: expected ']'");
      const std::string part(rest.substr(1, stop - 1));
      const bool number = bracket && !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == part.npos;
      value = !bracket ? attribute(value, part)
                       : item(value, number ? Value::integer(std::stoll(part)) : string(part));
      rest = rest.substr(stop + (bracket ? 1 : 0));
    }
    if (conversion == 'r' || conversion == 's') {
      value = string(conversion == 'r' ? repr(value) : str(value));
    } else if (conversion) {
      fail("unknown conversion '", conversion, "' in format string");
    }
    const Spec parsed = read_spec(*this, spec);
    if (value.is_number() && !(value.is(Type::boolean) && !parsed.type)) {
      out += format_number(*this, value, parsed);
    } else {
      if (parsed.type && parsed.type != 's')
        fail("unknown format code '", parsed.type, "' for text");
      out += format_text(*this, str(value), parsed);
    }
    if (out.size() > kMaxString) too_large();
  }
  return out;
}

}  // namespace tallow::jinja
