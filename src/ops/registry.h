// The op objects that backends bind kernels to. Each is defined in the op's own file.
#pragma once

#include "tallow/ops.h"

namespace tallow {

struct LinearOptions {
  int weights = 1;  ///< inputs are x, then `weights` weights, then `weights` biases (or undefined)
};
struct RmsNormOptions {
  double eps = 1e-6;
};
struct RopeCallOptions {
  bool interleaved = false;
  float scale = 1;
};
struct SoftmaxOptions {
  int dim = -1;
};

extern Op<LinearOptions> linear_op;  // also linear_concat
extern Op<> gated_linear_op;         // x, gate, up, gate_bias, up_bias
extern Op<> routed_linear_op;        // x, weight, experts
extern Op<> embedding_rows_op;       // weight, ids
extern Op<RmsNormOptions> rms_norm_op;
extern Op<RmsNormOptions> add_rms_norm_op;
extern Op<> swiglu_op;
extern Op<RopeCallOptions> rope_op;
extern Op<SoftmaxOptions> softmax_op;
extern Op<> kv_cache_write_op;
extern Op<AttentionOptions> paged_attention_op;
extern Op<> matmul_op;

}  // namespace tallow
