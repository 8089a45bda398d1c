// What each node of the syntax tree does when it runs.
#include <algorithm>

#include "text/jinja/ast.h"
#include "text/jinja/machine.h"

namespace tallow::jinja {

Value Literal::eval(Machine&) const { return value; }

Value Name::eval(Machine& m) const { return m.lookup(name); }

Value Attribute::eval(Machine& m) const {
  const Value on = m.eval(*object);
  m.set_line(line);
  return m.attribute(on, name);
}

Value Slice::eval(Machine& m) const { m.fail("a slice cannot be part of a tuple"); }

Value Item::eval(Machine& m) const {
  const Value on = m.eval(*object);
  if (const auto* range = dynamic_cast<const Slice*>(index.get())) {
    const auto bound = [&](const ExprPtr& e) { return e ? m.eval(*e) : Value::none(); };
    const Value begin = bound(range->begin);
    const Value end = bound(range->end);
    const Value step = bound(range->step);
    m.set_line(line);
    return m.slice(on, begin, end, step);
  }
  const Value key = m.eval(*index);
  m.set_line(line);
  return m.item(on, key);
}

Value Call::eval(Machine& m) const {
  const Value function = m.eval(*callee);
  Arguments values = m.evaluate(arguments);
  m.set_line(line);
  return m.call(function, values);
}

Value Filter::eval(Machine& m) const { return apply(m, Value()); }

Value Filter::apply(Machine& m, const Value& text) const {
  const Machine::Deeper deeper(m);
  Value on = text;
  if (const auto* inner = dynamic_cast<const Filter*>(input.get())) {
    on = inner->apply(m, text);
  } else if (input) {
    on = m.eval(*input);
  }
  Arguments values = m.evaluate(arguments);
  m.set_line(line);
  if (!function) m.fail("no filter named '", name, "'");
  return function(m, on, values);
}

Value Test::eval(Machine& m) const {
  const Value on = m.eval(*input);
  Arguments values = m.evaluate(arguments);
  m.set_line(line);
  if (!function) m.fail("no test named '", name, "'");
  return Value::boolean(function(m, on, values));
}

Value Unary::eval(Machine& m) const {
  const Value v = m.eval(*operand);
  if (op == '!') return Value::boolean(!truth(v));
  m.set_line(line);
  return m.negate(v, op);
}

Value Binary::eval(Machine& m) const {
  const Value a = m.eval(*left);
  const Value b = m.eval(*right);
  m.set_line(line);
  return m.binary(op, a, b);
}

Value Logic::eval(Machine& m) const {
  Value a = m.eval(*left);
  return truth(a) == is_and ? m.eval(*right) : a;
}

Value Compare::eval(Machine& m) const {
  Value a = m.eval(*first);
  for (const auto& [op, operand] : rest) {
    Value b = m.eval(*operand);
    m.set_line(line);
    if (!m.compare(op, a, b)) return Value::boolean(false);
    a = std::move(b);
  }
  return Value::boolean(true);
}

Value Concat::eval(Machine& m) const {
  std::string out;
  for (const ExprPtr& part : parts) {
    out += m.str(m.eval(*part));
    if (out.size() > Machine::kMaxString) m.charge(out.size());
  }
  return m.string(std::move(out));
}

Value Conditional::eval(Machine& m) const {
  if (truth(m.eval(*test))) return m.eval(*yes);
  if (no) return m.eval(*no);
  return m.undefined("the inline if-expression has no else, and its condition is false");
}

Value Sequence::eval(Machine& m) const {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const ExprPtr& item : items) values.push_back(m.eval(*item));
  return m.list(std::move(values), type);
}

Value DictLiteral::eval(Machine& m) const {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : items) {
    Value k = m.eval(*key);
    Value v = m.eval(*value);
    m.require_key(k);
    m.step(entries.size());
    const auto old = std::find_if(entries.begin(), entries.end(),
                                  [&](const auto& entry) { return m.equal(entry.first, k); });
    if (old == entries.end()) {
      entries.emplace_back(std::move(k), std::move(v));
    } else {
      old->second = std::move(v);
    }
  }
  return m.dict(std::move(entries));
}

Flow Machine::exec(const Body& body) {
  const Deeper deeper(*this);
  for (const StatementPtr& statement : body) {
    step();
    line_ = statement->line;
    const Flow flow = statement->exec(*this);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Flow Output::exec(Machine& m) const {
  if (!value) {
    m.print(text);
    return Flow::next;
  }
  const Value v = m.eval(*value);
  if (v.is(Type::string)) {
    m.print(v.text());
  } else {
    m.print(m.str(v));
  }
  return Flow::next;
}

Flow If::exec(Machine& m) const {
  for (const auto& [test, body] : branches) {
    if (truth(m.eval(*test))) return m.exec(body);
  }
  return m.exec(otherwise);
}

bool Machine::pull(Loop& loop, Value& item) {
  const Value& source = loop.source;
  while (true) {
    List& list = source.list();
    size_t& at = source.is(Type::generator) ? list.next : loop.position;
    if (at >= list.items.size()) return false;
    item = list.items[at++];
    if (!loop.node->test || loop.tested) return true;
    const Inside inside(*this, new_scope(loop.scope));
    assign(loop.node->target, item);
    if (truth(eval(*loop.node->test))) return true;
  }
}

bool Machine::peek(Loop& loop) {
  if (!loop.has_after) loop.has_after = pull(loop, loop.after);
  return loop.has_after;
}

bool Machine::next(Loop& loop, Value& item) {
  if (loop.has_after) {
    item = std::move(loop.after);
    loop.has_after = false;
  } else if (!pull(loop, item)) {
    return false;
  }
  ++loop.index0;
  loop.before = std::move(loop.current);
  loop.current = item;
  return true;
}

int64_t Machine::loop_length(Loop& loop) {
  if (loop.known_length >= 0) return loop.known_length;
  if (!loop.node->test && !loop.source.is(Type::generator)) {
    return loop.known_length = static_cast<int64_t>(loop.source.list().items.size());
  }
  std::vector<Value> rest;
  for (Value item; pull(loop, item);) rest.push_back(item);
  loop.known_length =
      static_cast<int64_t>(rest.size()) + loop.index0 + 1 + (loop.has_after ? 1 : 0);
  // The filter has run over the rest, so what is left is walked as a generator of its own.
  auto list = std::make_shared<List>();
  list->items = std::move(rest);
  loop.source = Value(Type::generator, std::move(list));
  loop.tested = true;
  return loop.known_length;
}

Flow ForNode::exec(Machine& m) const {
  const Value items = m.eval(*source);
  m.set_line(line);
  run(m, items, 0);
  return Flow::next;
}

void ForNode::run(Machine& m, const Value& items, int64_t depth0) const {
  const Machine::Deeper deeper(m);
  auto loop = std::make_shared<Loop>();
  loop->node = this;
  loop->scope = m.scope();
  loop->depth0 = depth0;
  loop->source = items.is_list_like() ? items : m.list(m.iterate(items));
  m.charge(sizeof(Loop));
  const Value value(Type::loop, loop);
  bool any = false;  // turns that ran to their end: a jump does not count
  for (Value item; m.next(*loop, item);) {
    m.step(8);  // a turn makes a scope
    const auto local = m.new_scope(loop->scope);
    const Machine::Inside inside(m, local);
    local->variables.emplace_back("loop", value);
    m.assign(target, item);
    const Flow flow = m.exec(body);
    if (flow == Flow::leave) break;
    any = any || flow == Flow::next;
  }
  // Only a loop that something else holds can be part of a circle.
  if (loop.use_count() > 2) m.kept_loops_.push_back(loop);
  if (any || otherwise.empty()) return;
  const Machine::Inside inside(m, m.new_scope(m.scope()));
  m.exec(otherwise);
}

Flow Set::exec(Machine& m) const {
  m.assign(target, m.eval(*value));
  return Flow::next;
}

static Value filtered(Machine& m, const ExprPtr& filter, std::string text) {
  Value value = m.string(std::move(text));
  return filter ? static_cast<const Filter&>(*filter).apply(m, value) : value;
}

Flow SetBlock::exec(Machine& m) const {
  m.assign(target, filtered(m, filter, m.capture(body, m.scope())));
  return Flow::next;
}

Flow With::exec(Machine& m) const {
  const auto local = m.new_scope(m.scope());
  for (const auto& [target, value] : values) {
    const Value v = m.eval(*value);
    const Machine::Inside inside(m, local);
    m.assign(target, v);
  }
  const Machine::Inside inside(m, local);
  return m.exec(body);
}

Flow MacroNode::exec(Machine& m) const {
  m.scope()->set(name, m.make_macro(*this));
  return Flow::next;
}

Flow CallBlock::exec(Machine& m) const {
  const auto& node = static_cast<const Call&>(*call);
  const Value function = m.eval(*node.callee);
  Arguments arguments = m.evaluate(node.arguments);
  arguments.named.emplace_back("caller", m.make_macro(caller));
  m.set_line(line);
  m.print(m.str(m.call(function, arguments)));
  return Flow::next;
}

Flow FilterBlock::exec(Machine& m) const {
  m.print(m.str(filtered(m, filter, m.capture(body, m.scope()))));
  return Flow::next;
}

Flow ScopedBlock::exec(Machine& m) const {
  const Machine::Inside inside(m, m.new_scope(from_root ? m.root() : m.scope()));
  return m.exec(body);
}

Flow Jump::exec(Machine&) const { return flow; }

}  // namespace tallow::jinja
