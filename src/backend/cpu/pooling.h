// Pooling's kernels, one table per instruction set.
#pragma once

#include "ops/pooling/kernels.h"

namespace tallow::cpu {

namespace isa_portable {
extern const pooling::Kernels pooling_kernels;
}
namespace isa_avx2 {
extern const pooling::Kernels pooling_kernels;
}
namespace isa_avx512 {
extern const pooling::Kernels pooling_kernels;
}

/// Gives pooling the kernels of this machine's instruction set.
void bind_pooling();

}  // namespace tallow::cpu
