// What each instruction set implements for the block types, and the table that quant.cpp picks
// from.
#pragma once

#include <cstdint>

#include "backend/cpu/quant/format.h"
#include "backend/cpu/quant/quant.h"

namespace tallow::cpu::quant {

/// Units along k, and the groups of 32 in the blocks of the type.
struct Length {
  int64_t units;
  int groups;
};

/// 16 interleaved rows times up to 8 rows of activations.
struct MatmulTile {
  const uint8_t* weights;
  const QuantizedBlock* x;
  int64_t x_step;  ///< blocks from one group of 32 k to the next
  Length length;   ///< along k
  float* y;        ///< [columns][ldy]
  int64_t ldy;
  int rows;     ///< that are stored: 1 to 16
  int columns;  ///< 1 to 8
};
using MatmulFn = void (*)(const MatmulTile&);

struct MatmulKernels {
  MatmulFn columns[8];  ///< columns[c - 1] does tiles of c columns
};

/// 16 rows of so many units: bf16 [k / 2][16][2], or f32 [k][32] (at column 0 or 16 of it).
using PanelBf16Fn = void (*)(const uint8_t* weights, Length length, uint16_t* panel);
using PanelF32Fn = void (*)(const uint8_t* weights, Length length, float* panel);

/// 16 interleaved rows of numbers times up to 4 rows of x.
struct RealTile {
  const uint8_t* weights;
  const float* x;
  int64_t ldx;
  int64_t units;
  float* y;
  int64_t ldy;
  int rows;
};
struct RealKernels {
  void (*columns[4])(const RealTile&);  ///< columns[c - 1] does c of them
  PanelBf16Fn panel_bf16;
};

/// Packs 16 rows of `units` units each; row r starts at rows[r].
using PackFn = void (*)(const uint8_t* const* rows, int64_t units, uint8_t* out);

/// Rounds one row of k activations; block b goes to out[b * step].
using QuantizeFn = void (*)(const float* x, int64_t k, QuantizedBlock* out, int64_t step);

// One per level; null for a dtype that has no packed form.
const MatmulKernels* matmul_portable(DType);
const MatmulKernels* matmul_avx2(DType);
const MatmulKernels* matmul_vnni(DType);
PanelBf16Fn panel_bf16_portable(DType);
PanelBf16Fn panel_bf16_avx512(DType);
PanelBf16Fn panel_bf16_bf16(DType);
PanelF32Fn panel_f32_portable(DType);
PanelF32Fn panel_f32_avx512(DType);
const RealKernels* real_avx512(DType);
PackFn pack_portable(DType);
PackFn pack_avx512(DType);
void quantize_portable(const float* x, int64_t k, QuantizedBlock* out, int64_t step);
void quantize_avx2(const float* x, int64_t k, QuantizedBlock* out, int64_t step);
void quantize_avx512(const float* x, int64_t k, QuantizedBlock* out, int64_t step);

}  // namespace tallow::cpu::quant
