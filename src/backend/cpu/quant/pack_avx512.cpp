// Packs block types with 512-bit vectors.
#include "backend/cpu/quant/pack_small.h"

namespace tallow::cpu::quant {
PackFn pack_avx512(DType dtype) { return pack_for(dtype); }
}  // namespace tallow::cpu::quant
