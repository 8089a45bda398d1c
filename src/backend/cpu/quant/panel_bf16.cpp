// Panels of dequantized weights for AMX and the bf16 dot products.
#include "backend/cpu/quant/panel_avx512.h"

namespace tallow::cpu::quant {
PanelBf16Fn panel_bf16_bf16(DType dtype) { return panel_bf16_for(dtype); }
}  // namespace tallow::cpu::quant
