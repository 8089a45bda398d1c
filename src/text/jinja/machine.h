// The machine that a template runs on: its scopes and output, and the limits that keep somebody
// else's program from taking the process down.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/error.h"
#include "tallow/json.h"
#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace tallow::jinja {

/// Variables of one level: the template, a loop's turn, a macro's call.
struct Scope {
  std::vector<std::pair<std::string, Value>> variables;
  std::shared_ptr<Scope> parent;

  Value* find_here(std::string_view name);
  void set(std::string_view name, Value value);
};

class Machine {
 public:
  Machine(const std::string& what, const Json& variables, std::optional<int64_t> now);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs a template's statements; returns what they printed.
  std::string run(const Body& body);

  // Limits.
  static constexpr int64_t kMaxSteps = 10'000'000;
  static constexpr size_t kMaxBytes = size_t{512} << 20;
  static constexpr size_t kMaxString = size_t{64} << 20;
  static constexpr int kMaxDepth = 800;       // of nested evaluation
  static constexpr int kMaxValueDepth = 100;  // of containers in containers
  /// Counts n units of work. Throws Error when the template has done too many.
  void step(size_t n = 1) {
    if ((steps_ += static_cast<int64_t>(n)) > kMaxSteps) too_long();
  }
  /// Counts bytes that the template makes, which are work too.
  void charge(size_t bytes) {
    if (bytes > kMaxString || (bytes_ += bytes) > kMaxBytes) too_large();
    step(bytes / 256);
  }
  /// Throws Error with the template's name and the line that runs.
  template <class... T>
  [[noreturn]] void fail(const T&... parts) const {
    tallow::fail(what_, ": line ", line_, ": ", parts...);
  }
  /// Makes nested evaluation one deeper for as long as it lives.
  class Deeper {
   public:
    explicit Deeper(Machine& m) : m_(m) {
      if (++m.depth_ > kMaxDepth) m.too_deep();
    }
    ~Deeper() { --m_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Machine& m_;
  };

  // Evaluation.
  Value eval(const Expr& expr);
  Flow exec(const Body& body);
  Value call(const Value& callee, Arguments& arguments);
  Value call_macro(const Function& macro, Arguments& arguments);
  Arguments evaluate(const CallArguments& arguments);
  /// Runs `body` in a new scope under `parent`; returns what it printed.
  std::string capture(const Body& body, const std::shared_ptr<Scope>& parent);
  void print(std::string_view text);
  Value lookup(const std::string& name);
  void assign(const Target& target, const Value& value);
  const std::shared_ptr<Scope>& scope() const { return scope_; }
  const std::shared_ptr<Scope>& root() const { return root_; }
  int64_t now() const { return now_; }
  void set_line(int line) { line_ = line; }
  Value make_macro(const MacroNode& node);

  /// Puts a scope in place for as long as it lives.
  class Inside {
   public:
    Inside(Machine& m, std::shared_ptr<Scope> scope) : m_(m), outer_(std::move(m.scope_)) {
      m.scope_ = std::move(scope);
    }
    ~Inside() { m_.scope_ = std::move(outer_); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Machine& m_;
    std::shared_ptr<Scope> outer_;
  };
  std::shared_ptr<Scope> new_scope(std::shared_ptr<Scope> parent);

  // Values.
  Value undefined(std::string why);
  Value string(std::string text);
  Value list(std::vector<Value> items, Type type = Type::list);
  Value view(std::vector<Value> items, const char* name);
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value space(std::vector<std::pair<std::string, Value>> items);
  Value native(const char* name, NativeFunction function, const Value& self);
  Value from_json(const Json& json, int depth = 0);

  // Python's operations.
  std::string str(const Value& v);
  std::string repr(const Value& v);
  void append_repr(std::string& out, const Value& v);
  bool equal(const Value& a, const Value& b);
  bool less(const Value& a, const Value& b, const char* op = "<");
  bool contains(const Value& container, const Value& item);
  Value binary(Operator op, const Value& a, const Value& b);
  bool compare(Operator op, const Value& a, const Value& b);
  Value negate(const Value& v, char op);
  /// The items of anything that can be iterated. A generator is used up.
  std::vector<Value> iterate(const Value& v);
  int64_t length(const Value& v);
  /// The entry of a dict, or null.
  const Value* find(const Value& dict, const Value& key);
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& index);
  Value slice(const Value& object, const Value& begin, const Value& end, const Value& step);
  /// obj[a][b][c] for "a.b.c", where numbers index: how filters name attributes.
  Value path(const Value& object, const Value& attribute);
  void require_key(const Value& v);

  // Arguments of functions: the value of each name, or null, in the order of `names`.
  std::vector<const Value*> bind(const char* function, const Arguments& arguments,
                                 std::initializer_list<const char*> names, size_t required = 0);
  int64_t to_integer(const Value& v, const char* of);
  std::string format_percent(const std::string& format, const Value& values);
  std::string format_braces(const std::string& format, const Arguments& arguments);
  std::string to_json(const Value& v, const Arguments& arguments);

  // A loop's items, one after the other, as its filter lets them through.
  bool next(Loop& loop, Value& item);
  bool peek(Loop& loop);
  int64_t loop_length(Loop& loop);
  Value loop_attribute(const Value& loop, std::string_view name);

 private:
  [[noreturn]] void too_long() const;
  [[noreturn]] void too_large() const;
  [[noreturn]] void too_deep() const;
  bool pull(Loop& loop, Value& item);
  Value binary_numbers(Operator op, const Value& a, const Value& b);
  Value integers(Operator op, int64_t a, int64_t b);
  Value repeat(const Value& sequence, int64_t times);
  int order(const Value& a, const Value& b, const char* op);
  void bind_macro(const MacroNode& node, Scope& scope, Arguments& arguments);

  const std::string& what_;
  std::shared_ptr<Scope> root_, scope_;
  std::string* out_ = nullptr;
  int64_t now_;
  int line_ = 1;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
  int depth_ = 0;
  // What may hold references in a circle, which the end of the run breaks.
  std::vector<std::shared_ptr<Scope>> kept_scopes_;
  std::vector<std::shared_ptr<Namespace>> kept_spaces_;
  std::vector<std::shared_ptr<Loop>> kept_loops_;
  friend struct ForNode;
};

/// A built-in function, such as range, or undefined.
Value find_global(Machine& m, std::string_view name);
/// A method of a string, list or dict, or undefined.
Value find_method(Machine& m, const Value& object, std::string_view name);
/// strftime of a time, in local time.
std::string format_time(Machine& m, const std::string& format, int64_t time);

}  // namespace tallow::jinja
