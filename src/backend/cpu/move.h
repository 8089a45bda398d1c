// The vector kernels behind copies and random numbers, per instruction set.
#pragma once

#include <cstdint>

#include "ops/creation/draws.h"

namespace tallow::cpu {

struct MoveKernels {
  /// As TransposeTile in ops/shape/move.h.
  void (*transpose)(void* to, int64_t to_stride, const void* from, int64_t from_stride,
                    int64_t rows, int64_t columns, int64_t bytes);
};

namespace isa_portable {
extern const MoveKernels move_kernels;
extern const DrawKernels draw_kernels;
}  // namespace isa_portable
namespace isa_avx2 {
extern const MoveKernels move_kernels;
extern const DrawKernels draw_kernels;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const MoveKernels move_kernels;
extern const DrawKernels draw_kernels;
}  // namespace isa_avx512

void bind_move();

}  // namespace tallow::cpu
