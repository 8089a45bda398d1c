// The syntax tree of a template. A node knows how to run itself on a Machine.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace tallow::jinja {

using FilterFunction = Value (*)(Machine&, const Value& input, Arguments& arguments);
using TestFunction = bool (*)(Machine&, const Value& input, Arguments& arguments);

struct Expr {
  int line = 0;
  int depth = 1;  // of the tree below, this node included
  virtual ~Expr() = default;
  virtual Value eval(Machine& m) const = 0;
};
using ExprPtr = std::unique_ptr<Expr>;

/// What a statement tells the loop around it.
enum class Flow { next, leave, again };

struct Statement {
  int line = 0;
  virtual ~Statement() = default;
  virtual Flow exec(Machine& m) const = 0;
};
using StatementPtr = std::unique_ptr<Statement>;
using Body = std::vector<StatementPtr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;
  ExprPtr double_star;
};

struct Literal : Expr {
  Value value;
  Value eval(Machine& m) const override;
};

struct Name : Expr {
  std::string name;
  Value eval(Machine& m) const override;
};

struct Attribute : Expr {
  ExprPtr object;
  std::string name;
  Value eval(Machine& m) const override;
};

struct Slice : Expr {
  ExprPtr begin, end, step;  // each may be absent
  Value eval(Machine& m) const override;
};

struct Item : Expr {
  ExprPtr object, index;
  Value eval(Machine& m) const override;
};

struct Call : Expr {
  ExprPtr callee;
  CallArguments arguments;
  Value eval(Machine& m) const override;
};

struct Filter : Expr {
  ExprPtr input;  // absent in a filter block
  std::string name;
  FilterFunction function = nullptr;  // null for an unknown name
  CallArguments arguments;
  Value eval(Machine& m) const override;
  /// With absent inputs replaced by `text`.
  Value apply(Machine& m, const Value& text) const;
};

struct Test : Expr {
  ExprPtr input;
  std::string name;
  TestFunction function = nullptr;
  CallArguments arguments;
  Value eval(Machine& m) const override;
};

enum class Operator { add, sub, mul, div, floordiv, mod, pow, eq, ne, lt, le, gt, ge, in, not_in };

struct Unary : Expr {
  char op = '-';  // or '+', or '!' for not
  ExprPtr operand;
  Value eval(Machine& m) const override;
};

struct Binary : Expr {
  Operator op = Operator::add;
  ExprPtr left, right;
  Value eval(Machine& m) const override;
};

struct Logic : Expr {
  bool is_and = false;
  ExprPtr left, right;
  Value eval(Machine& m) const override;
};

struct Compare : Expr {
  ExprPtr first;
  std::vector<std::pair<Operator, ExprPtr>> rest;
  Value eval(Machine& m) const override;
};

struct Concat : Expr {
  std::vector<ExprPtr> parts;
  Value eval(Machine& m) const override;
};

struct Conditional : Expr {
  ExprPtr test, yes, no;  // `no` may be absent
  Value eval(Machine& m) const override;
};

struct Sequence : Expr {
  Type type = Type::list;  // or tuple
  std::vector<ExprPtr> items;
  Value eval(Machine& m) const override;
};

struct DictLiteral : Expr {
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
  Value eval(Machine& m) const override;
};

/// What is assigned to: a name, a namespace's attribute, or a tuple of these.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> items;
  bool is_tuple = false;
};

struct Output : Statement {
  std::string text;  // printed as it is, where there is no expression
  ExprPtr value;
  Flow exec(Machine& m) const override;
};

struct If : Statement {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
  Flow exec(Machine& m) const override;
};

struct ForNode : Statement {
  Target target;
  ExprPtr source;
  ExprPtr test;  // may be absent
  bool recursive = false;
  Body body, otherwise;
  Flow exec(Machine& m) const override;
  void run(Machine& m, const Value& source, int64_t depth0) const;
};

struct Set : Statement {
  Target target;
  ExprPtr value;
  Flow exec(Machine& m) const override;
};

struct SetBlock : Statement {
  Target target;
  ExprPtr filter;  // may be absent
  Body body;
  Flow exec(Machine& m) const override;
};

struct With : Statement {
  std::vector<std::pair<Target, ExprPtr>> values;
  Body body;
  Flow exec(Machine& m) const override;
};

/// A macro, or the body of a call block, which is the macro `caller`.
struct MacroNode : Statement {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  Body body;
  Flow exec(Machine& m) const override;
};

struct CallBlock : Statement {
  MacroNode caller;
  ExprPtr call;  // a Call
  Flow exec(Machine& m) const override;
};

struct FilterBlock : Statement {
  ExprPtr filter;
  Body body;
  Flow exec(Machine& m) const override;
};

/// {% generation %} and {% block %}: a body with a scope of its own.
struct ScopedBlock : Statement {
  bool from_root = false;  // a block does not see the scopes around it
  Body body;
  Flow exec(Machine& m) const override;
};

struct Jump : Statement {
  Flow flow = Flow::leave;
  Flow exec(Machine& m) const override;
};

}  // namespace tallow::jinja
