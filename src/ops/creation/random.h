// Kernels that fill with random numbers.
#pragma once

#include "ops/creation/draws.h"
#include "tallow/op.h"
#include "tallow/random.h"

namespace tallow {

enum class Draw : uint8_t { uniform, normal, bits, exponential, cauchy, geometric, log_normal };

/// Draws of a distribution with two parameters: bounds, mean and deviation, rate, ... `bits` are
/// integers in [low, low + range), all of u64 where range is 0.
struct DrawOptions {
  Shape shape;
  DType dtype;
  Draw draw;
  double a, b;
  int64_t low;
  uint64_t range;
  Generator::Blocks blocks;
};

/// Those of ops at first, then the backend's.
extern DrawKernels draw_kernels;

}  // namespace tallow
