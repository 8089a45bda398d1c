// Filters of text and numbers.
#include "text/jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/utf8.h"
#include "text/jinja/parser.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

/// Calls the method of str(v).
Value method(Machine& m, const Value& v, const char* name, Arguments& a) {
  return m.call(find_method(m, m.string(m.str(v)), name), a);
}

Value trim(Machine& m, const Value& v, Arguments& a) { return method(m, v, "strip", a); }
Value to_upper(Machine& m, const Value& v, Arguments& a) { return method(m, v, "upper", a); }
Value to_lower(Machine& m, const Value& v, Arguments& a) { return method(m, v, "lower", a); }
Value to_capitalized(Machine& m, const Value& v, Arguments& a) {
  return method(m, v, "capitalize", a);
}

Value center(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("center", a, {"width"});
  Arguments inner{{args[0] ? *args[0] : Value::integer(80)}, {}};
  return method(m, v, "center", inner);
}

Value replace(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("replace", a, {"old", "new", "count"}, 2);
  Arguments inner{{m.string(m.str(*args[0])), m.string(m.str(*args[1]))}, {}};
  if (args[2] && !args[2]->is(Type::none)) inner.positional.push_back(*args[2]);
  return method(m, v, "replace", inner);
}

/// A capital after each run of - ( { [ < and white space.
Value to_title(Machine& m, const Value& v, Arguments& a) {
  m.bind("title", a, {});
  const std::string text = m.str(v);
  m.charge(text.size());
  std::string out;
  size_t start = 0;
  const auto flush = [&](size_t end) {
    if (end == start) return;
    const std::string_view word = std::string_view(text).substr(start, end - start);
    size_t head = 0;
    next_code_point(word, head);
    out += upper(word.substr(0, head)) + lower(word.substr(head));
  };
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(text, i);
    const bool separates = c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
    if (!separates) continue;
    flush(begin);
    out.append(text, begin, i - begin);
    start = i;
  }
  flush(text.size());
  return m.string(std::move(out));
}

Value default_value(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("default", a, {"default_value", "boolean"});
  const bool use = v.is(Type::undefined) || (args[1] && truth(*args[1]) && !truth(v));
  if (!use) return v;
  return args[0] ? *args[0] : m.string("");
}

Value to_text(Machine& m, const Value& v, Arguments& a) {
  m.bind("string", a, {});
  return m.string(m.str(v));
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

Value escape(Machine& m, const Value& v, Arguments& a) {
  m.bind("escape", a, {});
  return m.string(escaped(m.str(v)));
}

Value to_json(Machine& m, const Value& v, Arguments& a) { return m.string(m.to_json(v, a)); }

/// What Python's int() and float() take: white space around, single underscores between digits.
std::optional<std::string> number_text(const std::string& text) {
  std::string_view s = text;
  s.remove_prefix(leading_space(s));
  s.remove_suffix(trailing_space(s));
  std::string out;
  const auto digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') {
      out += s[i];
    } else if (i == 0 || i + 1 >= s.size() || !digit(s[i - 1]) || !digit(s[i + 1])) {
      return std::nullopt;
    }
  }
  if (!out.empty() && out[0] == '+') out.erase(0, 1);
  if (out.empty() || out[0] == '+') return std::nullopt;
  return out;
}

std::optional<double> parse_real(const std::string& text) {
  const auto number = number_text(text);
  if (!number || number->find_first_of("xX(") != number->npos) return std::nullopt;
  double value = 0;
  const char* end = number->data() + number->size();
  const auto result = std::from_chars(number->data(), end, value);
  if (result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) return std::strtod(number->c_str(), nullptr);
  return result.ec == std::errc() ? std::optional<double>(value) : std::nullopt;
}

std::optional<int64_t> parse_integer(Machine& m, const std::string& text, int64_t base) {
  auto number = number_text(text);
  if (!number) return std::nullopt;
  const bool negative = (*number)[0] == '-';
  std::string digits = number->substr(negative ? 1 : 0);
  const char prefix = digits.size() > 2 && digits[0] == '0' ? static_cast<char>(digits[1] | 32) : 0;
  const int64_t named = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
  if (base == 0 && named == 0) base = 10;
  if (named != 0 && (base == named || base == 0)) {
    base = named;
    digits = digits.substr(2);
  }
  if (base < 2 || base > 36) m.fail("int: the base is ", base, "; it must be 0 or 2 to 36");
  int64_t value = 0;
  digits.insert(0, negative ? "-" : "");
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value, static_cast<int>(base));
  if (result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) m.fail("int: the number passes 64 bits");
  return result.ec == std::errc() ? std::optional<int64_t>(value) : std::nullopt;
}

Value to_int(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("int", a, {"default", "base"});
  Value otherwise = args[0] ? *args[0] : Value::integer(0);
  std::optional<double> real;
  if (v.is_integral()) return Value::integer(v.as_integer());
  if (v.is(Type::undefined)) m.fail(v.why());
  if (v.is(Type::real)) real = v.as_real();
  if (v.is(Type::string)) {
    const int64_t base = args[1] ? m.to_integer(*args[1], "int: the base") : 10;
    if (const auto n = parse_integer(m, v.text(), base)) return Value::integer(*n);
    real = parse_real(v.text());
  }
  if (!real || std::isnan(*real) || std::isinf(*real)) return otherwise;
  if (std::abs(*real) >= 9.2e18) m.fail("int: the number passes 64 bits");
  return Value::integer(static_cast<int64_t>(*real));
}

Value to_float(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("float", a, {"default"});
  if (v.is_number()) return Value::real(v.as_real());
  if (v.is(Type::undefined)) m.fail(v.why());
  if (v.is(Type::string)) {
    if (const auto real = parse_real(v.text())) return Value::real(*real);
  }
  return args[0] ? *args[0] : Value::real(0);
}

Value absolute(Machine& m, const Value& v, Arguments& a) {
  m.bind("abs", a, {});
  if (v.is(Type::undefined)) m.fail(v.why());
  if (!v.is_number()) m.fail("bad operand type for abs(): '", type_name(v), "'");
  if (v.is(Type::real)) return Value::real(std::abs(v.as_real()));
  return v.as_integer() < 0 ? m.negate(v, '-') : Value::integer(v.as_integer());
}

Value round(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("round", a, {"precision", "method"});
  const int64_t precision = args[0] ? m.to_integer(*args[0], "round: the precision") : 0;
  const std::string how = args[1] ? m.str(*args[1]) : "common";
  if (v.is(Type::undefined)) m.fail(v.why());
  if (!v.is_number()) m.fail("round: a number is needed, not ", type_name(v));
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (how == "ceil") return Value::real(std::ceil(v.as_real() * scale) / scale);
  if (how == "floor") return Value::real(std::floor(v.as_real() * scale) / scale);
  if (how != "common") m.fail("round: the method must be common, ceil or floor");
  if (v.is_integral() && precision >= 0) return Value::integer(v.as_integer());
  double result = v.as_real();
  if (precision < 0) {
    result = std::nearbyint(result * scale) / scale;
  } else if (std::isfinite(result) && precision < 300) {
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), result);
    result = std::strtod(buffer, nullptr);
  }
  if (v.is_integral()) return Value::integer(static_cast<int64_t>(result));
  return Value::real(result);
}

Value indent(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("indent", a, {"width", "first", "blank"});
  if (!v.is(Type::string)) m.fail("indent: a string is needed, not ", type_name(v));
  std::string by = "    ";
  if (args[0] && args[0]->is(Type::string)) {
    by = args[0]->text();
  } else if (args[0]) {
    const int64_t width = m.to_integer(*args[0], "indent: the width");
    if (width > 10000) m.fail("indent: a width of ", width, " is over 10000");
    by = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool blank = args[2] && truth(*args[2]);
  const std::string text = v.text() + "\n";
  std::string out;
  if (args[1] && truth(*args[1])) out = by;
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    m.charge(line.size() + by.size() + 1);
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += by;
    }
    first = false;
    out += line;
  }
  return m.string(std::move(out));
}

Value word_count(Machine& m, const Value& v, Arguments& a) {
  m.bind("wordcount", a, {});
  const std::string text = m.str(v);
  m.charge(text.size());
  int64_t n = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const bool word = is_word(next_code_point(text, i));
    if (word && !inside) ++n;
    inside = word;
  }
  return Value::integer(n);
}

Value format(Machine& m, const Value& v, Arguments& a) {
  if (!a.positional.empty() && !a.named.empty()) {
    m.fail("format: positional and keyword arguments cannot be mixed");
  }
  if (a.named.empty()) {
    return m.string(m.format_percent(m.str(v), m.list(a.positional, Type::tuple)));
  }
  std::vector<std::pair<Value, Value>> entries;
  for (auto& [name, value] : a.named) entries.emplace_back(m.string(name), value);
  return m.string(m.format_percent(m.str(v), m.dict(std::move(entries))));
}

std::string quoted(const std::string& text, bool query) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Value url_encode(Machine& m, const Value& v, Arguments& a) {
  m.bind("urlencode", a, {});
  const bool pairs = v.is(Type::dict) || v.is_list_like();
  if (!pairs) return m.string(quoted(m.str(v), false));
  std::string out;
  const Value entries = v.is(Type::dict) ? find_method(m, v, "items") : Value();
  Arguments none;
  for (const Value& item : m.iterate(v.is(Type::dict) ? m.call(entries, none) : v)) {
    const std::vector<Value> pair = m.iterate(item);
    if (pair.size() != 2) m.fail("urlencode: an item is not a pair");
    if (!out.empty()) out += '&';
    out += quoted(m.str(pair[0]), true) + "=" + quoted(m.str(pair[1]), true);
    m.charge(out.size() / 64);
  }
  return m.string(std::move(out));
}

Value truncate(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("truncate", a, {"length", "killwords", "end", "leeway"});
  const std::string text = m.str(v);
  const int64_t length = args[0] ? m.to_integer(*args[0], "truncate: the length") : 255;
  const std::string end = args[2] ? m.str(*args[2]) : "...";
  const int64_t leeway =
      args[3] && !args[3]->is(Type::none) ? m.to_integer(*args[3], "truncate: the leeway") : 5;
  const CodePoints points(text);
  const auto size = static_cast<int64_t>(points.size());
  const int64_t keep = length - static_cast<int64_t>(count_code_points(end));
  if (keep < 0 || leeway < 0) m.fail("truncate: the length is below that of the end");
  if (size - leeway <= length) return m.string(text);
  std::string_view shown = points.slice(0, static_cast<size_t>(keep));
  if (!(args[1] && truth(*args[1]))) shown = shown.substr(0, shown.rfind(' '));
  return m.string(std::string(shown) + end);
}

constexpr FilterRow kRows[] = {
    {"abs", absolute},          {"capitalize", to_capitalized},
    {"center", center},         {"d", default_value},
    {"default", default_value}, {"e", escape},
    {"escape", escape},         {"float", to_float},
    {"forceescape", escape},    {"format", format},
    {"indent", indent},         {"int", to_int},
    {"lower", to_lower},        {"replace", replace},
    {"round", round},           {"safe", to_text},
    {"string", to_text},        {"title", to_title},
    {"tojson", to_json},        {"trim", trim},
    {"truncate", truncate},     {"upper", to_upper},
    {"urlencode", url_encode},  {"wordcount", word_count},
};

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (const FilterRow& row : kRows) {
    if (name == row.name) return row.function;
  }
  for (const FilterRow& row : sequence_filters()) {
    if (name == row.name) return row.function;
  }
  return nullptr;
}

}  // namespace tallow::jinja
