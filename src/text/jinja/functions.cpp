// The global functions of a template, the attributes of `loop`, and the tests after `is`.
#include <algorithm>
#include <cmath>
#include <ctime>

#include "text/jinja/machine.h"
#include "text/jinja/parser.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;

Value range(Machine& m, const Value&, Arguments& a) {
  if (a.positional.empty() || a.positional.size() > 3 || !a.named.empty()) {
    m.fail("range: takes 1 to 3 integers");
  }
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < a.positional.size(); ++i) {
    bounds[i] = m.to_integer(a.positional[i], "range: an argument");
  }
  if (a.positional.size() == 1) std::swap(bounds[0], bounds[1]);
  const auto [start, stop, step] = bounds;
  if (step == 0) m.fail("range: the step is zero");
  const auto wide = [](int64_t v) { return static_cast<long double>(v); };
  const long double n = std::ceil((wide(stop) - wide(start)) / wide(step));
  if (n > kMaxRange) m.fail("range: longer than the limit of ", kMaxRange);
  std::vector<Value> out;
  for (int64_t i = 0; i < static_cast<int64_t>(n); ++i) {
    out.push_back(Value::integer(start + i * step));
  }
  Value result = m.list(std::move(out), Type::range);
  result.list().name = str("range(", start, ", ", stop, step == 1 ? "" : str(", ", step), ")");
  return result;
}

/// dict(mapping_or_pairs, **named), as entries.
std::vector<std::pair<Value, Value>> entries(Machine& m, Arguments& a, const char* function) {
  if (a.positional.size() > 1) m.fail(function, ": takes at most 1 positional argument");
  std::vector<std::pair<Value, Value>> out;
  const auto put = [&](const Value& key, const Value& value) {
    m.require_key(key);
    m.step(out.size() / 8);
    for (auto& [k, v] : out) {
      if (m.equal(k, key)) {
        v = value;
        return;
      }
    }
    out.emplace_back(key, value);
  };
  if (!a.positional.empty() && a.positional[0].is(Type::dict)) {
    out = a.positional[0].dict().items;
  } else if (!a.positional.empty() && a.positional[0].is(Type::space)) {
    for (const auto& [key, value] : a.positional[0].space().items) put(m.string(key), value);
  } else if (!a.positional.empty()) {
    for (const Value& item : m.iterate(a.positional[0])) {
      const std::vector<Value> pair = m.iterate(item);
      if (pair.size() != 2) m.fail(function, ": an item is not a pair");
      put(pair[0], pair[1]);
    }
  }
  for (auto& [name, value] : a.named) put(m.string(name), value);
  return out;
}

Value make_dict(Machine& m, const Value&, Arguments& a) { return m.dict(entries(m, a, "dict")); }

Value make_namespace(Machine& m, const Value&, Arguments& a) {
  std::vector<std::pair<std::string, Value>> items;
  for (auto& [key, value] : entries(m, a, "namespace")) {
    if (!key.is(Type::string)) m.fail("namespace: the names must be strings");
    if (!key.text().empty() && key.text()[0] == '_') {
      m.fail("a namespace cannot have the attribute '", key.text(), "'; rename it");
    }
    items.emplace_back(key.text(), value);
  }
  return m.space(std::move(items));
}

Value raise_exception(Machine& m, const Value&, Arguments& a) {
  const auto args = m.bind("raise_exception", a, {"message"}, 1);
  m.fail(m.str(*args[0]));
}

Value strftime_now(Machine& m, const Value&, Arguments& a) {
  const auto args = m.bind("strftime_now", a, {"format"}, 1);
  if (!args[0]->is(Type::string)) m.fail("strftime_now: the format must be a string");
  return m.string(format_time(m, args[0]->text(), m.now()));
}

struct Global {
  const char* name;
  NativeFunction function;
};
constexpr Global kGlobals[] = {
    {"range", range},
    {"dict", make_dict},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};

Value loop_cycle(Machine& m, const Value& self, Arguments& a) {
  if (a.positional.empty()) m.fail("loop.cycle: no items to cycle through");
  return a.positional[static_cast<size_t>(self.loop().index0) % a.positional.size()];
}

Value loop_changed(Machine& m, const Value& self, Arguments& a) {
  Loop& loop = self.loop();
  const bool same =
      loop.was_changed &&
      std::equal(loop.changed.begin(), loop.changed.end(), a.positional.begin(), a.positional.end(),
                 [&](const Value& x, const Value& y) { return m.equal(x, y); });
  loop.was_changed = true;
  loop.changed = a.positional;
  return Value::boolean(!same);
}

// Tests.

bool is_mapping(const Value& v) { return v.is(Type::dict); }
bool is_sequence(const Value& v) {  // has a length and items
  return v.is(Type::string) || v.is(Type::list) || v.is(Type::tuple) || v.is(Type::dict) ||
         v.is(Type::range) || v.is(Type::undefined);
}
bool is_iterable(const Value& v) {
  return v.is_list_like() || v.is(Type::string) || v.is(Type::dict) || v.is(Type::undefined) ||
         v.is(Type::loop);
}
bool is_true(const Value& v) { return v.is(Type::boolean) && v.as_integer() != 0; }
bool is_false(const Value& v) { return v.is(Type::boolean) && v.as_integer() == 0; }
bool is_defined(const Value& v) { return !v.is(Type::undefined); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_callable(const Value& v) {
  return v.is(Type::function) || v.is(Type::loop) || v.is(Type::undefined);
}
template <Type kType>
bool is_a(const Value& v) {
  return v.is(kType);
}

template <bool (*kTest)(const Value&)>
bool plain(Machine& m, const Value& v, Arguments& a) {
  m.bind("a test", a, {});
  return kTest(v);
}

template <Operator kOp>
bool comparison(Machine& m, const Value& v, Arguments& a) {
  return m.compare(kOp, v, *m.bind("a test", a, {"other"}, 1)[0]);
}

bool divides(Machine& m, const Value& v, const Value& by, int64_t rest) {
  return m.equal(m.binary(Operator::mod, v, by), Value::integer(rest));
}
template <int64_t kRest>
bool parity(Machine& m, const Value& v, Arguments& a) {
  m.bind("a test", a, {});
  return divides(m, v, Value::integer(2), kRest);
}
bool divisible_by(Machine& m, const Value& v, Arguments& a) {
  return divides(m, v, *m.bind("divisibleby", a, {"num"}, 1)[0], 0);
}

template <bool kUpper>
bool is_case(Machine& m, const Value& v, Arguments&) {
  Arguments none;
  const Value text = m.string(m.str(v));
  const Value method = m.attribute(text, kUpper ? "isupper" : "islower");
  return truth(m.call(method, none));
}

bool same_as(Machine& m, const Value& v, Arguments& a) {
  const Value& other = *m.bind("sameas", a, {"other"}, 1)[0];
  if (v.type() != other.type()) return false;
  if (v.is(Type::none) || v.is_number() || v.is(Type::string)) return m.equal(v, other);
  return v.identity() == other.identity();
}

bool filter_exists(Machine& m, const Value& v, Arguments&) {
  return v.is(Type::string) && find_filter(m.str(v)) != nullptr;
}
bool test_exists(Machine& m, const Value& v, Arguments&) {
  return v.is(Type::string) && find_test(m.str(v)) != nullptr;
}
bool never(Machine&, const Value&, Arguments&) { return false; }

struct TestRow {
  const char* name;
  TestFunction function;
};
constexpr TestRow kTests[] = {
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible_by},
    {"defined", plain<is_defined>},
    {"undefined", plain<is_a<Type::undefined>>},
    {"filter", filter_exists},
    {"test", test_exists},
    {"none", plain<is_a<Type::none>>},
    {"boolean", plain<is_a<Type::boolean>>},
    {"false", plain<is_false>},
    {"true", plain<is_true>},
    {"integer", plain<is_a<Type::integer>>},
    {"float", plain<is_a<Type::real>>},
    {"lower", is_case<false>},
    {"upper", is_case<true>},
    {"string", plain<is_a<Type::string>>},
    {"mapping", plain<is_mapping>},
    {"number", plain<is_number>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<is_iterable>},
    {"callable", plain<is_callable>},
    {"sameas", same_as},
    {"escaped", never},
    {"in", comparison<Operator::in>},
    {"==", comparison<Operator::eq>},
    {"eq", comparison<Operator::eq>},
    {"equalto", comparison<Operator::eq>},
    {"!=", comparison<Operator::ne>},
    {"ne", comparison<Operator::ne>},
    {">", comparison<Operator::gt>},
    {"gt", comparison<Operator::gt>},
    {"greaterthan", comparison<Operator::gt>},
    {">=", comparison<Operator::ge>},
    {"ge", comparison<Operator::ge>},
    {"<", comparison<Operator::lt>},
    {"lt", comparison<Operator::lt>},
    {"lessthan", comparison<Operator::lt>},
    {"<=", comparison<Operator::le>},
    {"le", comparison<Operator::le>},
};

}  // namespace

Value find_global(Machine& m, std::string_view name) {
  for (const Global& global : kGlobals) {
    if (name == global.name) return m.native(global.name, global.function, Value());
  }
  return Value();
}

TestFunction find_test(std::string_view name) {
  for (const TestRow& row : kTests) {
    if (name == row.name) return row.function;
  }
  return nullptr;
}

Value Machine::loop_attribute(const Value& value, std::string_view name) {
  Loop& loop = value.loop();
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!peek(loop));
  if (name == "length") return Value::integer(loop_length(loop));
  if (name == "revindex") return Value::integer(loop_length(loop) - loop.index0);
  if (name == "revindex0") return Value::integer(loop_length(loop) - loop.index0 - 1);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "previtem") {
    return loop.index0 == 0 ? undefined("there is no previous item") : loop.before;
  }
  if (name == "nextitem") return peek(loop) ? loop.after : undefined("there is no next item");
  if (name == "cycle") return native("cycle", loop_cycle, value);
  if (name == "changed") return native("changed", loop_changed, value);
  return undefined(tallow::str("'LoopContext object' has no attribute '", name, "'"));
}

std::string format_time(Machine& m, const std::string& format, int64_t time) {
  const auto seconds = static_cast<std::time_t>(time);
  std::tm parts{};
  if (!localtime_r(&seconds, &parts)) m.fail("strftime_now: the time is out of range");
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    std::string directive = {'%', format[++i]};
    if ((directive[1] == '-' || directive[1] == '_' || directive[1] == '^' ||
         directive[1] == '#') &&
        i + 1 < format.size()) {
      directive += format[++i];
    }
    if (directive == "%f") {
      out += "000000";
    } else if (directive != "%z" && directive != "%Z") {  // empty: Python's time has no zone
      char buffer[256];
      out.append(buffer, std::strftime(buffer, sizeof buffer, directive.c_str(), &parts));
    }
    m.charge(16);
  }
  return out;
}

}  // namespace tallow::jinja
