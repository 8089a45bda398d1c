// The one kernel of elementwise ops: it broadcasts, converts and divides the work, and calls a
// row's loop over stretches of plain elements.
#pragma once

#include "ops/elementwise/loops.h"
#include "tallow/op.h"

namespace tallow {

/// The scalars that an op was called with: alpha, beta, threshold and the like.
struct Parameters {
  double p[3] = {0, 0, 0};
};

namespace elementwise {

/// What the loops read and write.
struct Plan {
  DType common;   ///< of the inputs
  DType compute;  ///< what they are computed in: `common`, or real where integers become real
  DType result;
};
/// Throws Error, naming the op, where the rule does not admit the inputs' dtypes.
Plan plan(const char* name, Inputs in, const Rule& rule);

Specs infer(const char* name, Inputs in, const Rule& rule);
void run(const char* name, Inputs in, const Tensor& out, const Loops& loops, const Rule& rule,
         const Parameters& parameters);

/// Calls `loop` over inputs read as `types`; it writes `result`, which becomes out's dtype. A type
/// that is not an input's own is one that ElementReader converts to.
/// `light` results, which wait for memory only, are written past the caches where they are large.
void run_loop(Loop loop, Inputs in, const DType* types, const Tensor& out, DType result,
              const Parameters& parameters, bool light = false);

}  // namespace elementwise
}  // namespace tallow
