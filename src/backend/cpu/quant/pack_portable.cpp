// Packs block types without any instruction set beyond the compiler's default.
#include "backend/cpu/quant/pack_small.h"

namespace tallow::cpu::quant {
PackFn pack_portable(DType dtype) { return pack_for(dtype); }
}  // namespace tallow::cpu::quant
