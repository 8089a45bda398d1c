// Filters over sequences and dicts. Those that are generators in Jinja give a generator here: it
// has no length, prints as one, and can be walked once.
#include "text/jinja/filters.h"

#include <algorithm>

#include "text/jinja/parser.h"
#include "text/jinja/strings.h"

namespace tallow::jinja {
namespace {

using Items = std::vector<Value>;

Value generator(Machine& m, Items items) { return m.list(std::move(items), Type::generator); }

/// Strings in lower case, unless case matters.
Value fold(Machine& m, const Value& v, bool case_sensitive) {
  return case_sensitive || !v.is(Type::string) ? v : m.string(lower(v.text()));
}

bool flag(const Value* v) { return v && truth(*v); }
Value or_none(const Value* v) { return v ? *v : Value::none(); }

void stable_sort(Machine& m, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  if (reverse) std::reverse(keyed.begin(), keyed.end());
  std::stable_sort(keyed.begin(), keyed.end(),
                   [&](const auto& a, const auto& b) { return m.less(a.first, b.first); });
  if (reverse) std::reverse(keyed.begin(), keyed.end());
}

Value first(Machine& m, const Value& v, Arguments&) {
  if (v.is_list_like()) {
    List& list = v.list();
    if (list.next >= list.items.size()) return m.undefined("no first item, the sequence is empty");
    return list.items[v.is(Type::generator) ? list.next++ : 0];
  }
  const Items items = m.iterate(v);
  return items.empty() ? m.undefined("no first item, the sequence is empty") : items.front();
}

Value last(Machine& m, const Value& v, Arguments&) {
  if (v.is(Type::generator)) m.fail("'generator' object is not reversible");
  const Items items = m.iterate(v);
  return items.empty() ? m.undefined("no last item, the sequence is empty") : items.back();
}

Value list(Machine& m, const Value& v, Arguments&) { return m.list(m.iterate(v)); }

Value length(Machine& m, const Value& v, Arguments&) { return Value::integer(m.length(v)); }

Value reverse(Machine& m, const Value& v, Arguments&) {
  if (v.is(Type::string)) {
    return m.slice(v, Value::none(), Value::none(), Value::integer(-1));
  }
  Items items = m.iterate(v);
  std::reverse(items.begin(), items.end());
  return m.list(std::move(items), v.is(Type::generator) ? Type::list : Type::generator);
}

Value join(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("join", a, {"d", "attribute"});
  const std::string separator = args[0] ? m.str(*args[0]) : "";
  std::string out;
  bool first_item = true;
  for (const Value& item : m.iterate(v)) {
    if (!first_item) out += separator;
    first_item = false;
    const std::string part = m.str(args[1] ? m.path(item, *args[1]) : item);
    m.charge(part.size() + separator.size());
    out += part;
  }
  return m.string(std::move(out));
}

Value sort(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("sort", a, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : m.iterate(v)) {
    Items key;
    if (args[2] && args[2]->is(Type::string)) {
      const std::string& names = args[2]->text();
      for (size_t at = 0; at <= names.size();) {
        const size_t comma = std::min(names.find(',', at), names.size());
        const Value name = m.string(names.substr(at, comma - at));
        key.push_back(fold(m, m.path(item, name), flag(args[1])));
        at = comma + 1;
      }
    } else {
      key.push_back(fold(m, m.path(item, or_none(args[2])), flag(args[1])));
    }
    keyed.emplace_back(m.list(std::move(key)), item);
  }
  stable_sort(m, keyed, flag(args[0]));
  Items out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return m.list(std::move(out));
}

Value unique(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("unique", a, {"case_sensitive", "attribute"});
  Items seen;
  Items out;
  for (const Value& item : m.iterate(v)) {
    Value key = fold(m, m.path(item, or_none(args[1])), flag(args[0]));
    m.require_key(key);
    const auto same = [&](const Value& other) { return m.equal(key, other); };
    if (std::any_of(seen.begin(), seen.end(), same)) continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return generator(m, std::move(out));
}

template <bool kMax>
Value extreme(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind(kMax ? "max" : "min", a, {"case_sensitive", "attribute"});
  const Items items = m.iterate(v);
  if (items.empty()) return m.undefined("no aggregated item, the sequence is empty");
  const auto key_of = [&](const Value& item) {
    return fold(m, m.path(item, or_none(args[1])), flag(args[0]));
  };
  Value best = items[0];
  Value best_key = key_of(best);
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = key_of(items[i]);
    if (kMax ? !m.less(best_key, key, ">") : !m.less(key, best_key)) continue;
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

Value sum(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("sum", a, {"attribute", "start"});
  Value total = args[1] ? *args[1] : Value::integer(0);
  for (const Value& item : m.iterate(v)) {
    total = m.binary(Operator::add, total, m.path(item, or_none(args[0])));
  }
  return total;
}

Value map(Machine& m, const Value& v, Arguments& a) {
  if (!truth(v)) return generator(m, {});
  Items out;
  if (a.positional.empty()) {
    const auto args = m.bind("map", a, {"attribute", "default"}, 1);
    const Items items = m.iterate(v);
    for (const Value& item : items) {
      Value value = m.path(item, *args[0]);
      const bool missing = value.is(Type::undefined) && args[1] && !args[1]->is(Type::none);
      out.push_back(missing ? Value(*args[1]) : std::move(value));
    }
    return generator(m, std::move(out));
  }
  const std::string name = m.str(a.positional[0]);
  const FilterFunction filter = find_filter(name);
  if (!filter) m.fail("no filter named '", name, "'");
  const Items rest(a.positional.begin() + 1, a.positional.end());
  for (const Value& item : m.iterate(v)) {
    const Machine::Deeper deeper(m);
    Arguments inner{rest, a.named};
    out.push_back(filter(m, item, inner));
  }
  return generator(m, std::move(out));
}

template <bool kKeep, bool kAttribute>
Value select(Machine& m, const Value& v, Arguments& a) {
  if (!truth(v)) return generator(m, {});
  const size_t skip = kAttribute ? 1 : 0;
  if (a.positional.size() < skip) m.fail("selectattr: the attribute's name is missing");
  TestFunction test = nullptr;
  Items rest;
  if (a.positional.size() > skip) {
    const std::string name = m.str(a.positional[skip]);
    test = find_test(name);
    if (!test) m.fail("no test named '", name, "'");
    rest.assign(a.positional.begin() + static_cast<std::ptrdiff_t>(skip) + 1, a.positional.end());
  }
  Items out;
  for (const Value& item : m.iterate(v)) {
    m.step();
    const Value subject = kAttribute ? m.path(item, a.positional[0]) : item;
    Arguments inner{rest, a.named};
    if ((test ? test(m, subject, inner) : truth(subject)) == kKeep) out.push_back(item);
  }
  return generator(m, std::move(out));
}

Value items(Machine& m, const Value& v, Arguments&) {
  if (v.is(Type::undefined)) return generator(m, {});
  if (!v.is(Type::dict)) m.fail("items: a mapping is needed, not ", type_name(v));
  Items out;
  for (const auto& [key, value] : v.dict().items) {
    out.push_back(m.list({key, value}, Type::tuple));
  }
  return generator(m, std::move(out));
}

Value dictsort(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = args[1] ? m.str(*args[1]) : "key";
  if (by != "key" && by != "value") m.fail("dictsort: by must be \"key\" or \"value\"");
  if (!v.is(Type::dict)) m.fail("dictsort: a dict is needed, not ", type_name(v));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : v.dict().items) {
    keyed.emplace_back(fold(m, by == "key" ? key : value, flag(args[0])),
                       m.list({key, value}, Type::tuple));
  }
  stable_sort(m, keyed, flag(args[2]));
  Items out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return m.list(std::move(out));
}

Value batch(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("batch", a, {"linecount", "fill_with"}, 1);
  const int64_t n = m.to_integer(*args[0], "batch: linecount");
  if (n < 1) m.fail("batch: linecount is ", n, "; it must be 1 or more");
  Items out;
  Items row;
  for (const Value& item : m.iterate(v)) {
    if (static_cast<int64_t>(row.size()) == n) out.push_back(m.list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (args[1] && !args[1]->is(Type::none)) {
      m.charge(static_cast<size_t>(n) * sizeof(Value));
      row.resize(static_cast<size_t>(n), *args[1]);
    }
    out.push_back(m.list(std::move(row)));
  }
  return generator(m, std::move(out));
}

Value slice(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("slice", a, {"slices", "fill_with"}, 1);
  const int64_t n = m.to_integer(*args[0], "slice: slices");
  if (n < 1 || n > 100000) m.fail("slice: slices is ", n, "; it must be between 1 and 100000");
  const Items items = m.iterate(v);
  const auto slices = static_cast<size_t>(n);
  const size_t each = items.size() / slices;
  const size_t longer = items.size() % slices;
  Items out;
  size_t at = 0;
  for (size_t i = 0; i < slices; ++i) {
    const size_t take = each + (i < longer ? 1 : 0);
    Items part(items.begin() + static_cast<std::ptrdiff_t>(at),
               items.begin() + static_cast<std::ptrdiff_t>(at + take));
    at += take;
    if (args[1] && !args[1]->is(Type::none) && i >= longer) part.push_back(*args[1]);
    out.push_back(m.list(std::move(part)));
  }
  return generator(m, std::move(out));
}

Value groupby(Machine& m, const Value& v, Arguments& a) {
  const auto args = m.bind("groupby", a, {"attribute", "default", "case_sensitive"}, 1);
  const auto key_of = [&](const Value& item) {
    Value key = m.path(item, *args[0]);
    const bool missing = key.is(Type::undefined) && args[1] && !args[1]->is(Type::none);
    return missing ? *args[1] : key;
  };
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : m.iterate(v)) {
    keyed.emplace_back(fold(m, key_of(item), flag(args[2])), item);
  }
  stable_sort(m, keyed, false);
  Items out;
  for (size_t i = 0; i < keyed.size();) {
    const Value key = keyed[i].first;
    Items group;
    for (; i < keyed.size() && m.equal(keyed[i].first, key); ++i) group.push_back(keyed[i].second);
    const Value shown = key_of(group.front());
    Value pair = m.list({shown, m.list(std::move(group))}, Type::tuple);
    pair.list().fields = {"grouper", "list"};
    out.push_back(std::move(pair));
  }
  return m.list(std::move(out));
}

Value attr(Machine& m, const Value& v, Arguments& a) {
  const std::string name = m.str(*m.bind("attr", a, {"name"}, 1)[0]);
  if (!v.is(Type::dict)) return m.attribute(v, name);
  return find_method(m, v, name);  // not the dict's keys
}

}  // namespace

const std::vector<FilterRow>& sequence_filters() {
  static const std::vector<FilterRow> kRows = {
      {"attr", attr},
      {"batch", batch},
      {"count", length},
      {"dictsort", dictsort},
      {"first", first},
      {"groupby", groupby},
      {"items", items},
      {"join", join},
      {"last", last},
      {"length", length},
      {"list", list},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", select<false, false>},
      {"rejectattr", select<false, true>},
      {"reverse", reverse},
      {"select", select<true, false>},
      {"selectattr", select<true, true>},
      {"slice", slice},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  };
  return kRows;
}

}  // namespace tallow::jinja
