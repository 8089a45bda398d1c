// The small kernels of dense attention, a table per instruction set.
#pragma once

#include <cstdint>

namespace tallow::cpu {

inline constexpr int64_t kSdpaKeys = 64;  // keys of a block of the backward pass

/// Rows of the backward pass against a block of keys: their weights P = 2^(scores * scale - lse)
/// and the gradients of their scores, P (grad_weights - delta) grad_scale.
struct SdpaBackRows {
  int64_t rows, columns;      // columns: keys of the block that there are
  const float* scores;        // [rows, kSdpaKeys]
  const float* grad_weights;  // [rows, kSdpaKeys]
  const float* lse;           // [rows]
  const float* delta;         // [rows]
  float scale, grad_scale;
  const float* mask;  // added, at the first row and key; or null
  int64_t mask_row_stride, mask_key_stride;
  bool causal;       // row r sees keys up to r + diagonal
  int64_t window;    // and where positive only that many of them
  int64_t diagonal;  // the position of the first row less that of the first key
};

/// Groups of 16 keys, [rows, 16] each, `group_stride` apart.
struct SdpaBackFloats {
  float* weights;
  float* grad_scores;
  int64_t group_stride;
};

/// The same in pairs of rows, [rows / 2, 16, 2] each, and the gradients also by rows,
/// [rows, kSdpaKeys]. Rows past the last are zero up to a multiple of 2.
struct SdpaBackPairs {
  uint32_t* weights;
  uint32_t* grad_scores;
  int64_t group_stride;  // in words
  uint16_t* grad_rows;
};

struct SdpaKernels {
  /// target[j * target_stride + i] = source[i * stride + j] for i < 16, j < dim.
  void (*transpose_16)(const uint16_t* source, int64_t stride, int64_t dim, uint16_t* target,
                       int64_t target_stride);
  float (*dot)(const float* a, const float* b, int64_t n);
  void (*back_rows)(const SdpaBackRows& in, const SdpaBackFloats& out);
};
namespace isa_portable {
extern const SdpaKernels sdpa_kernels;
}
namespace isa_avx2 {
extern const SdpaKernels sdpa_kernels;
}
namespace isa_avx512 {
extern const SdpaKernels sdpa_kernels;
}
/// The table of isa().
const SdpaKernels& sdpa_kernels();

// AMX (sdpa_amx.cpp).

/// c [16 * row_tiles, 32 * column_tiles] = (accumulate ? c : 0) + a b, in bf16.
struct TileProduct {
  int64_t row_tiles, column_tiles, k;  // k: a multiple of 32
  const uint16_t* a;                   // rows, or steps of 32 of k with their rows
  int64_t a_stride, a_step;            // elements from row to row, and from 32 of k to the next
  const uint32_t* b;                   // groups of 16 columns in pairs, [k / 2, 16]
  int64_t group_stride;                // words
  float* c;
  int64_t c_stride;
  bool accumulate;
};
void amx_product(const TileProduct& product);
void amx_back_rows(const SdpaBackRows& in, const SdpaBackPairs& out);
/// target[i] = a[i] low and b[i] high, for n (a multiple of 16) elements.
void amx_pair_rows(const uint16_t* a, const uint16_t* b, int64_t n, uint32_t* target);

}  // namespace tallow::cpu
