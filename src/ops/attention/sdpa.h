// The fused attention ops that the CPU backend binds kernels to.
#pragma once

#include "tallow/ops.h"

namespace tallow {

struct SdpaOptions {
  double scale;
  double soft_cap;
  int64_t window;
  bool causal;
};

/// query [batch, heads, L, D], key and value [batch, kv_heads, S, D], mask (added, broadcasts to
/// [batch, heads, L, S], or undefined): {out, lse}, where lse [batch, heads, L] f32 is log2 of the
/// sum of 2^score in units of log2, infinity for a row that sees nothing.
extern Op<SdpaOptions> sdpa_op;
/// query, key, value, mask, out, lse, and the gradient of out: those of query, key and value.
extern Op<SdpaOptions> sdpa_backward_op;

}  // namespace tallow
