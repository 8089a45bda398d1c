// Fourier transforms along one dimension of strided memory.
#pragma once

#include "ops/spectral/fft_plan.h"
#include "tallow/shape.h"

namespace tallow::spectral {

enum class Kind : uint8_t { complex, real_to_complex, complex_to_real };

/// All lines along one dimension. Strides count elements of T: a complex number is two.
template <class T>
struct Pass {
  Kind kind = Kind::complex;
  int64_t n = 0;         ///< of the transform: for real ones, the real elements
  bool inverse = false;  ///< the exponent's sign; nothing is divided
  T scale = 1;
  const T* in = nullptr;
  T* out = nullptr;
  int64_t in_step = 2, out_step = 2;                    ///< along the transformed dimension
  Shape sizes = {}, in_strides = {}, out_strides = {};  ///< of the other dimensions
};

/// Runs a pass, in parallel. Complex ones may work in place.
template <class T>
void transform(const Pass<T>& pass);

}  // namespace tallow::spectral
