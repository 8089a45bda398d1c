// The measured limits are those of a machine: positive, and finite.
#include "tallow/limits.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tallow/error.h"
#include "tallow/parallel.h"

using namespace tallow;

TEST_CASE("limits are positive, finite, and leave the number of threads alone") {
  const int before = num_threads();
  for (double rate : {read_bandwidth(1 << 20, 2), peak_f32(1), peak_bf16(1), peak_int8(2)}) {
    CHECK(rate > 1e6);
    CHECK(std::isfinite(rate));
  }
  CHECK(num_threads() == before);
  CHECK_THROWS_AS(read_bandwidth(0, 1), Error);
}
