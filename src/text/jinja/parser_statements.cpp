// The parser's statements, and the compiled template.
#include <algorithm>

#include "text/jinja/parser.h"
#include "text/jinja/parser_impl.h"

namespace tallow::jinja {

Template::Template(std::string_view source, std::string what) : what_(std::move(what)) {
  body_ = Parser(tokenize(source, what_), what_).run();
}

Body Parser::run() {
  Body result = body({});
  if (current().kind != TokenKind::end) error("unexpected ", describe(current()));
  return result;
}

/// Statements up to the end of the template, or up to a tag that one of `ends` names; the parser
/// then stands at that name.
Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Deeper deeper(*this);
  Body out;
  while (current().kind != TokenKind::end) {
    if (current().kind == TokenKind::data) {
      auto text = std::make_unique<Output>();
      text->line = current().line;
      text->text = std::move(tokens_[at_++].text);
      out.push_back(std::move(text));
    } else if (current().kind == TokenKind::variable_begin) {
      ++at_;
      output(out);
      if (current().kind != TokenKind::variable_end) {
        error("expected }}, got ", describe(current()));
      }
      ++at_;
    } else {
      ++at_;  // {%
      if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return at_name(end); })) return out;
      const int line = current().line;
      out.push_back(statement());
      out.back()->line = line;
      if (current().kind != TokenKind::block_end) {
        error("expected %}, got ", describe(current()));
      }
      ++at_;
    }
  }
  if (ends.size() > 0)
    error("the template ends inside a block; {% ", *ends.begin(), " %} is missing");
  return out;
}

void Parser::output(Body& out) {
  auto node = std::make_unique<Output>();
  node->line = current().line;
  node->value = tuple("", false);
  out.push_back(std::move(node));
}

StatementPtr Parser::statement() {
  const std::string name = current().kind == TokenKind::name ? current().text : "";
  if (name.empty()) error("expected the name of a tag, got ", describe(current()));
  ++at_;
  if (name == "if") return if_statement();
  if (name == "for") return for_statement();
  if (name == "set") return set_statement();
  if (name == "with") return with_statement();
  if (name == "macro") return macro_statement();
  if (name == "call") return call_statement();
  if (name == "filter") return filter_statement();
  if (name == "generation") return generation_statement();
  if (name == "block") return block_statement();
  if (name == "print") return print_statement();
  if (name == "break") return jump_statement(Flow::leave);
  if (name == "continue") return jump_statement(Flow::again);
  --at_;
  if (name == "include" || name == "import" || name == "from" || name == "extends") {
    error("'", name, "' needs other templates, and a chat template has none");
  }
  error("unknown tag ", describe(current()));
}

/// Moves past `name`, the end of a block, leaving the parser at the tag's end.
void Parser::end_block(std::string_view name) {
  if (!skip_name(name)) error("expected ", name, ", got ", describe(current()));
}

Target Parser::single_target(bool with_namespace) {
  if (skip_op("(")) {
    const Deeper deeper(*this);
    Target inner = target("", with_namespace);
    expect_op(")");
    return inner;
  }
  Target result;
  result.name = expect_name();
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), result.name) !=
      std::end(kConstants)) {
    error("cannot assign to '", result.name, "'");
  }
  if (with_namespace && skip_op(".")) result.attribute = expect_name();
  return result;
}

Target Parser::target(std::string_view end, bool with_namespace) {
  Target result = single_target(with_namespace);
  if (!at_op(",")) return result;
  Target tuple;
  tuple.is_tuple = true;
  tuple.items.push_back(std::move(result));
  while (skip_op(",")) {
    if (at_op(")") || at_op("=") || at_name(end) || current().kind == TokenKind::block_end) break;
    tuple.items.push_back(single_target(with_namespace));
  }
  return tuple;
}

StatementPtr Parser::if_statement() {
  auto node = std::make_unique<If>();
  const auto tag_end = [&] {
    if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
    ++at_;
  };
  while (true) {
    ExprPtr test = tuple("", false, false);
    tag_end();
    Body branch = body({"endif", "elif", "else"});
    node->branches.emplace_back(std::move(test), std::move(branch));
    if (!skip_name("elif")) break;
  }
  if (skip_name("else")) {
    tag_end();
    node->otherwise = body({"endif"});
  }
  end_block("endif");
  return node;
}

StatementPtr Parser::for_statement() {
  auto node = std::make_unique<ForNode>();
  node->target = target("in", false);
  if (!skip_name("in")) error("expected 'in', got ", describe(current()));
  node->source = tuple("recursive", false, false);
  if (skip_name("if")) node->test = expression();
  node->recursive = skip_name("recursive");
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  ++loops_;
  node->body = body({"endfor", "else"});
  --loops_;
  if (skip_name("else")) {
    if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
    ++at_;
    node->otherwise = body({"endfor"});
  }
  end_block("endfor");
  return node;
}

StatementPtr Parser::set_statement() {
  Target where = target("", true);
  if (skip_op("=")) {
    auto node = std::make_unique<Set>();
    node->target = std::move(where);
    node->value = tuple("", false);
    return node;
  }
  auto node = std::make_unique<SetBlock>();
  node->target = std::move(where);
  node->filter = filter(nullptr, false);
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  node->body = body({"endset"});
  end_block("endset");
  return node;
}

StatementPtr Parser::with_statement() {
  auto node = std::make_unique<With>();
  while (current().kind != TokenKind::block_end) {
    if (!node->values.empty()) expect_op(",");
    Target where = single_target(false);
    expect_op("=");
    node->values.emplace_back(std::move(where), expression());
  }
  ++at_;
  node->body = body({"endwith"});
  end_block("endwith");
  return node;
}

void Parser::signature(MacroNode& macro) {
  expect_op("(");
  while (!at_op(")")) {
    if (!macro.parameters.empty()) expect_op(",");
    macro.parameters.push_back(expect_name());
    if (skip_op("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      error("a parameter without a default follows one with a default");
    }
  }
  expect_op(")");
}

/// Parses the body, noting which of the special variables it uses.
void Parser::macro_body(MacroNode& macro, std::string_view end) {
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  const bool caller = std::exchange(used_caller_, false);
  const bool kwargs = std::exchange(used_kwargs_, false);
  const bool varargs = std::exchange(used_varargs_, false);
  const int loops = std::exchange(loops_, 0);
  macro.body = body({end});
  macro.uses_caller = used_caller_;
  macro.uses_kwargs = used_kwargs_;
  macro.uses_varargs = used_varargs_;
  used_caller_ |= caller;
  used_kwargs_ |= kwargs;
  used_varargs_ |= varargs;
  loops_ = loops;
  end_block(end);
}

StatementPtr Parser::macro_statement() {
  auto node = std::make_unique<MacroNode>();
  node->name = expect_name();
  signature(*node);
  macro_body(*node, "endmacro");
  return node;
}

StatementPtr Parser::call_statement() {
  auto node = std::make_unique<CallBlock>();
  node->caller.name = "caller";
  node->caller.line = current().line;
  if (at_op("(")) signature(node->caller);
  node->call = expression();
  if (!dynamic_cast<Call*>(node->call.get())) error("expected a call");
  macro_body(node->caller, "endcall");
  return node;
}

StatementPtr Parser::filter_statement() {
  auto node = std::make_unique<FilterBlock>();
  node->filter = filter(nullptr, true);
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  node->body = body({"endfilter"});
  end_block("endfilter");
  return node;
}

StatementPtr Parser::generation_statement() {
  auto node = std::make_unique<ScopedBlock>();
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  const int loops = std::exchange(loops_, 0);
  node->body = body({"endgeneration"});
  loops_ = loops;
  end_block("endgeneration");
  return node;
}

StatementPtr Parser::block_statement() {
  auto node = std::make_unique<ScopedBlock>();
  const std::string name = expect_name();
  node->from_root = !skip_name("scoped");
  skip_name("required");
  if (current().kind != TokenKind::block_end) error("expected %}, got ", describe(current()));
  ++at_;
  const int loops = std::exchange(loops_, 0);
  node->body = body({"endblock"});
  loops_ = loops;
  end_block("endblock");
  skip_name(name);
  return node;
}

StatementPtr Parser::print_statement() {
  auto parts = std::make_unique<Concat>();
  do {
    parts->parts.push_back(expression());
  } while (skip_op(","));
  auto node = std::make_unique<Output>();
  node->value = std::move(parts);
  return node;
}

StatementPtr Parser::jump_statement(Flow flow) {
  if (loops_ == 0) error("break and continue belong in a loop");
  auto node = std::make_unique<Jump>();
  node->flow = flow;
  return node;
}

}  // namespace tallow::jinja
