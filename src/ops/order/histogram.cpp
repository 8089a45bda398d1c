// Counting: bincount, histc, histogram.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/order/values.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

Tensor tensor_of(const std::vector<double>& values, DType dtype) {
  const Tensor out = Tensor::empty({std::ssize(values)}, dtype);
  write_elements(out, 0, out.numel(), values.data());
  return out;
}

void check_bins(const char* op, int64_t bins) {
  if (bins <= 0 || bins >= int64_t{1} << 31) fail(op, ": bins is ", bins, ", outside 1..2^31 - 1");
}

// `bins` + 1 points from low to high, as linspace computes them.
std::vector<double> even_edges(double low, double high, int64_t bins, DType dtype) {
  std::vector<double> edges(static_cast<size_t>(bins + 1));
  const double step = (high - low) / static_cast<double>(bins);
  for (int64_t i = 0; i <= bins; ++i) {
    const auto at = static_cast<size_t>(i);
    edges[at] = 2 * i <= bins ? low + step * static_cast<double>(i)
                              : high - step * static_cast<double>(bins - i);
    if (dtype != DType::f64) edges[at] = static_cast<double>(static_cast<float>(edges[at]));
  }
  return edges;
}

// The extremes of x, or 0 and 1 where it is empty.
std::pair<double, double> extremes(const char* op, const std::vector<double>& x) {
  if (x.empty()) return {0, 1};
  auto [low, high] = std::minmax_element(x.begin(), x.end());
  for (double v : x) {
    if (!std::isfinite(v)) fail(op, ": the range [", *low, ", ", *high, "] is not finite");
  }
  return {*low, *high};
}

std::pair<double, double> extremes_or(const Tensor& range, const std::vector<double>& x) {
  if (!range) return extremes("histogram", x);
  const std::vector<double> given = values_of<double>(range);
  return {given[0], given[1]};
}

void check_range(const char* op, double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) {
    fail(op, ": the range [", low, ", ", high, "] is not finite");
  }
  if (low > high) fail(op, ": max must be larger than min, but they are ", high, " and ", low);
}

// Adds weights (or ones) between the edges; the last interval is closed.
void count_between(const std::vector<double>& x, const std::vector<double>& edges, bool even,
                   const std::vector<double>& weights, std::vector<double>& counts) {
  const double low = edges.front(), high = edges.back();
  const auto bins = static_cast<int64_t>(counts.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] >= low && x[i] <= high)) continue;
    int64_t at;
    if (even) {
      at = static_cast<int64_t>((x[i] - low) / (high - low) * static_cast<double>(bins));
      at = std::clamp<int64_t>(at, 0, bins - 1);
      if (at > 0 && x[i] < edges[static_cast<size_t>(at)]) --at;
      if (at + 1 < bins && x[i] >= edges[static_cast<size_t>(at + 1)]) ++at;
    } else {
      at = std::upper_bound(edges.begin(), edges.end(), x[i]) - edges.begin() - 1;
      at = std::clamp<int64_t>(at, 0, bins - 1);
    }
    counts[static_cast<size_t>(at)] += weights.empty() ? 1 : weights[i];
  }
}

Histogram counted(const Tensor& self, const std::vector<double>& x,
                  const std::vector<double>& edges, bool even, const Tensor& weight, bool density) {
  if (weight && weight.shape() != self.shape()) {
    fail("histogram: weight ", weight, " must have the shape of ", self);
  }
  if (weight && weight.dtype() != self.dtype()) {
    fail("histogram: weight ", weight, " must have the dtype of ", self);
  }
  std::vector<double> counts(edges.size() - 1);
  count_between(x, edges, even, weight ? values_of<double>(weight) : std::vector<double>(), counts);
  if (density) {
    double total = 0;
    for (double c : counts) total += c;
    for (size_t i = 0; i < counts.size(); ++i) counts[i] /= total * (edges[i + 1] - edges[i]);
  }
  return {tensor_of(counts, self.dtype()), tensor_of(edges, self.dtype())};
}

void check_histogram(const char* op, const Tensor& x) {
  check_not_block(op, x);
  if (!is_real(x.dtype())) fail(op, ": ", x, " must be of real numbers; call .to(f32) first");
}

}  // namespace

Tensor bincount(const Tensor& self, const Tensor& weights, int64_t minlength) {
  if (!is_integral(self.dtype()) || self.dtype() == DType::boolean || self.dim() != 1) {
    fail("bincount: self ", self, " must be a list of integers");
  }
  if (minlength < 0) fail("bincount: minlength is ", minlength, "; it must not be negative");
  if (weights && weights.shape() != self.shape()) {
    fail("bincount: weights ", weights, " must have the shape of ", self);
  }
  NoGrad no_grad;
  const std::vector<int64_t> values = values_of<int64_t>(self);
  int64_t length = minlength;
  for (int64_t v : values) {
    if (v < 0) fail("bincount: self holds ", v, "; it must not be negative");
    length = std::max(length, v + 1);
  }
  if (!weights || values.empty()) {
    const Tensor out = Tensor::zeros({length}, DType::i64);
    int64_t* counts = out.data<int64_t>();
    for (int64_t v : values) ++counts[v];
    return out;
  }
  const DType dtype = weights.dtype() == DType::f32 ? DType::f32 : DType::f64;
  const Tensor out = Tensor::zeros({length}, DType::f64);
  const std::vector<double> added = values_of<double>(weights);
  for (size_t i = 0; i < values.size(); ++i) out.data<double>()[values[i]] += added[i];
  return out.to(dtype);
}

Tensor histc(const Tensor& self, int64_t bins, double min, double max) {
  check_not_block("histc", self);
  check_not_complex("histc", self);
  if (self.dtype() == DType::boolean) fail("histc: ", self, " is bool; call .to(i64) first");
  check_bins("histc", bins);
  NoGrad no_grad;
  const std::vector<double> x = values_of<double>(self);
  check_range("histc", min, max);
  if (min == max && !x.empty()) std::tie(min, max) = extremes("histc", x);
  if (min == max) {
    min -= 1;
    max += 1;
  }
  std::vector<double> counts(static_cast<size_t>(bins));
  const double width = max - min;
  for (double v : x) {
    if (!(v >= min && v <= max)) continue;
    const auto at = static_cast<int64_t>((v - min) / width * static_cast<double>(bins));
    ++counts[static_cast<size_t>(std::min(at, bins - 1))];
  }
  return tensor_of(counts, self.dtype());
}

Histogram histogram(const Tensor& self, int64_t bins, const Tensor& range, const Tensor& weight,
                    bool density) {
  check_histogram("histogram", self);
  check_bins("histogram", bins);
  if (range && range.numel() != 2) fail("histogram: range ", range, " must hold two numbers");
  NoGrad no_grad;
  const std::vector<double> x = values_of<double>(self);
  auto [low, high] = extremes_or(range, x);
  check_range("histogram", low, high);
  if (low == high) {
    low -= range ? 1 : 0.5;
    high += range ? 1 : 0.5;
  }
  return counted(self, x, even_edges(low, high, bins, self.dtype()), true, weight, density);
}

Histogram histogram(const Tensor& self, const Tensor& bins, const Tensor& weight, bool density) {
  check_histogram("histogram", self);
  if (bins.dim() != 1 || bins.numel() < 2 || bins.dtype() != self.dtype()) {
    fail("histogram: bins ", bins, " must be 2 edges or more of the dtype of ", self);
  }
  NoGrad no_grad;
  return counted(self, values_of<double>(self), values_of<double>(bins), false, weight, density);
}

}  // namespace tallow
