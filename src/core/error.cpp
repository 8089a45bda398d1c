// The text of error messages.
#include "tallow/error.h"

#include <charconv>

namespace tallow::detail {
namespace {

template <class T>
void append_number(std::string& to, T v) {
  char buffer[32];
  to.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
}

}  // namespace

void append(std::string& to, std::string_view v) { to += v; }
void append(std::string& to, char v) { to += v; }
void append(std::string& to, int64_t v) { append_number(to, v); }
void append(std::string& to, uint64_t v) { append_number(to, v); }
void append(std::string& to, float v) { append_number(to, v); }
void append(std::string& to, double v) { append_number(to, v); }

std::string join(std::initializer_list<Part> parts) {
  std::string s;
  for (const Part& part : parts) part.append_to(s, part.value);
  return s;
}

void throw_error(std::initializer_list<Part> parts) { throw Error(join(parts)); }
void throw_index_error(std::initializer_list<Part> parts) { throw IndexError(join(parts)); }

}  // namespace tallow::detail
