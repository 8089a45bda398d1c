// The three transforms that torch.fft's functions are made of.
#pragma once

#include "tallow/tensor.h"

namespace tallow::spectral {

/// Complex x transformed along each dimension of the bits `dims`, times `scale`.
Tensor complex_transform(const Tensor& x, uint32_t dims, bool inverse, double scale);
/// The first n / 2 + 1 elements of a real x's transform; the inverse is their conjugate.
Tensor real_transform(const Tensor& x, int dim, bool inverse, double scale);
/// n real elements from the first n / 2 + 1 of their transform.
Tensor real_inverse(const Tensor& x, int dim, int64_t n, bool inverse, double scale);

}  // namespace tallow::spectral
