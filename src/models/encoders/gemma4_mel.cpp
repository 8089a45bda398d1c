// Gemma 4's log-mel features. Where the reference rounds to f32, so do we: between f64 steps that
// agree to the last bits nothing differs but, rarely, the last bit of a feature.
#include "models/encoders/gemma4_mel.h"

#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int64_t kLongest = 480000;  // samples; what is past them is not heard

/// Samples in so many milliseconds, as Python rounds them.
int64_t samples_of(const Config& c, const char* key, double fallback, int64_t rate) {
  const double ms = c.number_or(key, fallback);
  const double count = std::nearbyint(static_cast<double>(rate) * ms / 1000);
  if (!(count >= 1 && count <= 1 << 16)) {
    fail(c.what(), ": ", key, " ", ms, " is no length of a frame at ", rate, " Hz");
  }
  return static_cast<int64_t>(count);
}

void append_numbers(const Json& value, std::vector<double>& out) {
  if (value.is_number()) out.push_back(value.number());
  if (!value.is_array()) return;
  for (const Json& item : value.items()) append_numbers(item, out);
}

/// A number per mel band, f64 [mels], or an undefined tensor. Lists may be nested.
Tensor per_band(const Config& c, const char* key, int64_t mels) {
  if (!c.has(key)) return {};
  std::vector<double> values;
  append_numbers(*c.find(key), values);
  if (std::ssize(values) != mels) {
    fail(c.what(), ": ", key, " has ", values.size(), " numbers for ", mels, " bands");
  }
  Tensor result = Tensor::empty({mels}, DType::f64);
  std::copy(values.begin(), values.end(), result.data<double>());
  return result;
}

/// A periodic Hann window, in NumPy's formula.
Tensor hann(int64_t size) {
  Tensor window = Tensor::empty({size});
  for (int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<double>(2 * i - size);
    window.data<float>()[i] =
        static_cast<float>(0.5 + 0.5 * std::cos(std::numbers::pi * at / static_cast<double>(size)));
  }
  return window;
}

/// |z| of z c128, which was meant to be c64, in the steps of NumPy's vector loop: f64, but of f32.
Tensor magnitudes(const Tensor& spectrum) {
  const Tensor in = spectrum.contiguous();
  Tensor out = Tensor::empty(in.shape(), DType::f64);
  const auto* from = static_cast<const std::complex<double>*>(in.raw());
  auto* to = out.data<double>();
  parallel_for(in.numel(), 1 << 14, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float re = std::abs(static_cast<float>(from[i].real()));
      const float im = std::abs(static_cast<float>(from[i].imag()));
      const float high = std::max(re, im), low = std::min(re, im);
      const double ratio = high > 0 ? low / high : 0.0F;
      to[i] = high * std::sqrt(static_cast<float>(ratio * ratio + 1));
    }
  });
  return out;
}

}  // namespace

// What is read is what transformers reads, which saves frame_length, but wants frame_length_ms.
Gemma4Mel::Gemma4Mel(const Config& c)
    : rate_(c.integer_or("sampling_rate", 16000, 1, 1 << 20)),
      mels_(c.integer_or("feature_size", 128, 1, 1 << 12)),
      frame_(samples_of(c, "frame_length_ms", 20, rate_)),
      hop_(samples_of(c, "hop_length_ms", 10, rate_)),
      fft_(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(frame_)))),
      scale_(c.number_or("input_scale_factor", 1)),
      preemphasis_(c.number_or("preemphasis", 0)),
      floor_(c.number_or("mel_floor", 1e-3)),
      htk_preemphasis_(c.boolean_or("preemphasis_htk_flavor", true)),
      window_(hann(frame_)),
      mean_(per_band(c, "per_bin_mean", mels_)),
      deviation_(per_band(c, "per_bin_stddev", mels_)) {
  if (c.string_or("padding_side", "right") != "right") {
    fail(c.what(), ": padding_side must be right");
  }
  if (c.boolean_or("fft_overdrive", false)) fft_ *= 2;
  filters_ = mel_filter_bank(fft_ / 2 + 1, mels_, c.number_or("min_frequency", 0),
                             c.number_or("max_frequency", 8000), static_cast<double>(rate_));
}

/// [count, frame]: cut out of the samples, before which half a frame is silent.
Tensor Gemma4Mel::frames(const Tensor& samples, int64_t count) const {
  const Tensor padded = pad(samples, {frame_ / 2, 0});
  const Tensor wide = as_strided(padded, {count, frame_ + 1}, {hop_, 1});
  if (!(preemphasis_ > 0)) return wide.narrow(1, 0, frame_);
  const Tensor less = wide.narrow(1, 0, frame_) * preemphasis_;
  if (!htk_preemphasis_) return wide.narrow(1, 1, frame_) - less;
  const Tensor rest = wide.narrow(1, 1, frame_ - 1) - less.narrow(1, 0, frame_ - 1);
  return cat({wide.narrow(1, 0, 1) * (1.0 - preemphasis_), rest}, 1);
}

Tensor Gemma4Mel::operator()(const Tensor& samples) const {
  if (samples.dim() != 1 || samples.dtype() != DType::f32) {
    fail("audio: samples are ", to_string(samples), "; they must be f32 [count]");
  }
  const int64_t length = std::min(samples.numel(), kLongest);
  if (length == 0) fail("audio: there are no samples");
  if (length < least_samples()) return Tensor::empty({0, mels_});
  Tensor x = samples.narrow(0, 0, length);
  if (scale_ != 1) x = x * scale_;
  x = frames(x.contiguous(), (length - least_samples()) / hop_ + 1) * window_;
  Tensor mel = log(matmul(magnitudes(fft::rfft(x.to(DType::f64), fft_)), filters_) + floor_);
  if (mean_) mel = mel - mean_;
  if (deviation_) mel = mel / deviation_;
  return mel.to(DType::f32);
}

}  // namespace tallow
