// Gives Fourier transforms the vector kernels of this machine's instruction set.
#include "backend/cpu/fft.h"

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

void bind_fft() {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) {
    spectral::kernels<float>() = isa_avx512::fft_kernels_f32;
    spectral::kernels<double>() = isa_avx512::fft_kernels_f64;
  } else if (isa() >= Isa::avx2) {
    spectral::kernels<float>() = isa_avx2::fft_kernels_f32;
    spectral::kernels<double>() = isa_avx2::fft_kernels_f64;
  }
#endif
}

}  // namespace tallow::cpu
