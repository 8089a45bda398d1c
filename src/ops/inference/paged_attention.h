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

/// Throws Error for a slot outside the cache. `slots` is contiguous.
void check_slots(const Tensor& k_cache, const Tensor& slots);

}  // namespace tallow
