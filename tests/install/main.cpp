// Uses the installed headers and libraries; its output is read by nobody, its status is the test.
#include <cstdio>

#include "tallow/error.h"
#include "tallow/json.h"

int main() {
  const tallow::Json json = tallow::Json::parse("[1, 2]", "text");
  std::printf("tallow: %s\n", json.dump().c_str());
  return json.items().size() == 2 ? 0 : 1;
}
