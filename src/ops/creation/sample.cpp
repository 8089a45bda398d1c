// Draws whose probabilities are tensors.
#include <algorithm>
#include <cmath>

#include "ops/elements.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// Values as contiguous f64, without history.
Tensor as_f64(const Tensor& x) {
  NoGrad no_grad;
  return contiguous(x.to(DType::f64));
}

Tensor flips(const Tensor& p, const Shape& shape, DType dtype,
             const std::optional<Generator>& generator) {
  const Tensor chance = as_f64(expand(p, shape));
  const Tensor drawn = rand(shape, generator, DType::f64);
  const Tensor result = Tensor::empty(shape, DType::boolean);
  const double *limit = chance.data<double>(), *at = drawn.data<double>();
  for (int64_t i = 0; i < chance.numel(); ++i) {
    if (!(limit[i] >= 0 && limit[i] <= 1)) {
      fail("bernoulli: probability ", limit[i], " is outside 0 to 1");
    }
    static_cast<bool*>(result.raw())[i] = at[i] < limit[i];
  }
  return result.to(dtype);
}

// The weights of a row, checked, as their running sums.
double running_sums(const double* weights, int64_t n, double* sums) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!(weights[i] >= 0) || std::isinf(weights[i])) {
      fail("multinomial: weight ", weights[i], " is negative or not finite");
    }
    sums[i] = total += weights[i];
  }
  if (!(total > 0)) fail("multinomial: the weights of a row add up to 0");
  return total;
}

void with_replacement(const double* sums, int64_t n, const double* drawn, int64_t count,
                      int64_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    const double at = drawn[i] * sums[n - 1];
    const int64_t found = std::upper_bound(sums, sums + n, at) - sums;
    // Rounding may pass the end; the last index with a weight is meant then.
    out[i] = std::min(found, std::lower_bound(sums, sums + n, sums[n - 1]) - sums);
  }
}

// The largest of u^(1/w), which is what drawing one by one gives. Efraimidis and Spirakis, 2006.
void without_replacement(const double* weights, int64_t n, const double* drawn, int64_t count,
                         int64_t* out) {
  std::vector<std::pair<double, int64_t>> keys;
  for (int64_t i = 0; i < n; ++i) {
    if (weights[i] > 0) keys.emplace_back(-std::log1p(-drawn[i]) / weights[i], i);
  }
  if (static_cast<int64_t>(keys.size()) < count) {
    fail("multinomial: ", count, " samples of ", keys.size(), " weights that are not 0");
  }
  std::partial_sort(keys.begin(), keys.begin() + count, keys.end());
  for (int64_t i = 0; i < count; ++i) out[i] = keys[static_cast<size_t>(i)].second;
}

// Counts of events at unit rate up to `rate`; for large rates by Hoermann's PTRS, 1993.
double poisson_count(double rate, Philox& words) {
  if (rate < 10) {
    double product = words.uniform();
    const double limit = std::exp(-rate);
    double count = 0;
    while (product > limit) {
      product *= words.uniform();
      ++count;
    }
    return count;
  }
  const double b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse = 1.1239 + 1.1328 / (b - 3.4), v_limit = 0.9277 - 3.6224 / (b - 2);
  while (true) {
    const double u = words.uniform() - 0.5, v = words.uniform();
    const double s = 0.5 - std::abs(u), k = std::floor((2 * a / s + b) * u + rate + 0.43);
    if (s >= 0.07 && v <= v_limit) return k;
    if (k < 0 || (s < 0.013 && v > s)) continue;
    const double left = std::log(v) + std::log(inverse) - std::log(a / (s * s) + b);
    if (left <= k * std::log(rate) - rate - std::lgamma(k + 1)) return k;
  }
}

}  // namespace

Tensor bernoulli(const Tensor& self, std::optional<Generator> generator) {
  if (!is_real(self.dtype()))
    fail("bernoulli: probabilities are ", self, "; they need a real dtype");
  return flips(self, self.shape(), self.dtype(), generator);
}

Tensor bernoulli(const Tensor& self, const Tensor& p, std::optional<Generator> generator) {
  check_not_complex("bernoulli", self);
  check_not_block("bernoulli", self);
  return flips(p, self.shape(), self.dtype(), generator);
}

Tensor multinomial(const Tensor& self, int64_t num_samples, bool replacement,
                   std::optional<Generator> generator) {
  if (!is_real(self.dtype())) fail("multinomial: weights are ", self, "; they need a real dtype");
  if (self.dim() != 1 && self.dim() != 2) {
    fail("multinomial: weights are ", self, "; they need 1 or 2 dimensions");
  }
  const int64_t n = self.size(-1), rows = self.dim() == 2 ? self.size(0) : 1;
  if (num_samples < 1) fail("multinomial: num_samples ", num_samples, " is not positive");
  if (n == 0) fail("multinomial: ", self, " has no weights");
  if (n > 1 << 24) fail("multinomial: ", n, " weights are more than 2^24");
  if (!replacement && num_samples > n) {
    fail("multinomial: ", num_samples, " samples of ", n, " weights need replacement");
  }
  const Tensor weights = as_f64(self);
  const int64_t per_row = replacement ? num_samples : n;
  const Tensor drawn = rand({rows, per_row}, generator, DType::f64);
  Shape shape = self.shape();
  shape.back() = num_samples;
  const Tensor result = Tensor::empty(shape, DType::i64);
  std::vector<double> sums(static_cast<size_t>(n));
  for (int64_t r = 0; r < rows; ++r) {
    const double *row = weights.data<double>() + r * n, *u = drawn.data<double>() + r * per_row;
    int64_t* out = result.data<int64_t>() + r * num_samples;
    running_sums(row, n, sums.data());
    if (replacement) {
      with_replacement(sums.data(), n, u, num_samples, out);
    } else {
      without_replacement(row, n, u, num_samples, out);
    }
  }
  return result;
}

Tensor normal(const Tensor& mean, const Tensor& std, std::optional<Generator> generator) {
  NoGrad no_grad;
  check_not_complex("normal", std);
  const Tensor deviations = as_f64(std);
  for (int64_t i = 0; i < deviations.numel(); ++i) {
    if (!(deviations.data<double>()[i] >= 0)) {
      fail("normal: std ", deviations.data<double>()[i], " is negative");
    }
  }
  const Shape shape = broadcast_shapes(mean.shape(), std.shape(), "normal");
  const DType dtype = real_result(promote(mean, std, "normal"));
  return mean + std * randn(shape, std::move(generator), dtype);
}

Tensor poisson(const Tensor& self, std::optional<Generator> generator) {
  if (!is_real(self.dtype())) fail("poisson: rates are ", self, "; they need a real dtype");
  const Tensor rates = as_f64(self), counts = Tensor::empty(self.shape(), DType::f64);
  Generator source = generator ? *generator : default_generator();
  // A stream of words for each element.
  const Generator::Blocks blocks = source.take(static_cast<uint64_t>(rates.numel()));
  for (int64_t i = 0; i < rates.numel(); ++i) {
    const double rate = rates.data<double>()[i];
    if (!(rate >= 0)) fail("poisson: rate ", rate, " is negative");
    Philox words(blocks.seed, blocks.first + static_cast<uint64_t>(i) + 1);
    counts.data<double>()[i] = rate == 0 ? 0 : poisson_count(rate, words);
  }
  return counts.to(self.dtype());
}

}  // namespace tallow
