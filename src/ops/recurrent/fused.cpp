// The fused LSTM layer: its op, with the steps of simpler ops as its composite.
#include "ops/recurrent/fused.h"

#include "ops/gradients.h"
#include "tallow/autograd.h"

namespace tallow {

bool is_fusible(Recurrence, const Tensor&, const std::vector<int64_t>&, const LayerWeights&) {
  return false;
}
LayerResult run_fused(Recurrence kind, const Tensor& data, const std::vector<int64_t>& sizes,
                      const State& first, const LayerWeights& weights, bool reverse) {
  return run_steps(kind, data, sizes, first, weights, reverse);
}

}  // namespace tallow
