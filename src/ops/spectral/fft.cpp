// torch.fft's functions of one dimension, and what all of them share.
#include "ops/spectral/fft.h"

#include <cmath>

#include "ops/elements.h"
#include "ops/spectral/fft_ops.h"
#include "tallow/ops.h"

namespace tallow {
namespace spectral {

Norm norm_of(const char* op, std::string_view name) {
  if (name == "backward") return Norm::backward;
  if (name == "forward") return Norm::forward;
  if (name == "ortho") return Norm::ortho;
  fail(op, ": norm is \"", name, "\"; it must be \"backward\", \"forward\" or \"ortho\"");
}

double scale_of(Norm norm, bool inverse, int64_t n) {
  if (norm == Norm::ortho) return 1 / std::sqrt(static_cast<double>(n));
  return inverse == (norm == Norm::backward) ? 1 / static_cast<double>(n) : 1;
}

Tensor transformable(const char* op, const Tensor& x) {
  check_not_block(op, x);
  const DType dtype = real_result(x.dtype());
  if (dtype != DType::f32 && dtype != DType::f64 && !is_complex(dtype)) {
    fail(op, ": input is ", x, "; call .to(f32) first");
  }
  return x.to(dtype);
}

Tensor real_only(const char* op, const Tensor& x) {
  if (is_complex(x.dtype())) fail(op, ": input is ", x, "; it must be real");
  return transformable(op, x);
}

Tensor as_complex(const char* op, const Tensor& x) {
  const Tensor y = transformable(op, x);
  return y.to(to_complex(y.dtype()));
}

Tensor fitted(const char* op, const Tensor& x, int dim, int64_t n) {
  const int64_t size = x.shape()[dim];
  if (n < 1) fail(op, ": n is ", n, " along dimension ", dim, "; it must be 1 or more");
  if (n == size) return x;
  if (n < size) return x.narrow(dim, 0, n);
  Shape rest = x.shape();
  rest[dim] = n - size;
  if (rest.numel() > INT64_MAX / 32) fail(op, ": n ", n, " is too large");
  return cat({x, Tensor::zeros(rest, x.dtype())}, dim);
}

int dim_of(const char* op, const Tensor& x, int64_t dim) {
  if (x.dim() == 0) fail(op, ": input is 0-dimensional; there is nothing to transform");
  return normalize_dim(dim, x.dim(), op);
}

}  // namespace spectral

namespace fft {
namespace {

using namespace spectral;

Tensor complex_line(const char* op, const Tensor& input, std::optional<int64_t> n, int64_t dim,
                    std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  Tensor x = as_complex(op, input);
  const int d = dim_of(op, x, dim);
  x = fitted(op, x, d, n.value_or(x.shape()[d]));
  return complex_transform(x, 1u << d, inverse, scale_of(kind, inverse, x.shape()[d]));
}

Tensor half_line(const char* op, const Tensor& input, std::optional<int64_t> n, int64_t dim,
                 std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  Tensor x = real_only(op, input);
  const int d = dim_of(op, x, dim);
  x = fitted(op, x, d, n.value_or(x.shape()[d]));
  return real_transform(x, d, inverse, scale_of(kind, inverse, x.shape()[d]));
}

Tensor whole_line(const char* op, const Tensor& input, std::optional<int64_t> n, int64_t dim,
                  std::string_view norm, bool inverse) {
  const Norm kind = norm_of(op, norm);
  const Tensor x = as_complex(op, input);
  const int d = dim_of(op, x, dim);
  const int64_t length = n.value_or(2 * (x.shape()[d] - 1));
  if (length < 1) fail(op, ": n is ", length, " along dimension ", d, "; it must be 1 or more");
  return real_inverse(fitted(op, x, d, length / 2 + 1), d, length, inverse,
                      scale_of(kind, inverse, length));
}

Tensor frequencies(const char* op, int64_t n, double d, std::optional<DType> dtype, int64_t count) {
  if (n < 1) fail(op, ": n is ", n, "; it must be 1 or more");
  if (d == 0) fail(op, ": d is 0, and so the frequencies infinite");
  const DType type = dtype.value_or(default_dtype());
  if (!is_differentiable(type)) fail(op, ": dtype is ", type, "; it must be real or complex");
  const double unit = 1.0 / (static_cast<double>(n) * d);
  const Tensor wide = Tensor::empty({count}, DType::f64);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t k = i < (n + 1) / 2 || count < n ? i : i - n;
    wide.data<double>()[i] = static_cast<double>(k) * unit;
  }
  return wide.to(type);
}

// Rolls each dimension so that the element at share(size) comes first.
template <class F>
Tensor rolled(const char* op, const Tensor& x, const Dims& dims, const F& share) {
  Tensor result = x;
  const uint32_t bits = dims.given() ? dim_bits(dims, x.dim(), op) : (1u << x.dim()) - 1;
  for (int d = 0; d < x.dim(); ++d) {
    const int64_t size = x.shape()[d], at = share(size);
    if (!(bits >> d & 1) || at == 0 || at == size) continue;
    result = cat({result.narrow(d, at, size - at), result.narrow(d, 0, at)}, d);
  }
  return result.impl() == x.impl() ? x.clone() : result;
}

}  // namespace

Tensor fft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return complex_line("fft", input, n, dim, norm, false);
}
Tensor ifft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return complex_line("ifft", input, n, dim, norm, true);
}
Tensor rfft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return half_line("rfft", input, n, dim, norm, false);
}
Tensor ihfft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return half_line("ihfft", input, n, dim, norm, true);
}
Tensor irfft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return whole_line("irfft", input, n, dim, norm, true);
}
Tensor hfft(const Tensor& input, std::optional<int64_t> n, int64_t dim, std::string_view norm) {
  return whole_line("hfft", input, n, dim, norm, false);
}

Tensor fftfreq(int64_t n, double d, std::optional<DType> dtype) {
  return frequencies("fftfreq", n, d, dtype, n);
}
Tensor rfftfreq(int64_t n, double d, std::optional<DType> dtype) {
  return frequencies("rfftfreq", n, d, dtype, n / 2 + 1);
}
Tensor fftshift(const Tensor& input, const Dims& dim) {
  return rolled("fftshift", input, dim, [](int64_t n) { return (n + 1) / 2; });
}
Tensor ifftshift(const Tensor& input, const Dims& dim) {
  return rolled("ifftshift", input, dim, [](int64_t n) { return n / 2; });
}

}  // namespace fft
}  // namespace tallow
