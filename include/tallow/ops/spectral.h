// Fourier transforms, as torch.fft. Complex results are c64, or c128 for f64; integers become the
// default dtype; f16 and bf16 are refused. Lengths are free: n cuts or pads (with zeros) first.
// norm says what divides: the "backward" transform by n, the "forward" one, or "ortho", both by
// sqrt(n).
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow::fft {

/// sum_j input_j e^(-2 pi i j k / n) along `dim`.
Tensor fft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
           std::string_view norm = "backward");
/// The inverse of fft.
Tensor ifft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
            std::string_view norm = "backward");
/// The first n / 2 + 1 elements of a real input's fft; the others are their conjugates.
Tensor rfft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
            std::string_view norm = "backward");
/// The inverse of rfft: n real elements, by default 2 (size - 1).
Tensor irfft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
             std::string_view norm = "backward");
/// The real fft of a signal of which one half is given, since the other is its conjugate.
Tensor hfft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
            std::string_view norm = "backward");
/// The inverse of hfft.
Tensor ihfft(const Tensor& input, std::optional<int64_t> n = {}, int64_t dim = -1,
             std::string_view norm = "backward");

/// The same over two dimensions.
Tensor fft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
            std::string_view norm = "backward");
Tensor ifft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
             std::string_view norm = "backward");
Tensor rfft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
             std::string_view norm = "backward");
Tensor irfft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
              std::string_view norm = "backward");
Tensor hfft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
             std::string_view norm = "backward");
Tensor ihfft2(const Tensor& input, const Dims& s = {}, const Dims& dim = {-2, -1},
              std::string_view norm = "backward");

/// The same over `dim`: by default as many of the last dimensions as s has, else all.
Tensor fftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
            std::string_view norm = "backward");
Tensor ifftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
             std::string_view norm = "backward");
Tensor rfftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
             std::string_view norm = "backward");
Tensor irfftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
              std::string_view norm = "backward");
Tensor hfftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
             std::string_view norm = "backward");
Tensor ihfftn(const Tensor& input, const Dims& s = {}, const Dims& dim = {},
              std::string_view norm = "backward");

/// The frequencies of fft's results, in cycles per unit of d, the time between samples: first 0
/// and the positive ones, then the negative ones.
Tensor fftfreq(int64_t n, double d = 1.0, std::optional<DType> dtype = {});
/// Those of rfft's results.
Tensor rfftfreq(int64_t n, double d = 1.0, std::optional<DType> dtype = {});
/// Moves the frequency 0 to the middle of each of `dim` (all by default).
Tensor fftshift(const Tensor& input, const Dims& dim = {});
/// The inverse of fftshift.
Tensor ifftshift(const Tensor& input, const Dims& dim = {});

}  // namespace tallow::fft
