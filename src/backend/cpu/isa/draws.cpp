// The random kernels for the level being compiled.
// Multiplications and additions stay apart, so that every level rounds alike.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
#include "ops/creation/draws.h"

#include "backend/cpu/move.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

const DrawKernels draw_kernels{draws::philox_words, draws::uniform_floats, draws::normal_floats};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
