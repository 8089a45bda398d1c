// The innermost loops of matrix products, one table per instruction set. All of them work on
// packed panels:
//   x: `rows` rows interleaved, [k][rows] (16 elements of slack behind it)
//   w: groups of 16 rows of the weight interleaved, [k][16]; `group_stride` elements apart
// A pair is two neighbours in k of a bf16 row, in one 32-bit word.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

inline constexpr int kGroup = 16;        // weight rows that are interleaved
inline constexpr int kMaxTileRows = 14;  // the most that any level has
inline constexpr int kMaxTileGroups = 2;
inline constexpr int kPackSlack = 16;

/// c [rows, 16 * groups] = (accumulate ? c : 0) + x w^T.
template <class X, class W, class C>
using TileFn = void (*)(int64_t k, const X* x, const W* w, int64_t group_stride, C* c, int64_t ldc,
                        bool accumulate);

/// The tiles of one type for every number of rows and groups.
template <class X, class W, class C>
struct Tiles {
  int rows;                                          // of a full tile
  int groups;                                        // of a full tile
  TileFn<X, W, C> fn[kMaxTileRows][kMaxTileGroups];  // [rows - 1][groups - 1]
};

/// y [rows, columns] (+)= x [rows, k] w [columns, k]^T for a table of up to kMostDotRows rows and
/// up to 4 columns, from rows as they lie in memory.
inline constexpr int kMostDotRows = 6, kDotColumns = 4;
template <class W>
using DotFn = void (*)(int64_t k, const float* x, int64_t ldx, const W* w, int64_t ldw, int columns,
                       float* y, int64_t ldy, bool accumulate);
/// y [rows, columns] (+)= x [rows, k] w [k, columns], kRowColumns columns at a time; w's rows are
/// `ldw` apart, and x [rows, k] by its strides.
inline constexpr int kRowColumns = 64;
template <class W>
using RowFn = void (*)(int64_t k, const float* x, int64_t row_stride, int64_t k_stride, const W* w,
                       int64_t ldw, int columns, float* y, int64_t ldy, bool accumulate);
struct DotKernels {
  int rows;                        // the most of this level
  DotFn<float> f32[kMostDotRows];  // [rows - 1]
  DotFn<uint16_t> bf16[kMostDotRows];
  RowFn<float> columns_f32[kMostDotRows];
  RowFn<uint16_t> columns_bf16[kMostDotRows];
};

struct GemmKernels {
  Tiles<float, float, float> f32;
  Tiles<double, double, double> f64;
  /// f32 x with bf16 weights in pairs; k counts pairs. Exact products, for few rows.
  Tiles<float, uint32_t, float> pairs;
  /// target[j * stride + r] = source[r * ld + j] for j < k, r < rows <= 16. Up to 16 lanes are
  /// written for each j, in ascending order of j; those past `rows` hold zeros.
  void (*interleave_32)(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                        int64_t stride);
  /// The same from source[j * ld + r], whose columns have no gaps.
  void (*copy_32)(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                  int64_t stride);
  void (*pairs_to_f32)(const uint32_t* pairs, int64_t count, float* target);  // [.][16] groups
  void (*bf16_to_f32)(const uint16_t* source, float* target, int64_t n);
  void (*f16_to_f32)(const uint16_t* source, float* target, int64_t n);
  void (*f32_to_bf16)(const float* source, uint16_t* target, int64_t n);
  /// gate[i] = silu(gate[i]) * up[i]
  void (*silu_mul)(float* gate, const float* up, int64_t n);
};

namespace isa_portable {
extern const GemmKernels gemm_kernels;
extern const DotKernels dot_kernels;
}  // namespace isa_portable
namespace isa_avx2 {
extern const GemmKernels gemm_kernels;
extern const DotKernels dot_kernels;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const GemmKernels gemm_kernels;
extern const DotKernels dot_kernels;
}  // namespace isa_avx512

/// The tables of isa().
const GemmKernels& gemm_kernels();
const DotKernels& dot_kernels();

// AVX512-BF16 (gemm/pairs_bf16.cpp): both sides in pairs.
extern const Tiles<uint32_t, uint32_t, float> bf16_tiles;
void f32_to_bf16_rne(const float* source, uint16_t* target, int64_t n);
/// target[r] = bf16(source[r] + bias) for rows of `columns`; bias may be null.
void store_bf16(const float* source, int64_t ld, int64_t rows, int64_t columns, const float* bias,
                uint16_t* target, int64_t target_ld);
/// target[c * target_ld + r] = bf16(source[r * ld + c] + bias[r]) for rows <= 32.
void store_bf16_turned(const GemmKernels& kernels, const float* source, int64_t ld, int64_t rows,
                       int64_t columns, const float* bias, uint16_t* target, int64_t target_ld);
/// Rows [k][columns <= 32] of bf16, ld apart, to pairs [ceil(k / 2)][16] of the first 16 columns
/// and, where there are more, of the next.
void zip_pairs(int columns, int64_t k, const uint16_t* source, int64_t ld, uint32_t* first,
               uint32_t* second = nullptr);

// AMX (gemm/tiles_amx.cpp).
/// Sets this thread's tile registers up for amx_block: before each use, since other libraries in
/// the process set them up their own way.
void amx_configure();
struct AmxBlock {
  int64_t k = 0;  ///< a multiple of 32
  int64_t row_tiles = 0;
  const uint16_t* x = nullptr;  ///< row_tiles tiles of 16 rows of bf16
  int64_t x_row = 32;           ///< elements from row to row of x,
  int64_t x_step = 16 * 32;     ///< to the next 32 of k,
  int64_t x_tile = 0;           ///< and to the next 16 rows
  const uint32_t* w[2] = {};    ///< two groups of 16 weight rows in pairs, [k / 2][16]
  const float* from = nullptr;  ///< the sums so far [16 * row_tiles, 32], or null for zeros
  int64_t from_ld = 0;          ///< elements from row to row
  float* to = nullptr;          ///< where the sums go, may be `from`
  int64_t to_ld = 0;
  bool fetch = false;  ///< whether `to` is not in the caches
  // What comes into L2 meanwhile, for later: the same k of other rows.
  const uint16_t* ahead = nullptr;
  int64_t ahead_row = 0;   ///< elements from row to row
  int64_t ahead_rows = 0;  ///< how many
};
/// to = from + x w^T.
void amx_block(const AmxBlock& block);
/// x [rows <= 16, k] f32 to one tile column of the form above; rows past `rows` and k up to the
/// next multiple of 32 become zeros.
void amx_pack(int rows, int64_t k, const float* x, int64_t ldx, uint16_t* target);
void amx_pack(int rows, int64_t k, const uint16_t* x, int64_t ldx, uint16_t* target);

}  // namespace tallow::cpu
