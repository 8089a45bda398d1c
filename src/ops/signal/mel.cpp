// Mel filter banks.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

enum class Scale { htk, slaney, kaldi };

Scale scale_of(const char* op, std::string_view name, bool kaldi) {
  if (name == "htk") return Scale::htk;
  if (name == "slaney") return Scale::slaney;
  if (name == "kaldi" && kaldi) return Scale::kaldi;
  fail(op, ": mel_scale is \"", name, "\"; it must be htk",
       kaldi ? ", slaney or kaldi" : " or slaney");
}

// Slaney's is linear to 1 kHz (15 mel), then logarithmic with 27 steps for a factor of 6.4.
const double kLogStep = std::log(6.4) / 27;

double to_mel(double hertz, Scale scale) {
  if (scale == Scale::htk) return 2595 * std::log10(1 + hertz / 700);
  if (scale == Scale::kaldi) return 1127 * std::log(1 + hertz / 700);
  return hertz >= 1000 ? 15 + std::log(hertz / 1000) / kLogStep : hertz * 3 / 200;
}

double to_hertz(double mel, Scale scale) {
  if (scale == Scale::htk) return 700 * (std::pow(10.0, mel / 2595) - 1);
  if (scale == Scale::kaldi) return 700 * (std::exp(mel / 1127) - 1);
  return mel >= 15 ? 1000 * std::exp(kLogStep * (mel - 15)) : mel * 200 / 3;
}

struct Bank {
  int64_t bins, filters;
  double low, high, top;  // hertz; `top` is the last bin's frequency
  bool equal_area;
  Scale scale;
  bool in_mel;  // triangles in mel space, over bins that end at the true Nyquist frequency
  double nyquist;
};

Tensor bank_of(const char* op, const Bank& b) {
  if (b.bins < 2 || b.filters < 1) {
    fail(op, ": ", b.bins, " bins and ", b.filters, " filters; 2 bins and 1 filter are the least");
  }
  if (!(b.low <= b.high) || b.low < 0) {
    fail(op, ": frequencies from ", b.low, " to ", b.high, " are no range");
  }
  const double first = to_mel(b.low, b.scale), last = to_mel(b.high, b.scale);
  std::vector<double> hertz, points;
  for (int64_t i = 0; i < b.filters + 2; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(b.filters + 1);
    const double mel = first + (last - first) * share;
    hertz.push_back(to_hertz(mel, b.scale));
    points.push_back(b.in_mel ? mel : hertz.back());
  }
  const Tensor bank = Tensor::empty({b.bins, b.filters}, DType::f64);
  for (int64_t k = 0; k < b.bins; ++k) {
    const double share = static_cast<double>(k) / static_cast<double>(b.bins - 1);
    const double at = b.in_mel ? to_mel(b.nyquist * share, b.scale) : b.top * share;
    for (int64_t m = 0; m < b.filters; ++m) {
      const auto i = static_cast<size_t>(m);
      const double up = (at - points[i]) / (points[i + 1] - points[i]);
      const double down = (points[i + 2] - at) / (points[i + 2] - points[i + 1]);
      const double height = b.equal_area ? 2 / (hertz[i + 2] - hertz[i]) : 1;
      bank.data<double>()[k * b.filters + m] = std::max(0.0, std::min(up, down)) * height;
    }
  }
  return bank;
}

bool equal_area_of(const char* op, std::string_view norm) {
  if (!norm.empty() && norm != "slaney") {
    fail(op, ": norm is \"", norm, "\"; it must be \"slaney\", or none");
  }
  return !norm.empty();
}

}  // namespace

Tensor melscale_fbanks(int64_t n_freqs, double f_min, double f_max, int64_t n_mels,
                       int64_t sample_rate, std::string_view norm, std::string_view mel_scale) {
  const char* op = "melscale_fbanks";
  const Bank b{n_freqs,
               n_mels,
               f_min,
               f_max,
               static_cast<double>(sample_rate / 2),
               equal_area_of(op, norm),
               scale_of(op, mel_scale, false),
               false,
               0};
  return bank_of(op, b).to(default_dtype());
}

Tensor mel_filter_bank(int64_t num_frequency_bins, int64_t num_mel_filters, double min_frequency,
                       double max_frequency, double sampling_rate, std::string_view norm,
                       std::string_view mel_scale, bool triangularize_in_mel_space) {
  const char* op = "mel_filter_bank";
  const Bank b{num_frequency_bins,
               num_mel_filters,
               min_frequency,
               max_frequency,
               std::floor(sampling_rate / 2),
               equal_area_of(op, norm),
               scale_of(op, mel_scale, true),
               triangularize_in_mel_space,
               sampling_rate / 2};
  return bank_of(op, b);
}

}  // namespace tallow
