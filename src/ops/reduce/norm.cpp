// Vector norms of any order, and what is made of them: norm, dist, renorm.
#include <cmath>
#include <limits>

#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow {
namespace {

enum class Order { zero, one, two, infinite, least, other };

Order order_of(double p) {
  if (p == 0) return Order::zero;
  if (p == 1) return Order::one;
  if (p == 2) return Order::two;
  if (std::isinf(p)) return p > 0 ? Order::infinite : Order::least;
  return Order::other;
}

template <class T, Order kOrder>
struct NormOf {
  static constexpr bool kOrdered = false;
  static constexpr bool kChooses = kOrder == Order::infinite || kOrder == Order::least;
  using State = double;
  const Tensor& out;
  double p;

  State start() const {
    return kOrder == Order::least ? std::numeric_limits<double>::infinity() : 0;
  }
  void take(State& s, T value, int64_t) const {
    const double v = std::abs(static_cast<double>(value));
    if constexpr (kOrder == Order::zero) s += v != 0;
    if constexpr (kOrder == Order::one) s += v;
    if constexpr (kOrder == Order::two) s += v * v;
    if constexpr (kOrder == Order::infinite) s = v > s || v != v ? v : s;
    if constexpr (kOrder == Order::least) s = v < s || v != v ? v : s;
    if constexpr (kOrder == Order::other) s += std::pow(v, p);
  }
  void merge(State& s, State other) const {
    if constexpr (kChooses) {
      take(s, static_cast<T>(other), 0);
    } else {
      s += other;
    }
  }
  void finish(State s, int64_t at) const {
    if constexpr (kOrder == Order::two) s = std::sqrt(s);
    if constexpr (kOrder == Order::other) s = std::pow(s, 1 / p);
    write_result(out, at, s);
  }
};

Specs infer(Inputs in, const ReduceOptions& o) {
  check_not_block("norm", in[0]);
  if (is_integral(in[0].dtype())) {
    fail("norm: ", in[0], " has no norm of its own dtype; call .to(f32), or give dtype");
  }
  if (std::isinf(o.p) || o.p < 0) check_not_empty("norm", in[0], o.dims);
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), in[0].dtype()}};
}

template <class T>
void run(Inputs in, Outputs out, const ReduceOptions& o) {
  switch (order_of(o.p)) {
    case Order::zero: return fold<T>(in[0], o.dims, NormOf<T, Order::zero>{out[0], o.p});
    case Order::one: return fold<T>(in[0], o.dims, NormOf<T, Order::one>{out[0], o.p});
    case Order::two: return fold<T>(in[0], o.dims, NormOf<T, Order::two>{out[0], o.p});
    case Order::infinite: return fold<T>(in[0], o.dims, NormOf<T, Order::infinite>{out[0], o.p});
    case Order::least: return fold<T>(in[0], o.dims, NormOf<T, Order::least>{out[0], o.p});
    case Order::other: return fold<T>(in[0], o.dims, NormOf<T, Order::other>{out[0], o.p});
  }
}

void cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  if (compute_type(in[0].dtype()) == ComputeType::f64) return run<double>(in, out, o);
  run<float>(in, out, o);
}

// 1 where x is 0, so that x + ones_at_zero(x) divides.
Tensor ones_at_zero(const Tensor& x) { return equal_to(x.detach(), 0.0); }

// Subgradients as PyTorch's: 0 where the norm, or the element's own share, has no derivative.
Tensors vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  const uint32_t dims = saved.options.dims;
  const double p = saved.options.p;
  const Tensor y = spread(saved.outputs[0], x, dims), g = spread(grads[0], x, dims);
  switch (order_of(p)) {
    case Order::zero: return {Tensor::zeros(x.shape(), x.dtype())};
    case Order::one: return {g * sgn(x)};
    case Order::two: return {x * (g / (y + ones_at_zero(y)))};
    case Order::infinite:
    case Order::least: {
      const Tensor nans = logical_and(isnan(x.detach()), isnan(y.detach())).to(x.dtype());
      const Tensor chosen = equal_to(abs(x.detach()), y.detach()) + nans;
      return {sgn(x) * chosen * (g / sum(chosen, listed(dims), true))};
    }
    case Order::other: break;
  }
  const Tensor at_zero = ones_at_zero(x), size = abs(x) + at_zero;
  const Tensor share = sgn(x) * pow(size, p - 1) * (1.0 - at_zero);
  const Tensor scale = y + ones_at_zero(y);
  return {share * (g * pow(scale, 1 - p))};
}

}  // namespace

constinit Op<ReduceOptions> norm_op{"norm",
                                    {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true}};

Tensor norm(const Tensor& self, std::optional<double> p, const Dims& dim, bool keepdim,
            std::optional<DType> dtype) {
  Tensor x = as_dtype(self, dtype);
  if (is_complex(x.dtype())) x = abs(x);
  return apply(norm_op, {x}, {reduced_dims(x, dim, "norm"), keepdim, p.value_or(2)});
}

Tensor dist(const Tensor& self, const Tensor& other, double p) { return norm(self - other, p); }

Tensor renorm(const Tensor& self, double p, int64_t dim, double maxnorm) {
  if (self.dim() < 2) fail("renorm: self ", self, " needs 2 dimensions or more");
  if (!(p > 0)) fail("renorm: p is ", p, "; it must be positive");
  if (!(maxnorm >= 0)) fail("renorm: maxnorm is ", maxnorm, "; it must not be negative");
  const int kept = normalize_dim(dim, self.dim(), "renorm");
  const uint32_t dims = ((1u << self.dim()) - 1) & ~(1u << kept);
  const bool narrow = is_real(self.dtype()) && info(self.dtype()).bytes < 4;
  const Tensor norms =
      norm(self, p, listed(dims), true, narrow ? std::optional(DType::f32) : std::nullopt);
  const Tensor scale = where(gt(norms.detach(), maxnorm), maxnorm / (norms + 1e-7), 1.0);
  return self * scale.to(to_real(self.dtype()));
}

}  // namespace tallow
