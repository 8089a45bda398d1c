// Resampling by a windowed sinc (Smith, Digital Audio Resampling), as steep as libsoxr's high
// quality: flat to 0.91 of the lower rate's half, 120 dB down from there on.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "tallow/audio.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr double kCrossings = 90;  // of zero, on each side, at the lower rate
constexpr double kCutoff = 0.9565, kBeta = 12.27;
constexpr int64_t kLanes = 16;

/// I0(sqrt(z)), the modified Bessel function, by its series.
double bessel_of_root(double z) {
  static constexpr auto kSeries = [] {
    std::array<double, 33> terms{1};
    for (size_t k = 1; k < terms.size(); ++k) {
      terms[k] = terms[k - 1] / static_cast<double>(4 * k * k);
    }
    return terms;
  }();
  double sum = 0;
  for (size_t k = kSeries.size(); k-- > 0;) sum = sum * z + kSeries[k];
  return sum;
}

/// The weights of the samples around a place that lies `after` the middle one.
class Filter {
 public:
  /// For samples at `ratio` times the rate that they had.
  explicit Filter(double ratio)
      : scale_(std::min(1.0, ratio)),
        reach_(static_cast<int64_t>(std::ceil(kCrossings / scale_))),
        taps_((2 * reach_ + kLanes) / kLanes * kLanes) {}

  int64_t reach() const { return reach_; }
  int64_t taps() const { return taps_; }  // a multiple of kLanes

  void weights(double after, float* out) const {
    double sum = 0;
    std::fill_n(out, taps_, 0.0F);
    for (int64_t i = 0; i <= 2 * reach_; ++i) {
      const double w = weight(static_cast<double>(i - reach_) - after);
      out[i] = static_cast<float>(w);
      sum += w;
    }
    const auto share = static_cast<float>(1 / sum);
    for (int64_t i = 0; i <= 2 * reach_; ++i) out[i] *= share;
  }

 private:
  double weight(double x) const {
    const double inside = x * scale_ / kCrossings, angle = std::numbers::pi * kCutoff * scale_ * x;
    if (std::abs(inside) >= 1) return 0;
    const double window = bessel_of_root(kBeta * kBeta * (1 - inside * inside));
    return window * (angle == 0 ? 1 : std::sin(angle) / angle);
  }

  double scale_;
  int64_t reach_, taps_;
};

float dot(const float* a, const float* b, int64_t n) {
  std::array<float, kLanes> lanes{};
  for (int64_t i = 0; i < n; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) lanes[static_cast<size_t>(j)] += a[i + j] * b[i + j];
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

/// A row: `period` of the new samples take as long as `step` of the old ones.
void resample_row(const float* x, int64_t size, float* out, int64_t count, int64_t step,
                  int64_t period, const Filter& filter) {
  std::vector<float> padded(static_cast<size_t>(size + filter.reach() + filter.taps()));
  std::copy_n(x, size, padded.data() + filter.reach());
  parallel_for(std::min(period, count), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> weights(static_cast<size_t>(filter.taps()));
    for (int64_t phase = begin; phase < end; ++phase) {
      const auto [first, rest] = std::div(phase * step, period);
      filter.weights(static_cast<double>(rest) / static_cast<double>(period), weights.data());
      int64_t at = first;
      for (int64_t i = phase; i < count; i += period, at += step) {
        out[i] = dot(weights.data(), padded.data() + at, filter.taps());
      }
    }
  });
}

}  // namespace

Tensor resample_audio(const Tensor& samples, int64_t from, int64_t to) {
  constexpr int64_t kHighest = 10'000'000;
  if (from < 1 || from > kHighest || to < 1 || to > kHighest) {
    fail("resample: rates ", from, " and ", to, " must be in 1..", kHighest);
  }
  if (samples.dim() < 1 || samples.dtype() != DType::f32) {
    fail("resample: samples are ", to_string(samples), "; they must be f32 [..., frames]");
  }
  if (from == to) return samples.contiguous();
  const int64_t common = std::gcd(from, to), step = from / common, period = to / common;
  const Tensor in = samples.contiguous();
  const int64_t size = in.size(-1), count = (size * period + step - 1) / step;
  Shape shape = in.shape();
  shape[in.dim() - 1] = count;
  Tensor out = Tensor::empty(shape);
  const Filter filter(static_cast<double>(to) / static_cast<double>(from));
  for (int64_t row = 0; size > 0 && row < in.numel() / size; ++row) {
    resample_row(in.data<float>() + row * size, size, out.data<float>() + row * count, count, step,
                 period, filter);
  }
  return out;
}

}  // namespace tallow
