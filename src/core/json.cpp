// JSON text in and out. Reading goes through RapidJSON's iterative SAX reader, so no nesting can
// overflow the stack; writing is a page of our own.
#include "tallow/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "core/read_file.h"
#include "core/utf8.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr size_t kMaxDepth = 256;
constexpr const char* kKindNames[] = {"null",   "a boolean", "an integer", "a real",
                                      "string", "an array",  "an object"};

[[noreturn]] void wrong_kind(const char* wanted, const Json& found) {
  fail("json: expected ", wanted, ", found ", kKindNames[static_cast<int>(found.kind())]);
}

/// A low surrogate without its high half, which RapidJSON lets through as three bytes.
bool has_surrogate(std::string_view s) {
  for (size_t at = s.find('\xED'); at != s.npos; at = s.find('\xED', at + 1)) {
    if (at + 1 < s.size() && static_cast<unsigned char>(s[at + 1]) >= 0xA0) return true;
  }
  return false;
}

/// The first key that occurs twice, or null.
const std::string* duplicate_key(const Json::Object& object) {
  if (object.size() <= 16) {
    for (size_t i = 1; i < object.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (object[i].first == object[j].first) return &object[i].first;
      }
    }
    return nullptr;
  }
  std::vector<const std::string*> keys;
  keys.reserve(object.size());
  for (const auto& member : object) keys.push_back(&member.first);
  std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
  const auto equal = [](auto* a, auto* b) { return *a == *b; };
  const auto twin = std::adjacent_find(keys.begin(), keys.end(), equal);
  return twin == keys.end() ? nullptr : *twin;
}

/// Builds a value from RapidJSON's events. Returning false stops the parse; `reason` says why.
class Builder {
 public:
  using Ch = char;
  Json root;
  std::string reason;

  bool Null() { return add(Json()); }
  bool Bool(bool v) { return add(v); }
  bool Int(int v) { return add(int64_t{v}); }
  bool Uint(unsigned v) { return add(int64_t{v}); }
  bool Int64(int64_t v) { return add(v); }
  bool Uint64(uint64_t v) {
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    return v <= kMax ? add(static_cast<int64_t>(v)) : add(static_cast<double>(v));
  }
  bool Double(double v) { return add(v); }
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }
  bool String(const char* text, rapidjson::SizeType n, bool) {
    return check({text, n}) && add(std::string_view(text, n));
  }
  bool Key(const char* text, rapidjson::SizeType n, bool) {
    if (!check({text, n})) return false;
    open_.back()->members().emplace_back(std::string(text, n), Json());
    return true;
  }
  bool StartObject() { return begin(Json::object()); }
  bool StartArray() { return begin(Json::array()); }
  bool EndArray(rapidjson::SizeType) { return end(); }
  bool EndObject(rapidjson::SizeType) {
    if (const std::string* key = duplicate_key(open_.back()->members())) {
      reason = "the key ";
      append_json_string(reason, std::string_view(*key).substr(0, 100));
      reason += " occurs twice in one object";
      return false;
    }
    return end();
  }

 private:
  bool check(std::string_view text) {
    if (!has_surrogate(text)) return true;
    reason = "a surrogate escape stands alone";
    return false;
  }
  Json* place(Json&& value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.items().emplace_back(std::move(value));
    return &(parent.members().back().second = std::move(value));
  }
  [[gnu::noinline]] bool add(Json&& value) {  // inlined, g++ 12 warns of what it cannot follow
    place(std::move(value));
    return true;
  }
  // A parent grows only while its children are closed, so the pointers in open_ stay valid.
  bool begin(Json&& value) {
    if (open_.size() >= kMaxDepth) {
      reason = str("nested deeper than ", kMaxDepth, " levels");
      return false;
    }
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool end() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;
};

std::string format_real(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v < 0 ? "-Infinity" : "Infinity";
  std::string s = str(v);
  if (s.find_first_of(".e") == s.npos) s += ".0";
  return s;
}

class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}
  std::string out;

  void write(const Json& v) {
    switch (v.kind()) {
      case Json::Kind::null: out += "null"; return;
      case Json::Kind::boolean: out += v.boolean() ? "true" : "false"; return;
      case Json::Kind::integer: out += str(v.integer()); return;
      case Json::Kind::real: out += format_real(v.number()); return;
      case Json::Kind::string: append_json_string(out, v.string()); return;
      case Json::Kind::array:
        list('[', ']', v.items(), [this](const Json& item) { write(item); });
        return;
      case Json::Kind::object:
        list('{', '}', v.members(), [this](const auto& member) {
          append_json_string(out, member.first);
          out += indent_ > 0 ? ": " : ":";
          write(member.second);
        });
        return;
    }
  }

 private:
  template <class List, class WriteItem>
  void list(char open, char close, const List& items, const WriteItem& write_item) {
    out += open;
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ',';
      new_line();
      write_item(items[i]);
    }
    --depth_;
    if (!items.empty()) new_line();
    out += close;
  }
  void new_line() {
    if (indent_ <= 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent_) * static_cast<size_t>(depth_), ' ');
  }

  int indent_;
  int depth_ = 0;
};

}  // namespace

// Out of line: inlined into every user, the moves of the variant are much code.
Json::Json() = default;
Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

Json Json::parse(std::string_view text, std::string_view what) {
  using namespace rapidjson;
  constexpr unsigned kFlags = kParseIterativeFlag | kParseFullPrecisionFlag |
                              kParseValidateEncodingFlag | kParseNanAndInfFlag;
  MemoryStream stream(text.data(), text.size());
  Builder builder;
  Reader reader;
  const ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (result.IsError()) {
    fail(what, ": offset ", result.Offset(), ": ",
         builder.reason.empty() ? std::string(GetParseError_En(result.Code())) : builder.reason);
  }
  if (stream.Tell() < text.size()) fail(what, ": offset ", stream.Tell(), ": a zero byte");
  return std::move(builder.root);
}

Json Json::read(const std::string& path) { return parse(read_file(path), path); }

bool Json::boolean() const {
  if (const bool* v = std::get_if<bool>(&value_)) return *v;
  wrong_kind("a boolean", *this);
}

int64_t Json::integer() const {
  if (const int64_t* v = std::get_if<int64_t>(&value_)) return *v;
  const double* v = std::get_if<double>(&value_);
  if (v && *v == std::floor(*v) && std::abs(*v) < 9.2e18) return static_cast<int64_t>(*v);
  wrong_kind("an integer", *this);
}

double Json::number() const {
  if (const double* v = std::get_if<double>(&value_)) return *v;
  if (const int64_t* v = std::get_if<int64_t>(&value_)) return static_cast<double>(*v);
  wrong_kind("a number", *this);
}

const std::string& Json::string() const {
  if (const std::string* v = std::get_if<std::string>(&value_)) return *v;
  wrong_kind("a string", *this);
}

const Json::Array& Json::items() const {
  if (const Array* v = std::get_if<Array>(&value_)) return *v;
  wrong_kind("an array", *this);
}

Json::Array& Json::items() {
  if (Array* v = std::get_if<Array>(&value_)) return *v;
  wrong_kind("an array", *this);
}

const Json::Object& Json::members() const {
  if (const Object* v = std::get_if<Object>(&value_)) return *v;
  wrong_kind("an object", *this);
}

Json::Object& Json::members() {
  if (Object* v = std::get_if<Object>(&value_)) return *v;
  wrong_kind("an object", *this);
}

const Json* Json::find(std::string_view key) const {
  const Object* object = std::get_if<Object>(&value_);
  if (!object) return nullptr;
  for (const auto& [name, value] : *object) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  if (!is_object()) wrong_kind("an object", *this);
  if (const Json* value = find(key)) return *value;
  fail("json: the key \"", key, "\" is missing");
}

void Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (const Json* old = find(key)) {
    const_cast<Json&>(*old) = std::move(value);
    return;
  }
  members().emplace_back(std::string(key), std::move(value));
}

std::string Json::dump(int indent) const {
  Writer writer(indent);
  writer.write(*this);
  return std::move(writer.out);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (c < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          append_utf8(out, c);
        }
    }
  }
  out += '"';
}

}  // namespace tallow
