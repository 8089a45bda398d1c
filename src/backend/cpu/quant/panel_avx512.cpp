// Panels of dequantized weights with AVX-512.
#include "backend/cpu/quant/panel_avx512.h"

namespace tallow::cpu::quant {

PanelBf16Fn panel_bf16_avx512(DType dtype) { return panel_bf16_for(dtype); }

PanelF32Fn panel_f32_avx512(DType dtype) {
  switch (format_type(dtype)) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return to_f32<k_##type>;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    default: return nullptr;
  }
}

}  // namespace tallow::cpu::quant
