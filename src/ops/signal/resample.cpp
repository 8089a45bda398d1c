// Resampling by a windowed sinc: each of the new samples of a period is a dot product with a frame.
#include <cmath>
#include <numbers>
#include <numeric>

#include "ops/signal/bessel.h"
#include "ops/signal/frames.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct Filter {
  int64_t from, to, reach;  // samples of a period, and on each side beyond it
  Tensor weights;           // [reach + from + reach, to]
};

Filter filter_of(int64_t from, int64_t to, int64_t width, double rolloff, bool kaiser,
                 double beta) {
  const double base = static_cast<double>(std::min(from, to)) * rolloff;
  const double period = static_cast<double>(from), reach_of = static_cast<double>(width);
  const auto reach = static_cast<int64_t>(std::ceil(reach_of * period / base));
  const int64_t taps = 2 * reach + from;
  const Tensor weights = Tensor::empty({taps, to}, DType::f64);
  for (int64_t i = 0; i < taps; ++i) {
    for (int64_t j = 0; j < to; ++j) {
      const double when = static_cast<double>(i - reach) / period -
                          static_cast<double>(j) / static_cast<double>(to);
      const double t = std::clamp(when * base, -reach_of, reach_of);
      const double inside = t / reach_of;
      const double cosine = std::cos(inside * std::numbers::pi / 2);
      const double window = kaiser ? signal::bessel_i0(beta * std::sqrt(1 - inside * inside)) /
                                         signal::bessel_i0(beta)
                                   : cosine * cosine;
      const double angle = t * std::numbers::pi;
      const double sinc = angle == 0 ? 1 : std::sin(angle) / angle;
      weights.data<double>()[i * to + j] = sinc * window * base / period;
    }
  }
  return {from, to, reach, weights};
}

}  // namespace

Tensor resample(const Tensor& waveform, int64_t orig_freq, int64_t new_freq,
                int64_t lowpass_filter_width, double rolloff, std::string_view resampling_method,
                std::optional<double> beta) {
  if (orig_freq <= 0 || new_freq <= 0) {
    fail("resample: frequencies ", orig_freq, " and ", new_freq, " must be positive");
  }
  if (!is_real(waveform.dtype()) || waveform.dim() == 0) {
    fail("resample: waveform is ", waveform, "; it must be real, with a dimension of samples");
  }
  if (lowpass_filter_width <= 0 || !(rolloff > 0 && rolloff <= 1)) {
    fail("resample: lowpass_filter_width ", lowpass_filter_width, " must be positive, and rolloff ",
         rolloff, " in 0..1");
  }
  const bool kaiser = resampling_method == "sinc_interp_kaiser";
  if (!kaiser && resampling_method != "sinc_interp_hann") {
    fail("resample: resampling_method is \"", resampling_method,
         "\"; it must be sinc_interp_hann or sinc_interp_kaiser");
  }
  if (orig_freq == new_freq) return waveform;
  const int64_t common = std::gcd(orig_freq, new_freq);
  const Filter f = filter_of(orig_freq / common, new_freq / common, lowpass_filter_width, rolloff,
                             kaiser, beta.value_or(14.769656459379492));
  const int64_t samples = waveform.shape().back();
  Shape before = waveform.shape(), behind = before;
  before.back() = f.reach;
  behind.back() = f.reach + f.from;
  const int last = waveform.dim() - 1;
  const Tensor padded = cat(
      {Tensor::zeros(before, waveform.dtype()), waveform, Tensor::zeros(behind, waveform.dtype())},
      last);
  const Tensor periods = signal::frames(padded, 2 * f.reach + f.from, f.from);
  const Tensor y = matmul(periods, f.weights.to(waveform.dtype()));
  Shape shape = waveform.shape();
  shape.back() = -1;
  const int64_t wanted = (samples * f.to + f.from - 1) / f.from;
  if (waveform.numel() == 0) {
    shape.back() = wanted;
    return Tensor::zeros(shape, waveform.dtype());
  }
  return y.reshape(shape).narrow(last, 0, wanted);
}

}  // namespace tallow
