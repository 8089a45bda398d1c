// Signals: windows, short-time Fourier transforms, mel filter banks, resampling.
#pragma once

#include "tallow/op.h"
#include "tallow/reals.h"
#include "tallow/tensor.h"

namespace tallow {

/// Windows of window_length elements, as torch.hann_window: a periodic one leaves out the last
/// element of a symmetric one that is longer by one. dtype is real, by default the default one.
Tensor hann_window(int64_t window_length, bool periodic = true, std::optional<DType> dtype = {});
/// alpha - beta cos(2 pi k / n)
Tensor hamming_window(int64_t window_length, bool periodic = true, double alpha = 0.54,
                      double beta = 0.46, std::optional<DType> dtype = {});
Tensor blackman_window(int64_t window_length, bool periodic = true,
                       std::optional<DType> dtype = {});
Tensor bartlett_window(int64_t window_length, bool periodic = true,
                       std::optional<DType> dtype = {});
Tensor kaiser_window(int64_t window_length, bool periodic = true, double beta = 12.0,
                     std::optional<DType> dtype = {});

/// The short-time Fourier transform of input [samples] or [batch, samples]: [frequencies, frames]
/// or [batch, frequencies, frames]. Frames of n_fft samples, hop_length (n_fft / 4) apart, are
/// multiplied by `window` (ones; of win_length, centred in the frame). center pads n_fft / 2
/// samples on both sides; normalized divides by sqrt(n_fft); onesided leaves out what mirrors.
/// Without return_complex the last dimension is of real and imaginary part.
Tensor stft(const Tensor& self, int64_t n_fft, std::optional<int64_t> hop_length = {},
            std::optional<int64_t> win_length = {}, const Tensor& window = {}, bool center = true,
            std::string_view pad_mode = "reflect", bool normalized = false,
            std::optional<bool> onesided = {}, std::optional<bool> return_complex = {},
            std::optional<bool> align_to_window = {});
/// The signal of which `self` is the stft with the same arguments, by least squares (Griffin and
/// Lim, 1984). Throws Error where the windows leave samples out.
Tensor istft(const Tensor& self, int64_t n_fft, std::optional<int64_t> hop_length = {},
             std::optional<int64_t> win_length = {}, const Tensor& window = {}, bool center = true,
             bool normalized = false, std::optional<bool> onesided = {},
             std::optional<int64_t> length = {}, bool return_complex = false);

/// Triangular filters [n_freqs, n_mels] from the bins of an rfft to mel bands, as torchaudio's:
/// mel_scale "htk" or "slaney"; norm "slaney" gives every filter the same area.
Tensor melscale_fbanks(int64_t n_freqs, double f_min, double f_max, int64_t n_mels,
                       int64_t sample_rate, std::string_view norm = "",
                       std::string_view mel_scale = "htk");
/// The same as transformers' mel_filter_bank, which also knows mel_scale "kaldi" and triangles in
/// mel space: [num_frequency_bins, num_mel_filters], f64.
Tensor mel_filter_bank(int64_t num_frequency_bins, int64_t num_mel_filters, double min_frequency,
                       double max_frequency, double sampling_rate, std::string_view norm = "",
                       std::string_view mel_scale = "htk", bool triangularize_in_mel_space = false);

/// waveform [..., samples] from orig_freq to new_freq samples per second, by a windowed sinc, as
/// torchaudio's (Smith, Digital Audio Resampling). resampling_method: sinc_interp_hann or
/// sinc_interp_kaiser, whose beta is 14.769656459379492 by default.
Tensor resample(const Tensor& waveform, int64_t orig_freq, int64_t new_freq,
                int64_t lowpass_filter_width = 6, double rolloff = 0.99,
                std::string_view resampling_method = "sinc_interp_hann",
                std::optional<double> beta = {});

}  // namespace tallow

/// torch.signal.windows.
namespace tallow::signal_windows {

/// M elements; sym = false makes the window periodic. dtype is f32 or f64.
Tensor bartlett(int64_t M, bool sym = true, std::optional<DType> dtype = {});
Tensor blackman(int64_t M, bool sym = true, std::optional<DType> dtype = {});
Tensor cosine(int64_t M, bool sym = true, std::optional<DType> dtype = {});
/// exp(-|k - center| / tau); the center of a symmetric window is its middle.
Tensor exponential(int64_t M, std::optional<double> center = {}, double tau = 1.0, bool sym = true,
                   std::optional<DType> dtype = {});
Tensor gaussian(int64_t M, double std = 1.0, bool sym = true, std::optional<DType> dtype = {});
/// sum_i (-1)^i a_i cos(2 pi i k / n)
Tensor general_cosine(int64_t M, const Reals& a, bool sym = true, std::optional<DType> dtype = {});
Tensor general_hamming(int64_t M, double alpha = 0.54, bool sym = true,
                       std::optional<DType> dtype = {});
Tensor hamming(int64_t M, bool sym = true, std::optional<DType> dtype = {});
Tensor hann(int64_t M, bool sym = true, std::optional<DType> dtype = {});
Tensor kaiser(int64_t M, double beta = 12.0, bool sym = true, std::optional<DType> dtype = {});
Tensor nuttall(int64_t M, bool sym = true, std::optional<DType> dtype = {});

}  // namespace tallow::signal_windows
