// Jinja's tokens, with its rules of white space: trim_blocks, lstrip_blocks, and the signs in tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tallow::jinja {

enum class TokenKind {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // of data and strings, with newlines and escapes resolved
  int line = 1;
};

/// Throws Error, beginning with `what` and the line, on a malformed tag, string or number.
std::vector<Token> tokenize(std::string_view source, const std::string& what);

/// How a message names a token.
std::string describe(const Token& token);

}  // namespace tallow::jinja
