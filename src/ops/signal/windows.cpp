// Windows, computed in f64.
#include <cmath>
#include <numbers>

#include "ops/signal/bessel.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace signal {

// Its power series, whose terms are all positive.
double bessel_i0(double x) {
  const double square = x * x / 4;
  double term = 1, total = 1;
  for (int k = 1; term > total * 1e-17 && k < 2000; ++k) {
    term *= square / (static_cast<double>(k) * k);
    total += term;
  }
  return total;
}

}  // namespace signal

namespace {

// What all windows share; `span` is what a period or a symmetric window divides by.
struct Window {
  const char* name;
  int64_t count;
  double span;
  DType dtype;
};

Window window_of(const char* name, int64_t count, bool sym, std::optional<DType> dtype,
                 bool any_real) {
  const DType type = dtype.value_or(default_dtype());
  if (count < 0) fail(name, ": the length ", count, " is negative");
  const bool known = type == DType::f32 || type == DType::f64;
  if (!known && !(any_real && is_real(type))) {
    fail(name, ": dtype is ", type, "; it must be ", any_real ? "real" : "f32 or f64");
  }
  return {name, count, static_cast<double>(sym ? count - 1 : count), type};
}

template <class F>
Tensor filled(const Window& w, const F& f) {
  const Tensor wide = Tensor::empty({w.count}, DType::f64);
  double* to = wide.data<double>();
  for (int64_t k = 0; k < w.count; ++k) to[k] = w.count == 1 ? 1 : f(static_cast<double>(k));
  return wide.to(w.dtype);
}

Tensor cosines(const Window& w, const Reals& a) {
  if (!a.given()) fail(w.name, ": needs at least one coefficient");
  return filled(w, [&](double k) {
    double total = 0;
    for (int i = 0; i < a.size(); ++i) {
      total += (i % 2 ? -a[i] : a[i]) * std::cos(2 * std::numbers::pi * i * k / w.span);
    }
    return total;
  });
}

Tensor triangle(const Window& w) {
  return filled(w, [&](double k) { return 1 - std::abs(2 * k / w.span - 1); });
}

Tensor kaiser_of(const Window& w, double beta) {
  const double whole = signal::bessel_i0(beta);
  return filled(w, [&](double k) {
    const double at = 2 * k / w.span - 1;
    return signal::bessel_i0(beta * std::sqrt(std::max(0.0, 1 - at * at))) / whole;
  });
}

}  // namespace

Tensor hann_window(int64_t window_length, bool periodic, std::optional<DType> dtype) {
  return cosines(window_of("hann_window", window_length, !periodic, dtype, true), {0.5, 0.5});
}
Tensor hamming_window(int64_t window_length, bool periodic, double alpha, double beta,
                      std::optional<DType> dtype) {
  return cosines(window_of("hamming_window", window_length, !periodic, dtype, true), {alpha, beta});
}
Tensor blackman_window(int64_t window_length, bool periodic, std::optional<DType> dtype) {
  return cosines(window_of("blackman_window", window_length, !periodic, dtype, true),
                 {0.42, 0.5, 0.08});
}
Tensor bartlett_window(int64_t window_length, bool periodic, std::optional<DType> dtype) {
  return triangle(window_of("bartlett_window", window_length, !periodic, dtype, true));
}
Tensor kaiser_window(int64_t window_length, bool periodic, double beta,
                     std::optional<DType> dtype) {
  return kaiser_of(window_of("kaiser_window", window_length, !periodic, dtype, true), beta);
}

namespace signal_windows {

Tensor bartlett(int64_t M, bool sym, std::optional<DType> dtype) {
  return triangle(window_of("bartlett", M, sym, dtype, false));
}
Tensor blackman(int64_t M, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("blackman", M, sym, dtype, false), {0.42, 0.5, 0.08});
}
Tensor cosine(int64_t M, bool sym, std::optional<DType> dtype) {
  const Window w = window_of("cosine", M, sym, dtype, false);
  const double step = std::numbers::pi / static_cast<double>(sym ? M : M + 1);
  return filled(w, [&](double k) { return std::sin((k + 0.5) * step); });
}
Tensor exponential(int64_t M, std::optional<double> center, double tau, bool sym,
                   std::optional<DType> dtype) {
  const Window w = window_of("exponential", M, sym, dtype, false);
  if (tau <= 0) fail("exponential: tau is ", tau, "; it must be positive");
  if (sym && center) fail("exponential: the center of a symmetric window cannot be chosen");
  const double middle = center.value_or(w.span / 2);
  if (M == 1 && center) return Tensor::full({1}, std::exp(-std::abs(*center) / tau), w.dtype);
  return filled(w, [&](double k) { return std::exp(-std::abs(k - middle) / tau); });
}
Tensor gaussian(int64_t M, double std, bool sym, std::optional<DType> dtype) {
  const Window w = window_of("gaussian", M, sym, dtype, false);
  if (std <= 0) fail("gaussian: std is ", std, "; it must be positive");
  return filled(w, [&](double k) {
    const double at = (k - w.span / 2) / std;
    return std::exp(-at * at / 2);
  });
}
Tensor general_cosine(int64_t M, const Reals& a, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("general_cosine", M, sym, dtype, false), a);
}
Tensor general_hamming(int64_t M, double alpha, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("general_hamming", M, sym, dtype, false), {alpha, 1 - alpha});
}
Tensor hamming(int64_t M, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("hamming", M, sym, dtype, false), {0.54, 0.46});
}
Tensor hann(int64_t M, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("hann", M, sym, dtype, false), {0.5, 0.5});
}
Tensor kaiser(int64_t M, double beta, bool sym, std::optional<DType> dtype) {
  const Window w = window_of("kaiser", M, sym, dtype, false);
  if (beta < 0) fail("kaiser: beta is ", beta, "; it must not be negative");
  return kaiser_of(w, beta);
}
Tensor nuttall(int64_t M, bool sym, std::optional<DType> dtype) {
  return cosines(window_of("nuttall", M, sym, dtype, false),
                 {0.3635819, 0.4891775, 0.1365995, 0.0106411});
}

}  // namespace signal_windows
}  // namespace tallow
