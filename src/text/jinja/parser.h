// Jinja source to a syntax tree.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/ast.h"

namespace tallow::jinja {

class Template {
 public:
  /// Throws Error, beginning with `what` and the line, on malformed source.
  Template(std::string_view source, std::string what);

  const std::string& what() const { return what_; }
  const Body& body() const { return body_; }

 private:
  std::string what_;
  Body body_;
};

/// The built-in filter or test of that name, or null.
FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);

}  // namespace tallow::jinja
