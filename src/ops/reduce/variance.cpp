// Variances by Welford's updates and Chan's merging, in f64: Chan, Golub and LeVeque, "Updating
// formulae and a pairwise algorithm for computing sample variances", 1979.
#include <cmath>

#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow {
namespace {

double squared(double a, double b) { return a * b; }
double squared(Complex a, Complex b) { return a.real() * b.real() + a.imag() * b.imag(); }

template <class T, bool kRoot>
struct Moments {
  static constexpr bool kOrdered = false;
  using Mean = std::conditional_t<std::is_same_v<T, Complex>, Complex, double>;
  struct State {
    double n;
    Mean mean;
    double squares;
  };
  const Tensor &variance, &average;
  double correction;

  State start() const { return {0, 0, 0}; }
  void take(State& s, T v, int64_t) const {
    const Mean delta = Mean(v) - s.mean;
    s.n += 1;
    s.mean += delta / s.n;
    s.squares += squared(delta, Mean(v) - s.mean);
  }
  void merge(State& s, const State& other) const {
    if (other.n == 0) return;
    const Mean delta = other.mean - s.mean;
    const double n = s.n + other.n;
    s.squares += other.squares + squared(delta, delta) * s.n * other.n / n;
    s.mean += delta * (other.n / n);
    s.n = n;
  }
  void finish(const State& s, int64_t at) const {
    const double degrees = std::max(0.0, s.n - correction);
    const double var = s.n == 0 ? NAN : s.squares / degrees;
    write_result(variance, at, kRoot ? std::sqrt(var) : var);
    write_result(average, at, s.n == 0 ? Mean(NAN) : s.mean);
  }
};

Specs infer(const char* op, Inputs in, const ReduceOptions& o) {
  check_not_block(op, in[0]);
  if (is_integral(in[0].dtype())) {
    fail(op, ": ", in[0], " has no variance of its own dtype; call .to(f32) first");
  }
  const Shape shape = reduced_shape(in[0].shape(), o.dims, o.keepdim);
  return {{shape, to_real(in[0].dtype())}, {shape, in[0].dtype()}};
}

// The gradient by way of the variance's, g, and the mean's, h.
Tensor through_moments(const Tensor& g, const Tensor& h, const Tensor& x, const ReduceOptions& o) {
  const auto count = static_cast<double>(group_count(x, o.dims));
  const double degrees = count - o.p;
  const Tensor centred = x - mean(x, listed(o.dims), true);
  return spread(g * (2.0 / degrees), x, o.dims) * centred + spread(h / count, x, o.dims);
}

Tensors var_vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  return {through_moments(grads[0], grads[1], saved.inputs[0], saved.options)};
}

// A deviation of 0 gets the gradient 0.
Tensors std_vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const Tensor& y = saved.outputs[0];
  const Tensor not_zero = y + equal_to(y.detach(), 0.0);
  return {through_moments(grads[0] / (not_zero * 2.0), grads[1], saved.inputs[0], saved.options)};
}

template <bool kRoot>
void cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  with_any_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    fold<T>(in[0], o.dims, Moments<T, kRoot>{out[0], out[1], o.p});
  });
}

}  // namespace

constinit Op<ReduceOptions> var_op{
    "var",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer("var", in, o); },
     .vjp = var_vjp,
     .cpu = cpu<false>}};
constinit Op<ReduceOptions> std_op{
    "std",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer("std", in, o); },
     .vjp = std_vjp,
     .cpu = cpu<true>,
     .save_outputs = true}};

namespace {

Tensors moments(const Op<ReduceOptions>& op, const Tensor& x, const Dims& dim,
                std::optional<double> correction, bool keepdim) {
  return apply_many(op, {&x, 1}, {reduced_dims(x, dim, op.name), keepdim, correction.value_or(1)});
}

}  // namespace

Tensor var(const Tensor& self, const Dims& dim, std::optional<double> correction, bool keepdim) {
  return moments(var_op, self, dim, correction, keepdim)[0];
}
Tensor std(const Tensor& self, const Dims& dim, std::optional<double> correction, bool keepdim) {
  return moments(std_op, self, dim, correction, keepdim)[0];
}
Tensors var_mean(const Tensor& self, const Dims& dim, std::optional<double> correction,
                 bool keepdim) {
  return moments(var_op, self, dim, correction, keepdim);
}
Tensors std_mean(const Tensor& self, const Dims& dim, std::optional<double> correction,
                 bool keepdim) {
  return moments(std_op, self, dim, correction, keepdim);
}

// The forms that name the correction by a flag.
#define FORMS(result, name)                                                               \
  result name(const Tensor& self, const Dims& dim, bool unbiased, bool keepdim) {         \
    return name(self, dim, std::optional<double>(unbiased ? 1 : 0), keepdim);             \
  }                                                                                       \
  result name(const Tensor& self, bool unbiased) { return name(self, Dims(), unbiased); } \
  result name(const Tensor& self, int dim) { return name(self, Dims(dim)); }
FORMS(Tensor, var)
FORMS(Tensor, std)
FORMS(Tensors, var_mean)
FORMS(Tensors, std_mean)
#undef FORMS

}  // namespace tallow
