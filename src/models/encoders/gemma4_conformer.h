// The layers of Gemma 4's audio tower: a conformer (Gulati et al. 2020, arXiv 2005.08100; Zhang et
// al. 2023, arXiv 2303.01037) as in transformers' modeling_gemma4, on one clip without padding.
#pragma once

#include <memory>
#include <string>

#include "tallow/tensor.h"
#include "tallow/weights.h"

namespace tallow {

struct ConformerConfig {
  explicit ConformerConfig(const Config& config);

  int64_t hidden, layers, heads, kernel, chunk, left, right, output;
  int64_t channels[2] = {128, 32};  // of the convolutions before the layers
  double residual, cap, limit, eps;
  bool clipped;
  std::string activation;

  /// The keys that a query sees: so many before its own, and after. The bounds of the configuration
  /// are exclusive.
  int64_t before() const { return left - 2; }
  int64_t after() const { return right > 1 ? right - 1 : 0; }
};

class Conformer {
 public:
  Conformer(const Weights& layers, const ConformerConfig& config);
  ~Conformer();
  /// x [tokens, hidden]; `states` as AudioEncoder::encode's.
  Tensor operator()(Tensor x, Tensors* states) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallow
