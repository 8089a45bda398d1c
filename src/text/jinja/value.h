// The values that templates compute with: Python's, as far as templates can tell.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tallow::jinja {

class Machine;
class Value;
struct MacroNode;
struct ForNode;
struct Scope;

enum class Type : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  range,
  view,
  generator,
  space,
  function,
  loop,
};

/// What a value of a type beyond numbers points to. `depth` is how deep containers nest in it:
/// values never change once made, so it bounds every recursion over them. Namespaces do change;
/// they count as one level, and the machine bounds what recurses through them.
struct Object {
  virtual ~Object() = default;
  int depth = 0;
};

class Value {
 public:
  Value() = default;
  static Value none() { return Value(Type::none, 0); }
  static Value boolean(bool v) { return Value(Type::boolean, v); }
  static Value integer(int64_t v) { return Value(Type::integer, v); }
  static Value real(double v);
  Value(Type type, std::shared_ptr<Object> object) : type_(type), object_(std::move(object)) {}

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_number() const { return is(Type::boolean) || is(Type::integer) || is(Type::real); }
  bool is_integral() const { return is(Type::boolean) || is(Type::integer); }
  bool is_list_like() const {
    return type_ >= Type::list && type_ <= Type::generator && type_ != Type::dict;
  }

  int64_t as_integer() const { return integer_; }  ///< of a boolean or an integer
  double as_real() const;                          ///< of any number
  const std::string& text() const;                 ///< of a string
  struct List& list() const;                       ///< of what is_list_like
  struct Dict& dict() const;
  struct Namespace& space() const;
  struct Function& function() const;
  struct Loop& loop() const;
  const std::string& why() const;  ///< why an undefined value is undefined
  const void* identity() const { return object_.get(); }
  int depth() const { return object_ ? object_->depth : 0; }

 private:
  Value(Type type, int64_t v) : type_(type), integer_(v) {}

  Type type_ = Type::undefined;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

struct Text : Object {
  std::string text;  // of a string, or why a value is undefined
};

/// A list, tuple, range, view of a dict, or generator, which is consumed from `next` on.
struct List : Object {
  std::vector<Value> items;
  std::string name;                 // of a view: "dict_items"
  std::vector<std::string> fields;  // of a named tuple
  size_t next = 0;
};

struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;
};

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> items;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

using NativeFunction = Value (*)(Machine&, const Value& self, Arguments& arguments);

/// A macro with the scope that it was defined in, or a native function with what it is bound to.
struct Function : Object {
  std::string name;
  NativeFunction native = nullptr;
  Value self;
  const MacroNode* macro = nullptr;
  std::shared_ptr<Scope> scope;
};

/// The state of a for loop, which its body sees as `loop`.
struct Loop : Object {
  const ForNode* node = nullptr;
  std::shared_ptr<Scope> scope;  // around the loop
  Value source;
  size_t position = 0;  // in the source's items
  int64_t index0 = -1;
  int64_t depth0 = 0;
  int64_t known_length = -1;
  bool tested = false;  // the rest has passed the loop's filter already
  bool has_after = false;
  Value before, current, after;
  std::vector<Value> changed;
  bool was_changed = false;
};

/// Python's name of the type: "str", "dict".
const char* type_name(const Value& v);
/// repr(float), as Python prints it.
std::string format_real(double v);
/// Python's truth of a value.
bool truth(const Value& v);

}  // namespace tallow::jinja
