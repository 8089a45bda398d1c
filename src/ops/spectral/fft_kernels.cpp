// The portable kernels of Fourier transforms.
#include "ops/spectral/fft_lanes.h"

namespace tallow::spectral {

template <>
Kernels<float>& kernels<float>() {
  static constinit Kernels<float> table = kFftKernels<float>;
  return table;
}
template <>
Kernels<double>& kernels<double>() {
  static constinit Kernels<double> table = kFftKernels<double>;
  return table;
}

}  // namespace tallow::spectral
