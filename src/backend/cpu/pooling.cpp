// Gives pooling the vector kernels of this machine's instruction set.
#include "backend/cpu/pooling.h"

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

void bind_pooling() {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) {
    pooling::kernels = isa_avx512::pooling_kernels;
  } else if (isa() >= Isa::avx2) {
    pooling::kernels = isa_avx2::pooling_kernels;
  }
#endif
}

}  // namespace tallow::cpu
