// Short-time Fourier transforms, of frames and windows.
#include "ops/elements.h"
#include "ops/signal/frames.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct Sizes {
  int64_t n_fft, hop, window;
};

Sizes sizes_of(const char* op, int64_t n_fft, std::optional<int64_t> hop_length,
               std::optional<int64_t> win_length, const Tensor& window) {
  const Sizes s{n_fft, hop_length.value_or(n_fft / 4), win_length.value_or(n_fft)};
  if (n_fft < 1) fail(op, ": n_fft is ", n_fft, "; it must be positive");
  if (s.hop < 1) fail(op, ": hop_length is ", s.hop, "; it must be positive");
  if (s.window < 1 || s.window > n_fft) {
    fail(op, ": win_length is ", s.window, "; it must be from 1 to n_fft, ", n_fft);
  }
  if (window.defined() && (window.dim() != 1 || window.shape()[0] != s.window)) {
    fail(op, ": window is ", window, "; it must have win_length, ", s.window, ", elements");
  }
  return s;
}

// x with zeros around its last dimension.
Tensor padded(const Tensor& x, int64_t before, int64_t behind) {
  if (before == 0 && behind == 0) return x;
  Shape left = x.shape(), right = left;
  left.back() = before;
  right.back() = behind;
  return cat({Tensor::zeros(left, x.dtype()), x, Tensor::zeros(right, x.dtype())}, x.dim() - 1);
}

// The window in the middle of a frame, or an undefined tensor where it would be all ones.
Tensor centred(const Tensor& window, const Sizes& s, DType dtype) {
  if (!window.defined() && s.window == s.n_fft) return {};
  const Tensor w = window.defined() ? window : Tensor::full({s.window}, 1, dtype);
  const int64_t left = (s.n_fft - s.window) / 2;
  return padded(w, left, s.n_fft - s.window - left);
}

// Which of `size` samples each of those around it repeats.
Tensor extended(const Tensor& x, int64_t by, std::string_view mode) {
  if (mode == "constant") return padded(x, by, by);
  const int64_t size = x.shape().back();
  if (mode != "reflect" && mode != "replicate" && mode != "circular") {
    fail("stft: pad_mode is \"", mode, "\"; it must be constant, reflect, replicate or circular");
  }
  if ((mode == "reflect" && by >= size) || (mode == "circular" && by > size) || size == 0) {
    fail("stft: ", size, " samples are too few to pad ", by, " of them; use pad_mode constant");
  }
  const Tensor index = Tensor::empty({size + 2 * by}, DType::i64);
  for (int64_t i = 0; i < size + 2 * by; ++i) {
    int64_t at = i - by;
    if (mode == "reflect") {
      at = at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
    } else if (mode == "replicate") {
      at = std::clamp<int64_t>(at, 0, size - 1);
    } else {
      at = (at + size) % size;
    }
    index.data<int64_t>()[i] = at;
  }
  return index_select(x, x.dim() - 1, index);
}

}  // namespace

Tensor stft(const Tensor& self, int64_t n_fft, std::optional<int64_t> hop_length,
            std::optional<int64_t> win_length, const Tensor& window, bool center,
            std::string_view pad_mode, bool normalized, std::optional<bool> onesided,
            std::optional<bool> return_complex, std::optional<bool> align_to_window) {
  if (center && align_to_window) fail("stft: align_to_window needs center to be false");
  if (!is_differentiable(self.dtype()) || self.dim() < 1 || self.dim() > 2) {
    fail("stft: input is ", self, "; it must be real or complex, of 1 or 2 dimensions");
  }
  const Sizes s = sizes_of("stft", n_fft, hop_length, win_length, window);
  const bool complex = is_complex(self.dtype()) || (window.defined() && is_complex(window.dtype()));
  if (complex && onesided.value_or(false)) {
    fail("stft: a complex input or window has no one-sided transform; set onesided to false");
  }
  if (!complex && !return_complex) {
    fail("stft: return_complex must be given for a real input; set it to true");
  }
  Tensor x = center ? extended(self, n_fft / 2, pad_mode) : self;
  if (align_to_window.value_or(false)) {
    const int64_t left = (n_fft - s.window) / 2;
    x = padded(x, left, n_fft - s.window - left);
  }
  if (x.shape().back() < n_fft) {
    fail("stft: n_fft ", n_fft, " is more than the ", x.shape().back(), " samples");
  }
  Tensor parts = signal::frames(x, n_fft, s.hop);
  if (const Tensor w = centred(window, s, self.dtype()); w.defined()) parts = parts * w;
  const std::string_view norm = normalized ? "ortho" : "backward";
  const bool half = onesided.value_or(!complex);
  const Tensor spectrum = half ? fft::rfft(parts, {}, -1, norm) : fft::fft(parts, {}, -1, norm);
  const Tensor y = spectrum.transpose(-2, -1);
  return return_complex.value_or(true) ? y : view_as_real(y);
}

Tensor istft(const Tensor& self, int64_t n_fft, std::optional<int64_t> hop_length,
             std::optional<int64_t> win_length, const Tensor& window, bool center, bool normalized,
             std::optional<bool> onesided, std::optional<int64_t> length, bool return_complex) {
  const Sizes s = sizes_of("istft", n_fft, hop_length, win_length, window);
  if (!is_complex(self.dtype()) || self.dim() < 2 || self.dim() > 3 || self.numel() == 0) {
    fail("istft: input is ", self, "; it must be complex, [frequencies, frames] or with a batch");
  }
  const int64_t bins = self.shape()[self.dim() - 2], count = self.shape().back();
  const bool half = onesided.value_or(bins != n_fft);
  if (bins != (half ? n_fft / 2 + 1 : n_fft)) {
    fail("istft: input is ", self, "; n_fft ", n_fft, " gives ", half ? n_fft / 2 + 1 : n_fft,
         " frequencies");
  }
  if (half && return_complex) fail("istft: a one-sided input cannot give a complex result");
  if (s.hop > s.window) fail("istft: hop_length ", s.hop, " is more than win_length ", s.window);
  if (window.defined() && is_complex(window.dtype()) && !return_complex) {
    fail("istft: a complex window needs return_complex");
  }
  Tensor w = centred(window, s, to_real(self.dtype()));
  if (!w.defined()) w = Tensor::full({n_fft}, 1, to_real(self.dtype()));
  const std::string_view norm = normalized ? "ortho" : "backward";
  Tensor x = self.transpose(-2, -1);
  if (return_complex) {
    x = fft::ifft(x, {}, -1, norm);
  } else {
    x = fft::irfft(half ? x : x.narrow(-1, 0, n_fft / 2 + 1), n_fft, -1, norm);
  }
  const int64_t samples = n_fft + s.hop * (count - 1), start = center ? n_fft / 2 : 0;
  const int64_t end = length ? start + *length : center ? samples - n_fft / 2 : samples;
  const int64_t kept = std::min(end, samples) - start;
  if (kept < 1) fail("istft: nothing is left of ", samples, " samples");
  const Tensor sum = signal::overlap_add(x * w, s.hop, samples).narrow(-1, start, kept);
  const Tensor squares = (w * w).expand({count, n_fft});
  const Tensor envelope = signal::overlap_add(squares, s.hop, samples).narrow(-1, start, kept);
  const Tensor plain = envelope.detach().to(DType::c128).contiguous();
  for (int64_t i = 0; i < kept; ++i) {
    if (std::abs(static_cast<const Complex*>(plain.raw())[i]) < 1e-11) {
      fail("istft: the windows leave sample ", i, " out; use another window or hop_length");
    }
  }
  return padded(sum / envelope, 0, end - start - kept);
}

}  // namespace tallow
