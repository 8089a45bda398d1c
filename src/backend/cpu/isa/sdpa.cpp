// The small kernels of dense attention, compiled once per level.
#include "backend/cpu/sdpa/kernels.h"

#include "backend/cpu/isa/transpose.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// Words of two elements are transposed, then taken apart.
void transpose_16(const uint16_t* source, int64_t stride, int64_t dim, uint16_t* target,
                  int64_t target_stride) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= dim; j += 2 * kLanes) {
    for (int64_t i = 0; i < 16; i += kLanes) {
      Floats tile[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) tile[r] = load_as<Floats>(source + (i + r) * stride + j);
      transpose(tile);
      for (int64_t r = 0; r < kLanes; ++r) {
        const Words pairs = reinterpret_cast<Words>(tile[r]);
        uint16_t* to = target + (j + 2 * r) * target_stride + i;
        store_as(to, __builtin_convertvector(pairs & 0xffffu, Halves));
        store_as(to + target_stride, __builtin_convertvector(pairs >> 16, Halves));
      }
    }
  }
  for (; j < dim; ++j) {
    for (int64_t i = 0; i < 16; ++i) target[j * target_stride + i] = source[i * stride + j];
  }
}

}  // namespace

const SdpaKernels sdpa_kernels{transpose_16};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
