// Methods of strings, and the table of all methods that the sandbox lets a template call.
#include <algorithm>

#include "core/utf8.h"
#include "text/jinja/machine.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

using View = std::string_view;

const std::string& text_argument(Machine& m, const Value& v, const char* what) {
  if (!v.is(Type::string)) m.fail(what, " must be a string, not ", type_name(v));
  return v.text();
}

/// Whether the code point at s[i] is one of those in `set` (white space when null).
bool in_set(View s, size_t i, const std::string* set) {
  size_t end = i;
  const char32_t c = next_code_point(s, end);
  if (!set) return is_space(c);
  return set->find(s.substr(i, end - i)) != std::string::npos;
}

View strip(View s, const std::string* set, bool left, bool right) {
  while (left && !s.empty() && in_set(s, 0, set)) {
    size_t end = 0;
    next_code_point(s, end);
    s.remove_prefix(end);
  }
  while (right && !s.empty()) {
    size_t begin = s.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(s[begin]) & 0xC0) == 0x80) --begin;
    if (!in_set(s, begin, set)) break;
    s = s.substr(0, begin);
  }
  return s;
}

template <bool kLeft, bool kRight>
Value strip_method(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("strip", a, {"chars"});
  const std::string* set = nullptr;
  if (args[0] && !args[0]->is(Type::none)) set = &text_argument(m, *args[0], "strip: the argument");
  if (set) m.step(self.text().size() / 16 * (set->size() / 16 + 1));
  return m.string(std::string(strip(self.text(), set, kLeft, kRight)));
}

template <std::string (*kMap)(View)>
Value map_method(Machine& m, const Value& self, Arguments& a) {
  m.bind("a method of str", a, {});
  m.charge(self.text().size());
  return m.string(kMap(self.text()));
}

/// True when every code point is as asked, and there is one.
template <bool (*kIs)(char32_t)>
Value all_method(Machine& m, const Value& self, Arguments& a) {
  m.bind("a method of str", a, {});
  m.charge(self.text().size());
  const View s = self.text();
  for (size_t i = 0; i < s.size();) {
    if (!kIs(next_code_point(s, i))) return Value::boolean(false);
  }
  return Value::boolean(!s.empty());
}

bool is_alnum(char32_t c) { return is_letter(c) || is_numeric(c); }

Value is_ascii(Machine& m, const Value& self, Arguments& a) {
  m.bind("isascii", a, {});
  return Value::boolean(std::all_of(self.text().begin(), self.text().end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

template <bool kUpper>
Value has_case(Machine& m, const Value& self, Arguments& a) {
  m.bind("isupper", a, {});
  m.charge(self.text().size());
  const View s = self.text();
  bool any = false;
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    if (kUpper ? is_lower(c) : is_upper(c)) return Value::boolean(false);
    any = any || (kUpper ? is_upper(c) : is_lower(c));
  }
  return Value::boolean(any);
}

Value is_title(Machine& m, const Value& self, Arguments& a) {
  m.bind("istitle", a, {});
  m.charge(self.text().size());
  const bool cased = upper(self.text()) != lower(self.text());
  return Value::boolean(cased && title(self.text()) == self.text());
}

Value split_on_space(Machine& m, View s, int64_t limit, bool from_right) {
  std::vector<Value> out;
  while (true) {
    s = strip(s, nullptr, !from_right, from_right);
    if (s.empty()) break;
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) {
      out.push_back(m.string(std::string(s)));
      break;
    }
    size_t cut = 0;
    if (from_right) {
      cut = s.size();
      while (cut > 0) {
        size_t begin = cut - 1;
        while (begin > 0 && (static_cast<unsigned char>(s[begin]) & 0xC0) == 0x80) --begin;
        if (in_set(s, begin, nullptr)) break;
        cut = begin;
      }
      out.push_back(m.string(std::string(s.substr(cut))));
      s = s.substr(0, cut);
    } else {
      while (cut < s.size() && !in_set(s, cut, nullptr)) next_code_point(s, cut);
      out.push_back(m.string(std::string(s.substr(0, cut))));
      s = s.substr(cut);
    }
    m.step();
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return m.list(std::move(out));
}

template <bool kFromRight>
Value split(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("split", a, {"sep", "maxsplit"});
  const int64_t limit = args[1] ? m.to_integer(*args[1], "split: maxsplit") : -1;
  View s = self.text();
  m.charge(s.size());
  if (!args[0] || args[0]->is(Type::none)) return split_on_space(m, s, limit, kFromRight);
  const std::string& separator = text_argument(m, *args[0], "split: the separator");
  if (separator.empty()) m.fail("split: the separator is empty");
  std::vector<Value> out;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    const size_t at = kFromRight ? s.rfind(separator) : s.find(separator);
    if (at == s.npos) break;
    m.step();
    const View after = s.substr(at + separator.size());
    out.push_back(m.string(std::string(kFromRight ? after : s.substr(0, at))));
    s = kFromRight ? s.substr(0, at) : after;
  }
  out.push_back(m.string(std::string(s)));
  if (kFromRight) std::reverse(out.begin(), out.end());
  return m.list(std::move(out));
}

Value splitlines(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("splitlines", a, {"keepends"});
  m.charge(self.text().size());
  std::vector<Value> out;
  for (const View line : split_lines(self.text(), args[0] && truth(*args[0]))) {
    out.push_back(m.string(std::string(line)));
  }
  return m.list(std::move(out));
}

template <bool kFromRight>
Value partition(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("partition", a, {"sep"}, 1);
  const std::string& separator = text_argument(m, *args[0], "partition: the separator");
  if (separator.empty()) m.fail("partition: the separator is empty");
  const std::string& s = self.text();
  const size_t at = kFromRight ? s.rfind(separator) : s.find(separator);
  std::vector<Value> out;
  if (at == s.npos) {
    out = {m.string(""), m.string("")};
    out.insert(kFromRight ? out.end() : out.begin(), self);
  } else {
    out = {m.string(s.substr(0, at)), *args[0], m.string(s.substr(at + separator.size()))};
  }
  return m.list(std::move(out), Type::tuple);
}

/// The bytes of the code points [start, end) that find, count and startswith look at. Valid is
/// false where the start is past the end.
View window(Machine& m, const Value& self, const Value* start, const Value* end, bool& valid) {
  const View s = self.text();
  valid = true;
  if (!start && !end) return s;
  m.charge(s.size());
  const CodePoints points(s);
  const auto n = static_cast<int64_t>(points.size());
  const auto bound = [&](const Value* v, int64_t none) {
    if (!v || v->is(Type::none)) return none;
    const int64_t at = m.to_integer(*v, "an index");
    return at < 0 ? std::max<int64_t>(at + n, 0) : at;
  };
  const int64_t from = bound(start, 0);
  const int64_t to = std::min(bound(end, n), n);
  valid = from <= to;
  return valid ? points.slice(static_cast<size_t>(from), static_cast<size_t>(to)) : View{};
}

template <bool kFromRight, bool kMust>
Value find_method_of(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("find", a, {"sub", "start", "end"}, 1);
  const std::string& sub = text_argument(m, *args[0], "find: the argument");
  bool valid = true;
  const View s = window(m, self, args[1], args[2], valid);
  m.step(s.size() / 64);
  const size_t at = !valid ? s.npos : kFromRight ? s.rfind(sub) : s.find(sub);
  if (at == s.npos) {
    if (kMust) m.fail("substring not found");
    return Value::integer(-1);
  }
  const auto skipped = s.empty() && sub.empty() && args[1]
                           ? self.text().size()
                           : static_cast<size_t>(s.data() - self.text().data());
  return Value::integer(
      static_cast<int64_t>(count_code_points(View(self.text()).substr(0, skipped + at))));
}

Value count(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("count", a, {"sub", "start", "end"}, 1);
  const std::string& sub = text_argument(m, *args[0], "count: the argument");
  bool valid = true;
  const View s = window(m, self, args[1], args[2], valid);
  m.charge(s.size());
  if (!valid) return Value::integer(0);
  if (sub.empty()) return Value::integer(static_cast<int64_t>(count_code_points(s)) + 1);
  int64_t n = 0;
  for (size_t at = s.find(sub); at != s.npos; at = s.find(sub, at + sub.size())) ++n;
  return Value::integer(n);
}

template <bool kEnd>
Value starts_or_ends(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind(kEnd ? "endswith" : "startswith", a, {"prefix", "start", "end"}, 1);
  bool valid = true;
  const View s = window(m, self, args[1], args[2], valid);
  const auto matches = [&](const Value& v) {
    const std::string& part = text_argument(m, v, "startswith: the argument");
    return valid && (kEnd ? s.ends_with(part) : s.starts_with(part));
  };
  if (!args[0]->is(Type::tuple)) return Value::boolean(matches(*args[0]));
  const auto& parts = args[0]->list().items;
  return Value::boolean(std::any_of(parts.begin(), parts.end(), matches));
}

Value replace(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("replace", a, {"old", "new", "count"}, 2);
  const std::string& from = text_argument(m, *args[0], "replace: the first argument");
  const std::string& to = text_argument(m, *args[1], "replace: the second argument");
  const int64_t limit = args[2] ? m.to_integer(*args[2], "replace: the count") : -1;
  const View s = self.text();
  std::string out;
  size_t at = 0;
  for (int64_t n = 0; limit < 0 || n < limit; ++n) {
    size_t found = from.empty() ? at : s.find(from, at);
    if (from.empty() && n > 0 && at < s.size()) {
      next_code_point(s, found);  // between two code points
    } else if (from.empty() && n > 0) {
      break;
    }
    if (found == s.npos) break;
    m.charge(found - at + to.size());
    out.append(s.substr(at, found - at)).append(to);
    at = found + from.size();
  }
  out.append(s.substr(std::min(at, s.size())));
  return m.string(std::move(out));
}

Value join(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("join", a, {"iterable"}, 1);
  std::string out;
  bool first = true;
  for (const Value& item : m.iterate(*args[0])) {
    const std::string& part = text_argument(m, item, "join: an item");
    m.charge(part.size() + self.text().size());
    if (!first) out += self.text();
    out += part;
    first = false;
  }
  return m.string(std::move(out));
}

Value remove_prefix(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("removeprefix", a, {"prefix"}, 1);
  View s = self.text();
  const std::string& part = text_argument(m, *args[0], "removeprefix: the argument");
  if (s.starts_with(part)) s.remove_prefix(part.size());
  return m.string(std::string(s));
}

Value remove_suffix(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("removesuffix", a, {"suffix"}, 1);
  View s = self.text();
  const std::string& part = text_argument(m, *args[0], "removesuffix: the argument");
  if (s.ends_with(part)) s.remove_suffix(part.size());
  return m.string(std::string(s));
}

/// Pads to a width; `kind` is l, r or c for where the text goes, as in ljust, rjust and center.
template <char kKind>
Value pad(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("center", a, {"width", "fillchar"}, 1);
  const int64_t width = m.to_integer(*args[0], "the width");
  const std::string fill = args[1] ? text_argument(m, *args[1], "the fill character") : " ";
  if (count_code_points(fill) != 1) m.fail("the fill character must be one character");
  const int64_t missing = width - m.length(self);
  if (missing <= 0) return self;
  if (missing > static_cast<int64_t>(Machine::kMaxString)) m.charge(Machine::kMaxString + 1);
  m.charge(static_cast<size_t>(missing) * fill.size());
  int64_t left = kKind == 'l' ? 0 : missing;
  if (kKind == 'c') left = missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return m.string(std::move(out));
}

Value zfill(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("zfill", a, {"width"}, 1);
  const int64_t missing = m.to_integer(*args[0], "the width") - m.length(self);
  if (missing <= 0) return self;
  if (missing > static_cast<int64_t>(Machine::kMaxString)) m.charge(Machine::kMaxString + 1);
  std::string out = self.text();
  const bool sign = !out.empty() && (out[0] == '-' || out[0] == '+');
  out.insert(sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return m.string(std::move(out));
}

Value format(Machine& m, const Value& self, Arguments& a) {
  return m.string(m.format_braces(self.text(), a));
}

Value keys(Machine& m, const Value& self, Arguments& a) {
  m.bind("keys", a, {});
  return m.view(m.iterate(self), "dict_keys");
}

Value values(Machine& m, const Value& self, Arguments& a) {
  m.bind("values", a, {});
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict().items) out.push_back(value);
  return m.view(std::move(out), "dict_values");
}

Value items(Machine& m, const Value& self, Arguments& a) {
  m.bind("items", a, {});
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict().items) {
    out.push_back(m.list({key, value}, Type::tuple));
  }
  return m.view(std::move(out), "dict_items");
}

Value get(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("get", a, {"key", "default"}, 1);
  m.require_key(*args[0]);
  if (const Value* value = m.find(self, *args[0])) return *value;
  return args[1] ? *args[1] : Value::none();
}

Value copy(Machine& m, const Value& self, Arguments& a) {
  m.bind("copy", a, {});
  return self;  // values never change, so a copy cannot be told from the original
}

Value index(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("index", a, {"value", "start", "end"}, 1);
  const auto& list = self.list().items;
  const auto n = static_cast<int64_t>(list.size());
  const auto bound = [&](const Value* v, int64_t none) {
    if (!v) return none;
    const int64_t at = m.to_integer(*v, "an index");
    return std::clamp<int64_t>(at < 0 ? at + n : at, 0, n);
  };
  for (int64_t i = bound(args[1], 0); i < bound(args[2], n); ++i) {
    if (m.equal(list[static_cast<size_t>(i)], *args[0])) return Value::integer(i);
  }
  m.fail(m.repr(*args[0]).substr(0, 100), " is not in the list");
}

Value count_items(Machine& m, const Value& self, Arguments& a) {
  const auto args = m.bind("count", a, {"value"}, 1);
  int64_t n = 0;
  for (const Value& item : self.list().items) n += m.equal(item, *args[0]) ? 1 : 0;
  return Value::integer(n);
}

Value is_integer(Machine& m, const Value& self, Arguments& a) {
  m.bind("is_integer", a, {});
  const double v = self.as_real();
  return Value::boolean(v - v == 0 &&
                        v == static_cast<double>(static_cast<int64_t>(std::clamp(v, -9e18, 9e18))));
}

struct Method {
  const char* name;
  NativeFunction function;  // null for one that changes its object, which the sandbox refuses
};

constexpr Method kStringMethods[] = {
    {"capitalize", map_method<capitalize>},
    {"casefold", map_method<lower>},
    {"center", pad<'c'>},
    {"count", count},
    {"endswith", starts_or_ends<true>},
    {"find", find_method_of<false, false>},
    {"format", format},
    {"index", find_method_of<false, true>},
    {"isalnum", all_method<is_alnum>},
    {"isalpha", all_method<is_letter>},
    {"isascii", is_ascii},
    {"isdecimal", all_method<is_decimal>},
    {"isdigit", all_method<is_digit_class>},
    {"islower", has_case<false>},
    {"isnumeric", all_method<is_numeric>},
    {"isspace", all_method<is_space>},
    {"istitle", is_title},
    {"isupper", has_case<true>},
    {"join", join},
    {"ljust", pad<'l'>},
    {"lower", map_method<lower>},
    {"lstrip", strip_method<true, false>},
    {"partition", partition<false>},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
    {"replace", replace},
    {"rfind", find_method_of<true, false>},
    {"rindex", find_method_of<true, true>},
    {"rjust", pad<'r'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip_method<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"strip", strip_method<true, true>},
    {"swapcase", map_method<swapcase>},
    {"title", map_method<title>},
    {"upper", map_method<upper>},
    {"zfill", zfill},
};
constexpr Method kDictMethods[] = {
    {"clear", nullptr},  {"copy", copy},     {"get", get},         {"items", items},
    {"keys", keys},      {"pop", nullptr},   {"popitem", nullptr}, {"setdefault", nullptr},
    {"update", nullptr}, {"values", values},
};
constexpr Method kListMethods[] = {
    {"append", nullptr}, {"clear", nullptr},   {"copy", copy},      {"count", count_items},
    {"extend", nullptr}, {"index", index},     {"insert", nullptr}, {"pop", nullptr},
    {"remove", nullptr}, {"reverse", nullptr}, {"sort", nullptr},
};
constexpr Method kTupleMethods[] = {{"count", count_items}, {"index", index}};
constexpr Method kRealMethods[] = {{"is_integer", is_integer}};

}  // namespace

Value find_method(Machine& m, const Value& object, std::string_view name) {
  const auto among = [&](const auto& table) {
    for (const Method& method : table) {
      if (name != method.name) continue;
      if (method.function) return m.native(method.name, method.function, object);
      return m.undefined(
          str("access to attribute '", name, "' of '", type_name(object), "' object is unsafe"));
    }
    return Value();
  };
  switch (object.type()) {
    case Type::string: return among(kStringMethods);
    case Type::dict: return among(kDictMethods);
    case Type::list: return among(kListMethods);
    case Type::tuple:
    case Type::range: return among(kTupleMethods);
    case Type::real: return among(kRealMethods);
    default: return Value();
  }
}

}  // namespace tallow::jinja
