// What torch.fft's functions share: norms, dtypes, lengths.
#pragma once

#include <string_view>

#include "tallow/tensor.h"

namespace tallow::spectral {

enum class Norm : uint8_t { backward, forward, ortho };
/// Throws Error for another name.
Norm norm_of(const char* op, std::string_view name);
/// The factor of a transform of n elements.
double scale_of(Norm norm, bool inverse, int64_t n);

/// x in f32, f64 or complex; integers become the default dtype. Throws Error for other dtypes.
Tensor transformable(const char* op, const Tensor& x);
Tensor real_only(const char* op, const Tensor& x);
Tensor as_complex(const char* op, const Tensor& x);
/// x cut or padded with zeros to n elements along `dim`.
Tensor fitted(const char* op, const Tensor& x, int dim, int64_t n);
/// A dimension as 0..dims-1. Throws Error where x has none.
int dim_of(const char* op, const Tensor& x, int64_t dim);

}  // namespace tallow::spectral
