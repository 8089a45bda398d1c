// torch.fft's functions of several dimensions.
#include <vector>

#include "ops/spectral/fft.h"
#include "ops/spectral/fft_ops.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow::fft {
namespace {

using namespace spectral;

// The dimensions, in the order given, and the lengths along them.
struct Axes {
  std::vector<int> dims;
  std::vector<int64_t> sizes;
  bool last_given = false;  // whether a length was given for the last one

  uint32_t bits(size_t count) const {
    uint32_t all = 0;
    for (size_t i = 0; i < count; ++i) all |= 1u << dims[i];
    return all;
  }
};

Axes axes_of(const char* op, const Tensor& x, const Dims& s, const Dims& dim) {
  Axes axes;
  if (dim.given() && s.given() && dim.size() != s.size()) {
    fail(op, ": ", s.size(), " lengths for ", dim.size(), " dimensions");
  }
  if (!dim.given() && s.size() > x.dim()) {
    fail(op, ": ", s.size(), " lengths, but the input ", x, " has fewer dimensions");
  }
  if (dim.given()) {
    if (x.dim() == 0) fail(op, ": input is 0-dimensional; there is nothing to transform");
    dim_bits(dim, x.dim(), op);
    for (int64_t d : dim) axes.dims.push_back(normalize_dim(d, x.dim(), op));
  } else {
    const int count = s.given() ? s.size() : x.dim();
    for (int i = x.dim() - count; i < x.dim(); ++i) axes.dims.push_back(i);
  }
  for (size_t i = 0; i < axes.dims.size(); ++i) {
    const int64_t own = x.shape()[axes.dims[i]];
    const bool given = s.given() && s[static_cast<int>(i)] != -1;
    axes.sizes.push_back(given ? s[static_cast<int>(i)] : own);
    axes.last_given = given;
  }
  return axes;
}

Axes some_axes(const char* op, const Tensor& x, const Dims& s, const Dims& dim) {
  Axes axes = axes_of(op, x, s, dim);
  if (axes.dims.empty()) fail(op, ": must transform at least one dimension");
  return axes;
}

// The first `count` dimensions, complex.
Tensor over(const char* op, Tensor x, const Axes& axes, size_t count, Norm norm, bool inverse) {
  double scale = 1;
  for (size_t i = 0; i < count; ++i) {
    x = fitted(op, x, axes.dims[i], axes.sizes[i]);
    scale *= scale_of(norm, inverse, axes.sizes[i]);
  }
  return count == 0 ? x : complex_transform(x, axes.bits(count), inverse, scale);
}

Tensor complex_many(const char* op, const Tensor& input, const Dims& s, const Dims& dim,
                    std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  const Tensor x = as_complex(op, input);
  const Axes axes = axes_of(op, x, s, dim);
  return over(op, x, axes, axes.dims.size(), kind, inverse);
}

// Real to complex: the last dimension by half, then the others.
Tensor half_many(const char* op, const Tensor& input, const Dims& s, const Dims& dim,
                 std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  Tensor x = real_only(op, input);
  const Axes axes = some_axes(op, x, s, dim);
  for (size_t i = 0; i < axes.dims.size(); ++i) {
    x = fitted(op, x, axes.dims[i], axes.sizes[i]);
  }
  x = real_transform(x, axes.dims.back(), inverse, scale_of(kind, inverse, axes.sizes.back()));
  return over(op, x, axes, axes.dims.size() - 1, kind, inverse);
}

// Complex to real, in the reverse order.
Tensor whole_many(const char* op, const Tensor& input, const Dims& s, const Dims& dim,
                  std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  Tensor x = as_complex(op, input);
  const Axes axes = some_axes(op, x, s, dim);
  const int last = axes.dims.back();
  const int64_t n = axes.last_given ? axes.sizes.back() : 2 * (x.shape()[last] - 1);
  if (n < 1) fail(op, ": n is ", n, " along dimension ", last, "; it must be 1 or more");
  x = fitted(op, x, last, n / 2 + 1);
  x = over(op, x, axes, axes.dims.size() - 1, kind, inverse);
  return real_inverse(x, last, n, inverse, scale_of(kind, inverse, n));
}

}  // namespace

#define TALLOW_FFT(NAME, HOW, INVERSE)                                                         \
  Tensor NAME##2(const Tensor& input, const Dims& s, const Dims& dim, std::string_view norm) { \
    return HOW(#NAME "2", input, s, dim, norm, INVERSE);                                       \
  }                                                                                            \
  Tensor NAME##n(const Tensor& input, const Dims& s, const Dims& dim, std::string_view norm) { \
    return HOW(#NAME "n", input, s, dim, norm, INVERSE);                                       \
  }
TALLOW_FFT(fft, complex_many, false)
TALLOW_FFT(ifft, complex_many, true)
TALLOW_FFT(rfft, half_many, false)
TALLOW_FFT(ihfft, half_many, true)
TALLOW_FFT(irfft, whole_many, true)
TALLOW_FFT(hfft, whole_many, false)
#undef TALLOW_FFT

}  // namespace tallow::fft
