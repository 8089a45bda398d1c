// What the attention kernels of every instruction set are called with.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tallow::cpu {

enum class CacheType : uint8_t { f32, bf16, f16, q8_0, q4_0 };

/// One call of paged_attention; layouts as in tallow/ops.h.
struct AttentionCall {
  const float* queries;
  int64_t query_stride;  // elements from a token to the next
  float* out;            // [tokens, heads, dim]
  const void* k_cache;
  const void* v_cache;
  CacheType cache;
  const int32_t* page_table;
  int64_t max_pages, heads, kv_heads, group, dim, page_size;  // group: heads / kv_heads
  float scale, soft_cap;
  int64_t window;
  bool causal = true;                // else every row sees all of its sequence
  const int32_t* visible = nullptr;  // [tokens]: what a row sees where that is more; null for none
  const float* mask = nullptr;       // added to the scores (after the cap); null for none
  int64_t mask_row_stride = 0, mask_key_stride = 0;
};

/// A part of it that one thread does: some rows of one sequence and KV head against a range of
/// positions. Row r is query r / group of head kv_head * group + r % group, so that neighbouring
/// rows see nearly the same keys.
struct AttentionItem {
  int64_t sequence, kv_head;
  int64_t first_token, first_position, length;  // of the sequence
  int64_t row_begin, row_end;
  int64_t kv_begin, kv_end;  // kv_begin is a multiple of kAttentionChunk
  /// Null: the result goes to `out`. Else a [dim + 2] for each row: the sum of values, its largest
  /// score in units of log2, and the sum of weights, to be merged with those of other ranges.
  float* partial;
  /// Packed keys and values, where there is no cache: chunks of [32, width] and [width, 32].
  const void* keys = nullptr;
  const void* values = nullptr;
  float* lse = nullptr;  // of each row log2 of the sum of 2^score, infinity for none; or null
};

constexpr int64_t kAttentionChunk = 32;   // positions that are read together
constexpr int64_t kAttentionBlock = 128;  // positions between two updates of the maximum
constexpr int64_t kAttentionRows = 128;   // most rows of an item
constexpr int64_t kBlockRows = 8;         // most rows of one for blocks_attention

/// The bytes of scratch memory, aligned to 64, that an item needs.
constexpr int64_t attention_workspace(int64_t dim) {
  const int64_t padded = (dim + 31) / 32 * 32;
  return padded * 4 * (2 * kAttentionRows + 2 * kAttentionBlock) + kAttentionBlock * 64 * 8 + 8192;
}

using AttentionKernel = void (*)(const AttentionCall&, const AttentionItem&, std::byte* workspace);

struct AttentionKernels {
  AttentionKernel tiled;   // any rows, up to kAttentionRows
  AttentionKernel few;     // the same for a handful of rows, bound by memory; no blocks
  AttentionKernel packed;  // tiled, over the item's packed keys and values
};

namespace isa_portable {
extern const AttentionKernels attention_kernels;
extern const AttentionKernel blocks_attention;  // few rows over q8_0 and q4_0
}  // namespace isa_portable
namespace isa_avx2 {
extern const AttentionKernels attention_kernels;
extern const AttentionKernel blocks_attention;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const AttentionKernels attention_kernels;
extern const AttentionKernel blocks_attention;
}  // namespace isa_avx512
namespace isa_bf16 {
extern const AttentionKernels attention_kernels;  // for bf16, q8_0 and q4_0
}
namespace isa_amx {
extern const AttentionKernel tiled_attention;   // for bf16, q8_0 and q4_0
extern const AttentionKernel packed_attention;  // for bf16 keys and values only
extern const AttentionKernel blocks_attention;
extern const AttentionKernel thirds_attention;  // for keys and values of f32 that SplitHead packed
}  // namespace isa_amx

}  // namespace tallow::cpu
