// Gives the copies and the random numbers of ops the vector kernels of this machine.
#include "backend/cpu/move.h"

#include "backend/cpu/kernels.h"
#include "ops/creation/random.h"

namespace tallow::cpu {
void bind_move() {
  tallow::move_kernels = TALLOW_BY_ISA(move_kernels);
  tallow::draw_kernels = TALLOW_BY_ISA(draw_kernels);
}

}  // namespace tallow::cpu
