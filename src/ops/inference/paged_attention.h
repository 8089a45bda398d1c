// The layout of the paged cache and of ragged queries, as the kernels of attention read them.
#pragma once

#include <algorithm>

#include "ops/registry.h"

namespace tallow {

/// The inputs of paged_attention, checked: every index that a kernel follows is in range.
struct PagedInputs {
  Tensor queries, k_cache, v_cache, query_starts, lengths, page_table, visible;
  int64_t tokens, heads, kv_heads, dim, page_size, sequences, max_pages;

  /// Throws Error for starts that do not rise to the number of tokens, lengths shorter than their
  /// queries or longer than their pages, pages outside the cache, and `visible` that falls.
  explicit PagedInputs(Inputs in);

  int64_t start(int64_t s) const { return query_starts.data<int32_t>()[s]; }
  int64_t queries_of(int64_t s) const { return start(s + 1) - start(s); }
  int64_t length(int64_t s) const { return lengths.data<int32_t>()[s]; }
  /// The position of the first query of sequence s.
  int64_t first_position(int64_t s) const { return length(s) - queries_of(s); }
  /// Where what query i of sequence s sees ends.
  int64_t end(int64_t s, int64_t i) const {
    const int64_t causal = first_position(s) + i + 1;
    if (!visible) return causal;
    return std::max(causal, std::min<int64_t>(visible.data<int32_t>()[start(s) + i], length(s)));
  }

 private:
  void check_visible() const;
};

/// What a paged cache may hold: f32, bf16, f16, q8_0 and q4_0.
bool is_cache_type(DType dtype);
/// Whether k [pages, heads, page_size, dim] and v are the caches of one layer: v is transposed,
/// [.., dim, page_size], unless it holds blocks, which run along a token's dim as keys' do.
bool is_cache(const Tensor& k, const Tensor& v);

/// Keys, values and queries, as blocks keep and meet them: spread over their features, f32. Applied
/// twice it changes nothing.
Tensor spread(const Tensor& x);

/// Throws Error for a slot outside the cache. `slots` is contiguous.
void check_slots(const Tensor& k_cache, const Tensor& slots);

}  // namespace tallow
