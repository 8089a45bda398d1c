// The kernels of Fourier transforms, one table per instruction set.
#pragma once

#include "ops/spectral/fft_plan.h"

namespace tallow::cpu {

namespace isa_portable {
extern const spectral::Kernels<float> fft_kernels_f32;
extern const spectral::Kernels<double> fft_kernels_f64;
}  // namespace isa_portable
namespace isa_avx2 {
extern const spectral::Kernels<float> fft_kernels_f32;
extern const spectral::Kernels<double> fft_kernels_f64;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const spectral::Kernels<float> fft_kernels_f32;
extern const spectral::Kernels<double> fft_kernels_f64;
}  // namespace isa_avx512

/// Gives Fourier transforms the kernels of this machine's instruction set.
void bind_fft();

}  // namespace tallow::cpu
