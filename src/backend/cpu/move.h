// The vector kernels behind copies and random numbers, per instruction set.
#pragma once

#include "ops/creation/draws.h"
#include "ops/shape/move_kernels.h"

namespace tallow::cpu {

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

/// Gives the ops' copies and random draws the kernels of this machine.
void bind_move();

}  // namespace tallow::cpu
