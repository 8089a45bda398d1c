// The fused LSTM layer.
#pragma once

#include "ops/recurrent/layer.h"

namespace tallow {

struct LstmOptions {
  bool reverse;
  bool train;  // keep what the backward pass needs
};

/// x [T, B, I], h [B, H], c [B, H], w_ih, w_hh, bias [4 H] or undefined (the sum of both), all f32:
/// {output [T, B, H], c [B, H], reserve}. The reserve is the kernel's own, u8, empty where not
/// `train`.
extern Op<LstmOptions> lstm_op;
/// x, h, c, w_ih, w_hh, bias, output, reserve, and the gradients of output and c:
/// those of x, h, c, w_ih, w_hh and bias.
extern Op<LstmOptions> lstm_backward_op;

/// Whether run_fused serves: it gives what run_steps does.
bool is_fusible(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                const LayerWeights& weights);
LayerResult run_fused(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                      const State& first, const LayerWeights& weights, bool reverse);

}  // namespace tallow
