// The filter tojson: json.dumps with its options.
#include <algorithm>
#include <cmath>

#include "core/utf8.h"
#include "text/jinja/machine.h"

namespace tallow::jinja {
namespace {

/// json.dumps with its options.
class JsonWriter {
 public:
  JsonWriter(Machine& m, bool ascii, std::optional<std::string> indent, std::string comma,
             std::string colon, bool sort)
      : m_(m),
        ascii_(ascii),
        indent_(std::move(indent)),
        comma_(std::move(comma)),
        colon_(std::move(colon)),
        sort_(sort) {}
  std::string out;

  void write(const Value& v) {
    const Machine::Deeper deeper(m_);
    m_.step();
    if (out.size() > Machine::kMaxString) m_.charge(out.size());
    switch (v.type()) {
      case Type::none: out += "null"; return;
      case Type::boolean: out += v.as_integer() ? "true" : "false"; return;
      case Type::integer: out += str(v.as_integer()); return;
      case Type::real: real(v.as_real()); return;
      case Type::string: string(v.text()); return;
      case Type::list:
      case Type::tuple: return list(v.list().items);
      case Type::dict: return dict(v.dict());
      default: m_.fail("object of type ", type_name(v), " is not JSON serializable");
    }
  }

 private:
  void real(double v) {
    if (std::isnan(v)) {
      out += "NaN";
    } else if (std::isinf(v)) {
      out += v < 0 ? "-Infinity" : "Infinity";
    } else {
      out += format_real(v);
    }
  }
  void string(const std::string& text) {
    m_.charge(text.size());
    if (!ascii_) return append_json_string(out, text);
    std::string quoted;
    append_json_string(quoted, text);
    for (size_t i = 0; i < quoted.size();) {
      const char32_t c = next_code_point(quoted, i);
      if (c < 0x7F) {
        out += static_cast<char>(c);
      } else if (c < 0x10000) {
        escape(c);
      } else {
        escape(0xD800 + ((c - 0x10000) >> 10));
        escape(0xDC00 + ((c - 0x10000) & 0x3FF));
      }
    }
  }
  void escape(char32_t unit) {
    constexpr char kHex[] = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(unit >> shift) & 15];
  }
  void new_line() {
    if (!indent_) return;
    m_.charge(indent_->size() * static_cast<size_t>(depth_) + 1);
    out += '\n';
    for (int i = 0; i < depth_; ++i) out += *indent_;
  }
  template <class Items, class Write>
  void sequence(char open, char close, const Items& items, const Write& write_item) {
    out += open;
    ++depth_;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += comma_;
      first = false;
      new_line();
      write_item(item);
    }
    --depth_;
    if (!first) new_line();
    out += close;
  }
  void list(const std::vector<Value>& items) {
    sequence('[', ']', items, [&](const Value& item) { write(item); });
  }
  void dict(const Dict& dict) {
    auto items = dict.items;
    if (sort_) {
      std::stable_sort(items.begin(), items.end(),
                       [&](const auto& a, const auto& b) { return m_.less(a.first, b.first); });
    }
    sequence('{', '}', items, [&](const auto& entry) {
      key(entry.first);
      out += colon_;
      write(entry.second);
    });
  }
  void key(const Value& v) {
    if (v.is(Type::string)) return string(v.text());
    if (!v.is_number() && !v.is(Type::none)) {
      m_.fail("JSON keys must be str, int, float, bool or None, not ", type_name(v));
    }
    out += '"';
    write(v);
    out += '"';
  }

  Machine& m_;
  bool ascii_;
  std::optional<std::string> indent_;
  std::string comma_, colon_;
  bool sort_;
  int depth_ = 0;
};

}  // namespace

std::string Machine::to_json(const Value& v, const Arguments& arguments) {
  const auto args =
      bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  const auto given = [&](size_t i) { return args[i] && !args[i]->is(Type::none); };
  std::optional<std::string> indent;
  if (given(1) && args[1]->is(Type::string)) {
    indent = args[1]->text();
  } else if (given(1)) {
    const int64_t width = to_integer(*args[1], "tojson: indent");
    if (width > 1000) fail("tojson: an indent of ", width, " is over 1000");
    indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  std::string comma = indent ? "," : ", ";
  std::string colon = ": ";
  if (given(2)) {
    const std::vector<Value> pair = iterate(*args[2]);
    if (pair.size() != 2) fail("tojson: separators must be a pair of strings");
    comma = str(pair[0]);
    colon = str(pair[1]);
  }
  JsonWriter writer(*this, args[0] && truth(*args[0]), std::move(indent), std::move(comma),
                    std::move(colon), args[3] && truth(*args[3]));
  writer.write(v);
  return std::move(writer.out);
}

}  // namespace tallow::jinja
