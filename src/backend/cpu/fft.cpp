// Gives Fourier transforms the vector kernels of this machine's instruction set.
#include "backend/cpu/fft.h"

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

void bind_fft() {
  spectral::kernels<float>() = TALLOW_BY_ISA(fft_kernels_f32);
  spectral::kernels<double>() = TALLOW_BY_ISA(fft_kernels_f64);
}

}  // namespace tallow::cpu
