// Error messages are joined from text, numbers and whatever has a to_string.
#include "tallow/error.h"

#include <doctest/doctest.h>

TEST_CASE("str joins literals, characters, booleans and numbers") {
  CHECK(tallow::str("dims ", 768, " and ", -1L, ',', ' ', 0.5, " ", true, std::string(" end")) ==
        "dims 768 and -1, 0.5 true end");
}

TEST_CASE("fail throws an Error with the joined message") {
  CHECK_THROWS_WITH_AS(tallow::fail("matmul: ", 3), "matmul: 3", tallow::Error);
}
