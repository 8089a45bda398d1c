// A recursive descent parser that follows jinja2.parser, method by method: expressions. The
// statements are in parser_statements.cpp.
#include "text/jinja/parser.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/parser_impl.h"

namespace tallow::jinja {

bool Parser::at_name(std::string_view name) const {
  return current().kind == TokenKind::name && current().text == name;
}

bool Parser::at_op(std::string_view op) const {
  return current().kind == TokenKind::op && current().text == op;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  ++at_;
  return true;
}

bool Parser::skip_op(std::string_view op) {
  if (!at_op(op)) return false;
  ++at_;
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) error("expected '", op, "', got ", describe(current()));
}

std::string Parser::expect_name() {
  if (current().kind != TokenKind::name) error("expected a name, got ", describe(current()));
  return tokens_[at_++].text;
}

/// Finishes a node: its line, and its depth, which bounds the recursion of all that walks trees.
template <class Node>
ExprPtr Parser::finish(std::unique_ptr<Node> node, int line,
                       std::initializer_list<const ExprPtr*> children) {
  node->line = line;
  for (const ExprPtr* child : children) {
    if (*child) node->depth = std::max(node->depth, (*child)->depth + 1);
  }
  if (node->depth > kMaxTreeDepth) error("an expression is nested too deeply");
  return node;
}

ExprPtr Parser::expression() {
  const Deeper deeper(*this);
  const int line = current().line;
  ExprPtr value = logical_or();
  while (skip_name("if")) {
    auto node = std::make_unique<Conditional>();
    node->yes = std::move(value);
    node->test = logical_or();
    if (skip_name("else")) node->no = expression();
    const auto& n = *node;
    value = finish(std::move(node), line, {&n.yes, &n.test, &n.no});
  }
  return value;
}

ExprPtr Parser::logical(bool is_and) {
  const int line = current().line;
  ExprPtr left = is_and ? logical_not() : logical(true);
  while (skip_name(is_and ? "and" : "or")) {
    auto node = std::make_unique<Logic>();
    node->is_and = is_and;
    node->left = std::move(left);
    node->right = is_and ? logical_not() : logical(true);
    const auto& n = *node;
    left = finish(std::move(node), line, {&n.left, &n.right});
  }
  return left;
}

ExprPtr Parser::logical_or() { return logical(false); }

ExprPtr Parser::logical_not() {
  const Deeper deeper(*this);
  const int line = current().line;
  if (!skip_name("not")) return comparison();
  auto node = std::make_unique<Unary>();
  node->op = '!';
  node->operand = logical_not();
  const auto& n = *node;
  return finish(std::move(node), line, {&n.operand});
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"==", Operator::eq}, {"!=", Operator::ne}, {"<", Operator::lt},
      {"<=", Operator::le}, {">", Operator::gt},  {">=", Operator::ge},
  };
  const int line = current().line;
  ExprPtr first = sum();
  auto node = std::make_unique<Compare>();
  while (true) {
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [&](const auto& row) { return at_op(row.first); });
    Operator op = Operator::in;
    if (found != std::end(kOperators)) {
      op = found->second;
    } else if (at_name("not") && tokens_[at_ + 1].kind == TokenKind::name &&
               tokens_[at_ + 1].text == "in") {
      op = Operator::not_in;
      ++at_;
    } else if (!at_name("in")) {
      break;
    }
    ++at_;
    node->rest.emplace_back(op, sum());
    node->depth = std::max(node->depth, node->rest.back().second->depth + 1);
  }
  if (node->rest.empty()) return first;
  node->first = std::move(first);
  const auto& n = *node;
  return finish(std::move(node), line, {&n.first});
}

/// A left-associative chain of binary operators over `operand`.
ExprPtr Parser::chain(std::initializer_list<std::pair<std::string_view, Operator>> operators,
                      ExprPtr (Parser::*operand)()) {
  const int line = current().line;
  ExprPtr left = (this->*operand)();
  while (true) {
    const auto found = std::find_if(operators.begin(), operators.end(),
                                    [&](const auto& row) { return at_op(row.first); });
    if (found == operators.end()) return left;
    ++at_;
    auto node = std::make_unique<Binary>();
    node->op = found->second;
    node->left = std::move(left);
    node->right = (this->*operand)();
    const auto& n = *node;
    left = finish(std::move(node), line, {&n.left, &n.right});
  }
}

ExprPtr Parser::sum() {
  return chain({{"+", Operator::add}, {"-", Operator::sub}}, &Parser::concatenation);
}

ExprPtr Parser::concatenation() {
  const int line = current().line;
  ExprPtr first = product();
  if (!at_op("~")) return first;
  auto node = std::make_unique<Concat>();
  node->parts.push_back(std::move(first));
  while (skip_op("~")) node->parts.push_back(product());
  for (const ExprPtr& part : node->parts) node->depth = std::max(node->depth, part->depth + 1);
  return finish(std::move(node), line, {});
}

ExprPtr Parser::product() {
  return chain({{"*", Operator::mul},
                {"/", Operator::div},
                {"//", Operator::floordiv},
                {"%", Operator::mod}},
               &Parser::power);
}

ExprPtr Parser::power() { return chain({{"**", Operator::pow}}, &Parser::filtered_unary); }

ExprPtr Parser::filtered_unary() { return unary(true); }

ExprPtr Parser::unary(bool with_filter) {
  const Deeper deeper(*this);
  const int line = current().line;
  ExprPtr node;
  if (at_op("-") || at_op("+")) {
    auto sign = std::make_unique<Unary>();
    sign->op = current().text[0];
    ++at_;
    sign->operand = unary(false);
    const auto& n = *sign;
    node = finish(std::move(sign), line, {&n.operand});
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::literal(Value value) {
  auto node = std::make_unique<Literal>();
  node->value = std::move(value);
  return finish(std::move(node), current().line, {});
}

ExprPtr Parser::primary() {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::name: return name_or_constant();
    case TokenKind::string: {
      auto text = std::make_shared<Text>();
      while (current().kind == TokenKind::string) text->text += tokens_[at_++].text;
      return literal(Value(Type::string, std::move(text)));
    }
    case TokenKind::integer: ++at_; return literal(Value::integer(integer(token.text)));
    case TokenKind::real: {
      ++at_;
      double value = 0;
      const auto end = token.text.data() + token.text.size();
      if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
        error("the number ", token.text.substr(0, 40), " is out of range");
      }
      return literal(Value::real(value));
    }
    default: break;
  }
  if (skip_op("(")) {
    ExprPtr value = tuple(")", true);
    expect_op(")");
    return value;
  }
  if (at_op("[")) return list();
  if (at_op("{")) return dict();
  error("unexpected ", describe(token));
}

int64_t Parser::integer(const std::string& text) {
  int base = 10;
  size_t start = 0;
  if (text.size() > 2 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10) start = 2;
  }
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + start, end, value, base);
  if (result.ec == std::errc() && result.ptr == end) return value;
  error("the number ", text.substr(0, 40), " is not an integer of 64 bits");
}

ExprPtr Parser::name_or_constant() {
  const int line = current().line;
  std::string name = expect_name();
  if (name == "true" || name == "True") return literal(Value::boolean(true));
  if (name == "false" || name == "False") return literal(Value::boolean(false));
  if (name == "none" || name == "None") return literal(Value::none());
  used_caller_ |= name == "caller";
  used_kwargs_ |= name == "kwargs";
  used_varargs_ |= name == "varargs";
  auto node = std::make_unique<Name>();
  node->name = std::move(name);
  return finish(std::move(node), line, {});
}

bool Parser::at_tuple_end(std::string_view end) const {
  if (current().kind == TokenKind::variable_end || current().kind == TokenKind::block_end ||
      current().kind == TokenKind::end) {
    return true;
  }
  return at_op(")") || (!end.empty() && at_name(end));
}

/// One expression, or several with commas. `end` names what may follow a last comma.
ExprPtr Parser::tuple(std::string_view end, bool parentheses, bool with_conditions) {
  const int line = current().line;
  auto node = std::make_unique<Sequence>();
  node->type = Type::tuple;
  bool is_tuple = false;
  while (!at_tuple_end(end)) {
    node->items.push_back(with_conditions ? expression() : logical_or());
    node->depth = std::max(node->depth, node->items.back()->depth + 1);
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !node->items.empty()) return std::move(node->items.front());
  if (!is_tuple && !parentheses) error("expected an expression, got ", describe(current()));
  return finish(std::move(node), line, {});
}

ExprPtr Parser::list() {
  const int line = current().line;
  expect_op("[");
  auto node = std::make_unique<Sequence>();
  while (!at_op("]")) {
    node->items.push_back(expression());
    node->depth = std::max(node->depth, node->items.back()->depth + 1);
    if (!skip_op(",")) break;
  }
  expect_op("]");
  return finish(std::move(node), line, {});
}

ExprPtr Parser::dict() {
  const int line = current().line;
  expect_op("{");
  auto node = std::make_unique<DictLiteral>();
  while (!at_op("}")) {
    ExprPtr key = expression();
    expect_op(":");
    ExprPtr value = expression();
    node->depth = std::max({node->depth, key->depth + 1, value->depth + 1});
    node->items.emplace_back(std::move(key), std::move(value));
    if (!skip_op(",")) break;
  }
  expect_op("}");
  return finish(std::move(node), line, {});
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (at_op(".") || at_op("[")) {
      node = subscript(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (at_op("|")) {
      node = filter(std::move(node), false);
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr object) {
  const int line = current().line;
  if (skip_op(".") && current().kind == TokenKind::name) {
    auto node = std::make_unique<Attribute>();
    node->object = std::move(object);
    node->name = expect_name();
    const auto& n = *node;
    return finish(std::move(node), line, {&n.object});
  }
  auto node = std::make_unique<Item>();
  node->object = std::move(object);
  if (skip_op("[")) {
    auto several = std::make_unique<Sequence>();
    several->type = Type::tuple;
    while (!at_op("]")) {
      if (!several->items.empty()) expect_op(",");
      several->items.push_back(slice_or_expression());
      several->depth = std::max(several->depth, several->items.back()->depth + 1);
    }
    expect_op("]");
    if (several->items.size() == 1) {
      node->index = std::move(several->items.front());
    } else {
      node->index = finish(std::move(several), line, {});
    }
  } else {
    if (current().kind != TokenKind::integer) {
      error("expected a name or a number, got ", describe(current()));
    }
    node->index = literal(Value::integer(integer(current().text)));
    ++at_;
  }
  const auto& n = *node;
  return finish(std::move(node), line, {&n.object, &n.index});
}

ExprPtr Parser::slice_or_expression() {
  const int line = current().line;
  auto node = std::make_unique<Slice>();
  const auto at_end = [&] { return at_op("]") || at_op(",") || at_op(":"); };
  if (!at_op(":")) {
    ExprPtr first = expression();
    if (!at_op(":")) return first;
    node->begin = std::move(first);
  }
  expect_op(":");
  if (!at_end()) node->end = expression();
  if (skip_op(":") && !at_end()) node->step = expression();
  const auto& n = *node;
  return finish(std::move(node), line, {&n.begin, &n.end, &n.step});
}

/// Returns the depth of the deepest argument.
int Parser::call_arguments(CallArguments& out) {
  const auto ensure = [&](bool ok) {
    if (!ok) error("invalid syntax for function call expression");
  };
  int depth = 0;
  const auto parse = [&] {
    ExprPtr value = expression();
    depth = std::max(depth, value->depth);
    return value;
  };
  expect_op("(");
  bool first = true;
  while (!at_op(")")) {
    if (!first) expect_op(",");
    first = false;
    if (at_op(")")) break;
    if (skip_op("*")) {
      ensure(!out.star && !out.double_star);
      out.star = parse();
    } else if (skip_op("**")) {
      ensure(!out.double_star);
      out.double_star = parse();
    } else if (current().kind == TokenKind::name && tokens_[at_ + 1].kind == TokenKind::op &&
               tokens_[at_ + 1].text == "=") {
      ensure(!out.double_star);
      std::string name = expect_name();
      ++at_;
      out.named.emplace_back(std::move(name), parse());
    } else {
      ensure(!out.star && !out.double_star && out.named.empty());
      out.positional.push_back(parse());
    }
  }
  expect_op(")");
  return depth;
}

ExprPtr Parser::call(ExprPtr callee) {
  const int line = current().line;
  auto node = std::make_unique<Call>();
  node->callee = std::move(callee);
  node->depth = call_arguments(node->arguments) + 1;
  const auto& n = *node;
  return finish(std::move(node), line, {&n.callee});
}

std::string Parser::dotted_name() {
  std::string name = expect_name();
  while (skip_op(".")) name += "." + expect_name();
  return name;
}

ExprPtr Parser::filter(ExprPtr input, bool start_inline) {
  while (at_op("|") || start_inline) {
    if (!start_inline) ++at_;
    start_inline = false;
    const int line = current().line;
    auto node = std::make_unique<Filter>();
    node->name = dotted_name();
    node->function = find_filter(node->name);
    node->input = std::move(input);
    if (at_op("(")) node->depth = call_arguments(node->arguments) + 1;
    const auto& n = *node;
    input = finish(std::move(node), line, {&n.input});
  }
  return input;
}

ExprPtr Parser::test(ExprPtr input) {
  const int line = current().line;
  ++at_;
  const bool negated = skip_name("not");
  auto node = std::make_unique<Test>();
  node->name = dotted_name();
  node->function = find_test(node->name);
  node->input = std::move(input);
  const TokenKind kind = current().kind;
  const bool value = kind == TokenKind::name || kind == TokenKind::string ||
                     kind == TokenKind::integer || kind == TokenKind::real || at_op("[") ||
                     at_op("{");
  if (at_op("(")) {
    node->depth = call_arguments(node->arguments) + 1;
  } else if (value && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) error("tests cannot be chained with 'is'");
    const Deeper deeper(*this);
    node->arguments.positional.push_back(postfix(primary()));
    node->depth = node->arguments.positional.back()->depth + 1;
  }
  const auto& n = *node;
  ExprPtr result = finish(std::move(node), line, {&n.input});
  if (!negated) return result;
  auto inverse = std::make_unique<Unary>();
  inverse->op = '!';
  inverse->operand = std::move(result);
  const auto& i = *inverse;
  return finish(std::move(inverse), line, {&i.operand});
}

}  // namespace tallow::jinja
