// Gives the copies and the random numbers of ops the vector kernels of this machine.
#include "backend/cpu/move.h"

#include "backend/cpu/kernels.h"
#include "ops/creation/random.h"

namespace tallow::cpu {
namespace {

void choose(MoveKernels& moves, DrawKernels& draws) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) {
    moves = isa_avx512::move_kernels;
    draws = isa_avx512::draw_kernels;
    return;
  }
  if (isa() >= Isa::avx2) {
    moves = isa_avx2::move_kernels;
    draws = isa_avx2::draw_kernels;
    return;
  }
#endif
  moves = isa_portable::move_kernels;
  draws = isa_portable::draw_kernels;
}

}  // namespace

void bind_move() { choose(tallow::move_kernels, tallow::draw_kernels); }

}  // namespace tallow::cpu
