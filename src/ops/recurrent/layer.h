// One layer of a recurrent network in one direction.
#pragma once

#include <vector>

#include "tallow/ops.h"

namespace tallow {

enum class Recurrence : uint8_t { lstm, gru, rnn_tanh, rnn_relu };

inline const char* name_of(Recurrence kind) {
  switch (kind) {
    case Recurrence::lstm: return "lstm";
    case Recurrence::gru: return "gru";
    case Recurrence::rnn_tanh: return "rnn_tanh";
    case Recurrence::rnn_relu: return "rnn_relu";
  }
  return "";
}
inline int64_t gates_of(Recurrence kind) {
  return kind == Recurrence::lstm ? 4 : kind == Recurrence::gru ? 3 : 1;
}

/// Biases are both defined or both not; w_hr is an LSTM's projection, or undefined.
struct LayerWeights {
  Tensor w_ih, w_hh, b_ih, b_hh, w_hr;
};

struct State {
  Tensor h, c;  // [rows, H]; c is an LSTM's
};

/// The state after a step; gates [rows, G H] is the input's part, bias included.
State recurrent_step(Recurrence kind, const Tensor& gates, const State& before,
                     const LayerWeights& weights);

struct LayerResult {
  Tensor output;  // [sum of sizes, H]
  State last;
};

/// A direction of a layer over data [sum of sizes, I], sizes[t] rows a step, which do not grow,
/// step by step of simpler ops.
LayerResult run_steps(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                      const State& first, const LayerWeights& weights, bool reverse);

}  // namespace tallow
