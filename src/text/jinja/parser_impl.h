// The parser's class, whose methods are in parser.cpp and parser_statements.cpp.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/error.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace tallow::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& what)
      : tokens_(std::move(tokens)), what_(what) {}

  Body run();

 private:
  static constexpr int kMaxTreeDepth = 300;
  static constexpr int kMaxNesting = 400;

  /// Counts how deep the parser has called itself.
  class Deeper {
   public:
    explicit Deeper(Parser& parser) : parser_(parser) {
      if (++parser.nesting_ > kMaxNesting) parser.error("nested too deeply");
    }
    ~Deeper() { --parser_.nesting_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Parser& parser_;
  };

  template <class... T>
  [[noreturn]] void error(const T&... parts) const {
    fail(what_, ": line ", current().line, ": ", parts...);
  }
  const Token& current() const { return tokens_[at_]; }
  bool at_name(std::string_view name) const;
  bool at_op(std::string_view op) const;
  bool skip_name(std::string_view name);
  bool skip_op(std::string_view op);
  void expect_op(std::string_view op);
  std::string expect_name();
  template <class Node>
  ExprPtr finish(std::unique_ptr<Node> node, int line,
                 std::initializer_list<const ExprPtr*> children);

  ExprPtr expression();
  ExprPtr logical(bool is_and);
  ExprPtr logical_or();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr chain(std::initializer_list<std::pair<std::string_view, Operator>> operators,
                ExprPtr (Parser::*operand)());
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr filtered_unary();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr literal(Value value);
  int64_t integer(const std::string& text);
  ExprPtr name_or_constant();
  bool at_tuple_end(std::string_view end) const;
  ExprPtr tuple(std::string_view end, bool parentheses, bool with_conditions = true);
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr object);
  ExprPtr slice_or_expression();
  int call_arguments(CallArguments& out);
  ExprPtr call(ExprPtr callee);
  std::string dotted_name();
  ExprPtr filter(ExprPtr input, bool start_inline);
  ExprPtr test(ExprPtr input);

  Body body(std::initializer_list<std::string_view> ends);
  void output(Body& out);
  StatementPtr statement();
  Target target(std::string_view end, bool with_namespace);
  Target single_target(bool with_namespace);
  StatementPtr if_statement();
  StatementPtr for_statement();
  StatementPtr set_statement();
  StatementPtr with_statement();
  StatementPtr macro_statement();
  StatementPtr call_statement();
  StatementPtr filter_statement();
  StatementPtr generation_statement();
  StatementPtr block_statement();
  StatementPtr print_statement();
  StatementPtr jump_statement(Flow flow);
  void signature(MacroNode& macro);
  void macro_body(MacroNode& macro, std::string_view end);
  void end_block(std::string_view name);

  std::vector<Token> tokens_;
  const std::string& what_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;  // around the statement that is parsed, in the same macro
  bool used_caller_ = false, used_kwargs_ = false, used_varargs_ = false;
};

}  // namespace tallow::jinja
