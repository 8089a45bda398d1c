// Making values, scopes and limits; and running expressions and calls.
#include "text/jinja/machine.h"

#include <algorithm>
#include <ctime>

namespace tallow::jinja {

Value* Scope::find_here(std::string_view name) {
  for (auto& [key, value] : variables) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  if (Value* old = find_here(name)) {
    *old = std::move(value);
  } else {
    variables.emplace_back(std::string(name), std::move(value));
  }
}

Machine::Machine(const std::string& what, const Json& variables, std::optional<int64_t> now)
    : what_(what),
      root_(std::make_shared<Scope>()),
      scope_(root_),
      now_(now ? *now : static_cast<int64_t>(std::time(nullptr))) {
  for (const auto& [name, value] : variables.members()) root_->set(name, from_json(value));
}

Machine::~Machine() {
  // Macros hold scopes that hold macros, and namespaces may hold themselves.
  kept_scopes_.push_back(root_);
  for (const auto& scope : kept_scopes_) scope->variables.clear();
  for (const auto& space : kept_spaces_) space->items.clear();
  for (const auto& loop : kept_loops_) {
    loop->source = loop->before = loop->current = loop->after = Value();
    loop->changed.clear();
  }
}

std::string Machine::run(const Body& body) {
  std::string out;
  out_ = &out;
  exec(body);
  return out;
}

void Machine::too_long() const {
  fail("the template runs too long: more than ", kMaxSteps, " steps");
}
void Machine::too_large() const {
  fail("the template makes too much text: more than ", kMaxString >> 20, " MiB at once or ",
       kMaxBytes >> 20, " MiB in all");
}
void Machine::too_deep() const { fail("the template calls itself too deeply"); }

Value Machine::undefined(std::string why) {
  auto object = std::make_shared<Text>();
  object->text = std::move(why);
  return Value(Type::undefined, std::move(object));
}

Value Machine::string(std::string text) {
  charge(text.size());
  auto object = std::make_shared<Text>();
  object->text = std::move(text);
  return Value(Type::string, std::move(object));
}

static std::shared_ptr<List> new_list(Machine& m, std::vector<Value> items) {
  m.charge(items.size() * sizeof(Value));
  auto object = std::make_shared<List>();
  for (const Value& item : items) object->depth = std::max(object->depth, item.depth() + 1);
  if (object->depth > Machine::kMaxValueDepth) m.fail("lists are nested too deeply");
  object->items = std::move(items);
  return object;
}

Value Machine::list(std::vector<Value> items, Type type) {
  return Value(type, new_list(*this, std::move(items)));
}

Value Machine::view(std::vector<Value> items, const char* name) {
  auto object = new_list(*this, std::move(items));
  object->name = name;
  return Value(Type::view, std::move(object));
}

Value Machine::dict(std::vector<std::pair<Value, Value>> items) {
  charge(items.size() * sizeof(items[0]));
  auto object = std::make_shared<Dict>();
  for (const auto& [key, value] : items) {
    object->depth = std::max({object->depth, key.depth() + 1, value.depth() + 1});
  }
  if (object->depth > kMaxValueDepth) fail("dicts are nested too deeply");
  object->items = std::move(items);
  return Value(Type::dict, std::move(object));
}

Value Machine::space(std::vector<std::pair<std::string, Value>> items) {
  charge(items.size() * sizeof(items[0]) + 256);
  auto object = std::make_shared<Namespace>();
  object->items = std::move(items);
  kept_spaces_.push_back(object);
  return Value(Type::space, std::move(object));
}

Value Machine::native(const char* name, NativeFunction function, const Value& self) {
  charge(sizeof(Function));
  auto object = std::make_shared<Function>();
  object->name = name;
  object->native = function;
  object->self = self;
  object->depth = self.depth() + 1;
  return Value(Type::function, std::move(object));
}

Value Machine::from_json(const Json& json, int depth) {
  if (depth >= kMaxValueDepth - 8) fail("a variable is nested too deeply");
  switch (json.kind()) {
    case Json::Kind::null: return Value::none();
    case Json::Kind::boolean: return Value::boolean(json.boolean());
    case Json::Kind::integer: return Value::integer(json.integer());
    case Json::Kind::real: return Value::real(json.number());
    case Json::Kind::string: {
      auto object = std::make_shared<Text>();
      object->text = json.string();
      return Value(Type::string, std::move(object));
    }
    case Json::Kind::array: {
      auto object = std::make_shared<List>();
      for (const Json& item : json.items()) object->items.push_back(from_json(item, depth + 1));
      for (const Value& v : object->items) object->depth = std::max(object->depth, v.depth() + 1);
      return Value(Type::list, std::move(object));
    }
    case Json::Kind::object: {
      auto object = std::make_shared<Dict>();
      for (const auto& [key, value] : json.members()) {
        object->items.emplace_back(from_json(Json(key)), from_json(value, depth + 1));
        object->depth = std::max(object->depth, object->items.back().second.depth() + 1);
      }
      return Value(Type::dict, std::move(object));
    }
  }
  return Value();
}

std::shared_ptr<Scope> Machine::new_scope(std::shared_ptr<Scope> parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  return scope;
}

Value Machine::lookup(const std::string& name) {
  for (Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    step(scope->variables.size() / 8);
    if (const Value* value = scope->find_here(name)) return *value;
  }
  Value value = find_global(*this, name);
  if (value.is(Type::undefined)) return undefined(tallow::str("'", name, "' is undefined"));
  return value;
}

void Machine::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    const std::vector<Value> items = iterate(value);
    if (items.size() != target.items.size()) {
      fail("cannot unpack ", items.size(), " values into ", target.items.size(), " names");
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.items[i], items[i]);
    return;
  }
  if (target.attribute.empty()) return scope_->set(target.name, value);
  const Value object = lookup(target.name);
  if (!object.is(Type::space)) {
    fail("cannot assign attribute '", target.attribute, "' on '", target.name,
         "', which is not a namespace");
  }
  if (target.attribute[0] == '_') {
    fail("a namespace cannot have the attribute '", target.attribute, "'; rename it");
  }
  auto& items = object.space().items;
  for (auto& [name, old] : items) {
    if (name == target.attribute) {
      old = value;
      return;
    }
  }
  charge(sizeof(items[0]));
  items.emplace_back(target.attribute, value);
}

Value Machine::eval(const Expr& expr) {
  const Deeper deeper(*this);
  step();
  return expr.eval(*this);
}

Arguments Machine::evaluate(const CallArguments& arguments) {
  Arguments out;
  for (const ExprPtr& value : arguments.positional) out.positional.push_back(eval(*value));
  for (const auto& [name, value] : arguments.named) {
    for (const auto& [other, unused] : out.named) {
      if (other == name) fail("the argument ", name, " is given twice");
    }
    out.named.emplace_back(name, eval(*value));
  }
  if (arguments.star) {
    for (Value& value : iterate(eval(*arguments.star))) out.positional.push_back(std::move(value));
  }
  if (arguments.double_star) {
    const Value more = eval(*arguments.double_star);
    if (!more.is(Type::dict)) fail("the argument after ** must be a dict, not ", type_name(more));
    for (const auto& [key, value] : more.dict().items) {
      if (!key.is(Type::string)) fail("the keys of the dict after ** must be strings");
      step(out.named.size());
      for (const auto& [other, unused] : out.named) {
        if (other == key.text()) fail("the argument ", other, " is given twice");
      }
      out.named.emplace_back(key.text(), value);
    }
  }
  return out;
}

Value Machine::call(const Value& callee, Arguments& arguments) {
  const Deeper deeper(*this);
  if (callee.is(Type::undefined)) fail(callee.why());
  if (callee.is(Type::loop)) {
    Loop& loop = callee.loop();
    if (!loop.node->recursive) fail("only a loop that is marked recursive can be called");
    if (arguments.positional.size() != 1) fail("loop() takes one argument, the items");
    std::string out;
    std::string* const outer = std::exchange(out_, &out);
    {
      const Inside inside(*this, loop.scope);
      loop.node->run(*this, arguments.positional[0], loop.depth0 + 1);
    }
    out_ = outer;
    return string(std::move(out));
  }
  if (!callee.is(Type::function)) fail("'", type_name(callee), "' object is not callable");
  const Function& function = callee.function();
  if (function.native) return function.native(*this, function.self, arguments);
  return call_macro(function, arguments);
}

Value Machine::make_macro(const MacroNode& node) {
  charge(1024);  // with the scope, which is kept
  auto object = std::make_shared<Function>();
  object->name = node.name;
  object->macro = &node;
  object->scope = scope_;
  object->depth = 1;
  if (kept_scopes_.empty() || kept_scopes_.back() != scope_) kept_scopes_.push_back(scope_);
  return Value(Type::function, std::move(object));
}

void Machine::bind_macro(const MacroNode& node, Scope& scope, Arguments& arguments) {
  const size_t n = node.parameters.size();
  std::vector<bool> given(n, false);
  for (size_t i = 0; i < n && i < arguments.positional.size(); ++i) {
    scope.set(node.parameters[i], std::move(arguments.positional[i]));
    given[i] = true;
  }
  std::vector<std::pair<Value, Value>> kwargs;
  Value caller = undefined("No caller defined");
  for (auto& [name, value] : arguments.named) {
    const auto at = std::find(node.parameters.begin(), node.parameters.end(), name);
    const auto index = static_cast<size_t>(at - node.parameters.begin());
    if (at != node.parameters.end()) {
      if (given[index]) fail("macro '", node.name, "' got two values for '", name, "'");
      scope.set(name, std::move(value));
      given[index] = true;
    } else if (name == "caller" && node.uses_caller) {
      caller = std::move(value);
    } else if (node.uses_kwargs) {
      kwargs.emplace_back(string(name), std::move(value));
    } else {
      fail("macro '", node.name, "' takes no keyword argument '", name, "'");
    }
  }
  const size_t first_default = n - node.defaults.size();
  for (size_t i = 0; i < n; ++i) {
    if (given[i]) continue;
    scope.set(node.parameters[i],
              i >= first_default
                  ? eval(*node.defaults[i - first_default])
                  : undefined(tallow::str("parameter '", node.parameters[i], "' was not given")));
  }
  if (node.uses_caller && !scope.find_here("caller")) scope.set("caller", caller);
  if (node.uses_kwargs && !scope.find_here("kwargs")) scope.set("kwargs", dict(std::move(kwargs)));
  if (arguments.positional.size() <= n && !node.uses_varargs) return;
  if (!node.uses_varargs) {
    fail("macro '", node.name, "' takes ", n, " arguments, ", arguments.positional.size(),
         " were given");
  }
  std::vector<Value> rest;
  for (size_t i = n; i < arguments.positional.size(); ++i) rest.push_back(arguments.positional[i]);
  if (!scope.find_here("varargs")) scope.set("varargs", list(std::move(rest), Type::tuple));
}

Value Machine::call_macro(const Function& macro, Arguments& arguments) {
  const auto local = new_scope(macro.scope);
  const int line = line_;
  std::string out;
  std::string* const outer = std::exchange(out_, &out);
  {
    const Inside inside(*this, local);
    bind_macro(*macro.macro, *local, arguments);
    exec(macro.macro->body);
  }
  out_ = outer;
  line_ = line;
  return string(std::move(out));
}

std::string Machine::capture(const Body& body, const std::shared_ptr<Scope>& parent) {
  std::string out;
  std::string* const outer = std::exchange(out_, &out);
  {
    const Inside inside(*this, new_scope(parent));
    exec(body);
  }
  out_ = outer;
  return out;
}

void Machine::print(std::string_view text) {
  charge(text.size());
  if (out_->size() + text.size() > kMaxString) too_large();
  out_->append(text);
}

std::vector<const Value*> Machine::bind(const char* function, const Arguments& arguments,
                                        std::initializer_list<const char*> names, size_t required) {
  std::vector<const Value*> out(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    fail(function, ": takes ", names.size(), " arguments, ", arguments.positional.size(),
         " were given");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) out[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find_if(names.begin(), names.end(),
                                 [&wanted = name](const char* n) { return wanted == n; });
    if (at == names.end()) fail(function, ": takes no argument '", name, "'");
    const Value*& slot = out[static_cast<size_t>(at - names.begin())];
    if (slot) fail(function, ": got two values for '", name, "'");
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!out[i]) fail(function, ": the argument '", *(names.begin() + i), "' is missing");
  }
  return out;
}

int64_t Machine::to_integer(const Value& v, const char* of) {
  if (!v.is_integral()) fail(of, " must be an integer, not ", type_name(v));
  return v.as_integer();
}

}  // namespace tallow::jinja
