// Loading and use of the basic layers.
#include "tallow/error.h"
#include "tallow/nn.h"

namespace tallow::nn {

Linear::Linear(const Weights& w, int64_t in, int64_t out, Bias has_bias)
    : weight(w.get("weight", {out, in})) {
  if (has_bias == Bias::required) bias = w.get("bias", {out});
  if (has_bias == Bias::optional) bias = w.find("bias", {out});
}

Embedding::Embedding(const Weights& w, int64_t vocab, int64_t dim)
    : weight(w.get("weight", {vocab, dim})) {}

RmsNorm::RmsNorm(const Weights& w, int64_t dim, double epsilon, double offset)
    : weight(w.get("weight", {dim}).to(DType::f32)), eps(epsilon) {
  if (offset != 0) weight = weight + offset;
}

Tensor RmsNorm::add(Tensor& x, const Tensor& delta) const {
  if (!delta.defined()) return rms_norm(x, weight.shape(), weight, eps);
  Tensors both = add_rms_norm(x, delta, weight, eps);
  x = both[0];
  return both[1];
}

}  // namespace tallow::nn
