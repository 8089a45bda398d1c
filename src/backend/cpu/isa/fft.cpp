// Fourier transforms, compiled once per level.
#include "backend/cpu/fft.h"

#include "ops/spectral/fft_lanes.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

const spectral::Kernels<float> fft_kernels_f32 = kFftKernels<float>;
const spectral::Kernels<double> fft_kernels_f64 = kFftKernels<double>;

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
