// logsumexp in one pass: the sum is rescaled whenever a larger element comes. Milakov and
// Gimelshein, "Online normalizer calculation for softmax", 2018.
#include <cmath>
#include <limits>

#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow {
namespace {

template <class T>
struct LogSum {
  static constexpr bool kOrdered = false;
  struct State {
    T top;
    double sum;  // of exp(v - top)
  };
  const Tensor& out;
  State start() const { return {-std::numeric_limits<T>::infinity(), 0}; }
  void take(State& s, T v, int64_t) const { merge(s, {v, 1}); }
  void merge(State& s, const State& other) const {
    if (other.top == s.top) {
      s.sum += other.sum;
    } else if (other.top > s.top) {
      s = {other.top, other.sum + s.sum * static_cast<double>(std::exp(s.top - other.top))};
    } else {
      s.sum += other.sum * static_cast<double>(std::exp(other.top - s.top));
    }
  }
  void finish(const State& s, int64_t at) const {
    const double top = static_cast<double>(s.top);
    const bool infinite = std::isinf(top) && !std::isnan(s.sum);
    write_result(out, at, infinite ? top : top + std::log(s.sum));
  }
};

Specs infer(Inputs in, const ReduceOptions& o) {
  check_not_block("logsumexp", in[0]);
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), in[0].dtype()}};
}

Tensors vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  const uint32_t dims = saved.options.dims;
  return {spread(grads[0], x, dims) * exp(x - spread(saved.outputs[0], x, dims))};
}

void cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  if (compute_type(in[0].dtype()) == ComputeType::f64) {
    return fold<double>(in[0], o.dims, LogSum<double>{out[0]});
  }
  fold<float>(in[0], o.dims, LogSum<float>{out[0]});
}

}  // namespace

constinit Op<ReduceOptions> logsumexp_op{
    "logsumexp", {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true}};

Tensor logsumexp(const Tensor& self, const Dims& dim, bool keepdim) {
  const Tensor x = as_dtype(self, real_result(self.dtype()));
  const uint32_t dims = reduced_dims(x, dim, "logsumexp");
  if (!is_complex(x.dtype())) return apply(logsumexp_op, {x}, {dims, keepdim});
  if (x.numel() == 0) return log(sum(exp(x), listed(dims), keepdim));
  const Tensor largest = amax(real_part(x.detach()), listed(dims), true);
  const Tensor top = where(isinf(largest), 0, largest);
  const Tensor rest = log(sum(exp(x - top), listed(dims), keepdim));
  return rest + (keepdim ? top : top.reshape(rest.shape()));
}

}  // namespace tallow
