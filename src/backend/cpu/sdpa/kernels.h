// The small kernels of dense attention, a table per instruction set.
#pragma once

#include <cstdint>

namespace tallow::cpu {

struct SdpaKernels {
  /// target[j * target_stride + i] = source[i * stride + j] for i < 16, j < dim.
  void (*transpose_16)(const uint16_t* source, int64_t stride, int64_t dim, uint16_t* target,
                       int64_t target_stride);
};
namespace isa_portable {
extern const SdpaKernels sdpa_kernels;
}
namespace isa_avx2 {
extern const SdpaKernels sdpa_kernels;
}
namespace isa_avx512 {
extern const SdpaKernels sdpa_kernels;
}
/// The table of isa().
const SdpaKernels& sdpa_kernels();

}  // namespace tallow::cpu
