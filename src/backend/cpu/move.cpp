// Gives the copies and the random numbers of ops the vector kernels of this machine.
#include "backend/cpu/move.h"

#include "backend/cpu/kernels.h"
#include "ops/creation/random.h"
#include "ops/shape/move.h"

namespace tallow::cpu {
namespace {

void choose(TransposeTile& transpose, DrawKernels& draws) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) {
    transpose = isa_avx512::move_kernels.transpose;
    draws = isa_avx512::draw_kernels;
    return;
  }
  if (isa() >= Isa::avx2) {
    transpose = isa_avx2::move_kernels.transpose;
    draws = isa_avx2::draw_kernels;
    return;
  }
#endif
  transpose = isa_portable::move_kernels.transpose;
  draws = isa_portable::draw_kernels;
}

}  // namespace

void bind_move() { choose(transpose_tile, draw_kernels); }

}  // namespace tallow::cpu
