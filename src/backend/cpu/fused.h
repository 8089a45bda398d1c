// The fused kernels of the CPU backend: one table of functions per instruction set, and the
// binding of the chosen table to the ops.
#pragma once

#include <cstdint>

#include "tallow/tensor.h"

namespace tallow::cpu {

/// Where kv_cache_write puts tokens [0, tokens) of the KV heads [head_begin, head_end).
struct CacheWrite {
  void* k_cache;
  void* v_cache;
  bool bf16;  // else f32
  const float* keys;
  const float* values;
  int64_t key_stride, value_stride;  // elements from a token to the next
  const int32_t* slots;
  int64_t tokens, kv_heads, page_size, dim;
};

struct RopeCall {
  const float* x;
  int64_t x_stride;          // elements from a token to the next
  float* y;                  // [tokens, heads, axes, dim]
  const int32_t* positions;  // [tokens, axes]
  const float* frequencies;
  int64_t heads, axes, dim, half;
  bool interleaved;
  float scale;
};

/// All arrays are contiguous f32 unless said otherwise.
struct FusedKernels {
  /// y = normalized(x + delta) * weight and sum = x + delta; delta and sum may be null together.
  void (*rms_norm)(const float* x, const float* delta, const float* weight, float* sum, float* y,
                   int64_t rows, int64_t n, float eps);
  void (*swiglu)(const float* gate, const float* up, float* y, int64_t n);
  void (*rope)(const RopeCall& call, int64_t token_begin, int64_t token_end);
  void (*cache_write)(const CacheWrite& call, int64_t head_begin, int64_t head_end);
};

namespace isa_portable {
extern const FusedKernels fused_kernels;
}
namespace isa_avx2 {
extern const FusedKernels fused_kernels;
}
namespace isa_avx512 {
extern const FusedKernels fused_kernels;
}

/// x [tokens, heads, dim] as f32 with heads and dim contiguous: itself where it is that already, as
/// a slice of a wider row is.
Tensor token_rows(const Tensor& x);
/// Elements from a token of token_rows to the next.
int64_t token_stride(const Tensor& x);

/// Binds rms_norm, add_rms_norm, swiglu, rope, embedding, kv_cache_write and
/// paged_attention.
void bind_fused();
void bind_attention();

}  // namespace tallow::cpu
