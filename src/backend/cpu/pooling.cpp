// Gives pooling the vector kernels of this machine's instruction set.
#include "backend/cpu/pooling.h"

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

void bind_pooling() { pooling::kernels = TALLOW_BY_ISA(pooling_kernels); }

}  // namespace tallow::cpu
