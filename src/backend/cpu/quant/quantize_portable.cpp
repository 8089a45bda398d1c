// Activations to 8 bits, compiled for this file's instruction set.
#include "backend/cpu/quant/quantize_row.h"

namespace tallow::cpu::quant {
void quantize_portable(const float* x, int64_t k, QuantizedBlock* out, int64_t step) {
  quantize_row(x, k, out, step);
}
}  // namespace tallow::cpu::quant
