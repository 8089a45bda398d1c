// Running sums, products and log-sums along a dimension.
#include <cmath>
#include <limits>

#include "ops/reduce/registry.h"

namespace tallow {

namespace {

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, Complex>, Complex,
                                std::conditional_t<std::is_integral_v<T>, uint64_t, double>>;
// What is stored: f32 too is written from the f64 that it was summed in.
template <class T>
using Stored = std::conditional_t<std::is_integral_v<T>, int64_t, Wide<T>>;

template <class T, bool kProduct>
struct Running {
  using State = Wide<T>;
  using Result = Stored<T>;
  const Tensor& out;
  State start() const { return State(kProduct ? 1 : 0); }
  void take(State& s, T v, int64_t, Result& r) const {
    if constexpr (kProduct) s *= static_cast<State>(v);
    if constexpr (!kProduct) s += static_cast<State>(v);
    r = static_cast<Result>(s);
  }
  void store(int64_t at, int64_t n, const Result* r) const { write_elements(out, at, n, r); }
};

template <class T>
struct RunningLogSum {
  using State = T;
  using Result = T;
  const Tensor& out;
  State start() const { return -std::numeric_limits<T>::infinity(); }
  void take(State& s, T v, int64_t, Result& r) const {
    const T top = s > v ? s : v, low = s > v ? v : s;
    if (s != s || v != v) {
      s += v;
    } else if (top != low || std::isfinite(top)) {
      s = top + std::log1p(std::exp(low - top));
    }
    r = s;
  }
  void store(int64_t at, int64_t n, const Result* r) const { write_elements(out, at, n, r); }
};

// The one with the larger real part, and the logarithm of what the other adds to it.
template <>
struct RunningLogSum<Complex> {
  using State = Complex;
  using Result = Complex;
  const Tensor& out;
  State start() const { return -std::numeric_limits<double>::infinity(); }
  void take(State& s, Complex v, int64_t i, Result& r) const {
    const bool larger = s.real() > v.real();
    const Complex top = larger ? s : v, low = larger ? v : s;
    if (i == 0) {
      s = v;
    } else if (std::isinf(top.real()) && top.real() == low.real()) {
      s = top.real() < 0 ? low : std::log(std::exp(low) + std::exp(top));
    } else {
      s = top + std::log(1.0 + std::exp(low - top));
    }
    r = s;
  }
  void store(int64_t at, int64_t n, const Result* r) const { write_elements(out, at, n, r); }
};

Specs infer(const char* op, Inputs in, const ScanOptions&) {
  check_not_block(op, in[0]);
  const DType dtype = is_integral(in[0].dtype()) ? DType::i64 : in[0].dtype();
  return {{in[0].shape(), dtype}};
}

template <bool kProduct>
void cpu(Inputs in, Outputs out, const ScanOptions& o) {
  with_any_compute_type(compute_type(in[0].dtype()),
                        [&]<class T>(T) { scan<T>(in[0], o.dim, Running<T, kProduct>{out[0]}); });
}

void logsum_cpu(Inputs in, Outputs out, const ScanOptions& o) {
  with_any_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    if constexpr (!std::is_integral_v<T>) scan<T>(in[0], o.dim, RunningLogSum<T>{out[0]});
  });
}

// x with its dimension `dim` last, and back again.
Tensor last(const Tensor& x, int dim) { return x.dim() < 2 ? x : x.transpose(dim, -1); }
// a[i + 1] at i, and 0 at the end.
Tensor advanced(const Tensor& a) {
  const Tensor end = Tensor::zeros(reduced_shape(a.shape(), 1u << (a.dim() - 1), true), a.dtype());
  return cat({a.narrow(-1, 1, a.size(-1) - 1), end}, -1);
}
// y[i - 1] at i, and `first` at the start.
Tensor delayed(const Tensor& y, double first) {
  const Shape shape = reduced_shape(y.shape(), 1u << (y.dim() - 1), true);
  return cat({Tensor::full(shape, first, y.dtype()), y.narrow(-1, 0, y.size(-1) - 1)}, -1);
}
// As linear_scan, from the end: y[i] = b[i] + a[i + 1] y[i + 1].
Tensor linear_scan_back(const Tensor& a, const Tensor& b) {
  return flip(linear_scan(flip(advanced(a), -1), flip(b, -1)), -1);
}

Tensors cumsum_vjp(const Saved<ScanOptions>& saved, Inputs grads) {
  const int64_t dim = saved.options.dim;
  if (grads[0].dim() == 0) return {grads[0]};
  return {flip(cumsum(flip(grads[0], dim), dim), dim)};
}

// The products before each element, times the sums of what follows: exact at zeros.
Tensors cumprod_vjp(const Saved<ScanOptions>& saved, Inputs grads) {
  const int dim = saved.options.dim;
  if (grads[0].dim() == 0 || grads[0].numel() == 0) return {grads[0]};
  const Tensor x = conjugate(last(saved.inputs[0], dim)), g = last(grads[0], dim);
  return {last(delayed(cumprod(x, -1), 1) * linear_scan_back(x, g), dim)};
}

// The weights exp(y[i] - y[i + 1]) are at most 1, so that nothing overflows.
Tensors logcumsumexp_vjp(const Saved<ScanOptions>& saved, Inputs grads) {
  const int dim = saved.options.dim;
  if (grads[0].dim() == 0 || grads[0].numel() == 0) return {grads[0]};
  const Tensor x = last(saved.inputs[0], dim), y = last(saved.outputs[0], dim),
               g = last(grads[0], dim);
  const double none = -std::numeric_limits<double>::infinity();
  const bool ordered = !is_complex(x.dtype());
  const Tensor finite = ordered ? maximum(y, x.dtype() == DType::f16 ? -65504.0 : -1e38) : y;
  const Tensor step = conjugate(exp(delayed(y, none) - finite));
  return {last(conjugate(exp(x - finite)) * linear_scan_back(step, g), dim)};
}

// The inputs are a and b.
template <class T>
void linear_rows(const Tensor& a, const Tensor& b, const Tensor& out) {
  const int64_t n = out.shape().back();
  if (out.numel() == 0) return;
  ElementReader<T> from_a(a, a.shape()), from_b(b, b.shape());
  parallel_for(out.numel() / n, std::max<int64_t>(1, 8 * kChunk / n),
               [&](int64_t begin, int64_t end, int) {
                 T left[kChunk], right[kChunk];
                 for (int64_t row = begin; row < end; ++row) {
                   T y = T(0);
                   for (int64_t i = 0; i < n; i += kChunk) {
                     const int64_t count = std::min(kChunk, n - i);
                     const T* x = from_a.read(row * n + i, count, left);
                     const T* add = from_b.read(row * n + i, count, right);
                     T results[kChunk];
                     for (int64_t j = 0; j < count; ++j) {
                       results[j] = y = i + j == 0 ? add[j] : x[j] * y + add[j];
                     }
                     write_elements(out, row * n + i, count, results);
                   }
                 }
               });
}

constinit Op<> linear_scan_op{
    "linear_scan",
    {.infer =
         [](Inputs in, const NoOptions&) {
           return Specs{{in[0].shape(), promote(in[0], in[1], "linear_scan")}};
         },
     .vjp =
         [](const Saved<NoOptions>& saved, Inputs grads) {
           const Tensor a = conjugate(saved.inputs[0]);
           const Tensor through = linear_scan_back(a, grads[0]);
           return Tensors{through * conjugate(delayed(saved.outputs[0], 0)), through};
         },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           with_any_compute_type(compute_type(out[0].dtype()),
                                 [&]<class T>(T) { linear_rows<T>(in[0], in[1], out[0]); });
         },
     .save_outputs = true}};

constinit Op<ScanOptions> cumprod_op{
    "cumprod",
    {.infer = [](Inputs in, const ScanOptions& o) { return infer("cumprod", in, o); },
     .vjp = cumprod_vjp,
     .cpu = cpu<true>}};

constinit Op<ScanOptions> logcumsumexp_op{
    "logcumsumexp",
    {.infer = [](Inputs in, const ScanOptions& o) { return infer("logcumsumexp", in, o); },
     .vjp = logcumsumexp_vjp,
     .cpu = logsum_cpu,
     .save_outputs = true}};

}  // namespace

constinit Op<ScanOptions> cumsum_op{
    "cumsum",
    {.infer = [](Inputs in, const ScanOptions& o) { return infer("cumsum", in, o); },
     .vjp = cumsum_vjp,
     .cpu = cpu<false>,
     .shapes_only = true}};

Tensor linear_scan(const Tensor& a, const Tensor& b) { return apply(linear_scan_op, {a, b}); }

Tensor cumsum(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  const ScanOptions options{checked_dim(self, dim, "cumsum")};
  return as_dtype(apply(cumsum_op, {as_dtype(self, dtype)}, options), dtype);
}
Tensor cumprod(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  const ScanOptions options{checked_dim(self, dim, "cumprod")};
  return as_dtype(apply(cumprod_op, {as_dtype(self, dtype)}, options), dtype);
}
Tensor logcumsumexp(const Tensor& self, int64_t dim) {
  const int axis = checked_dim(self, dim, "logcumsumexp");
  if (is_integral(self.dtype())) {
    fail("logcumsumexp: ", self, " is of integers; call .to(f32) first");
  }
  return apply(logcumsumexp_op, {self}, {axis});
}

}  // namespace tallow
