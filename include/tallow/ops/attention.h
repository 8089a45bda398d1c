// Attention over dense batches.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// softmax(query key^T * scale + attn_mask) value, never holding the [L, S] scores in f32 and bf16.
/// query [..., heads, L, E], key [..., heads, S, E], value [..., heads, S, Ev]: [..., heads, L,
/// Ev]. attn_mask broadcasts to [..., L, S]: bool (true takes part) or added; is_causal lets query
/// i see keys up to i. scale defaults to 1 / sqrt(E). With enable_gqa the heads of query may be a
/// multiple of those of key and value. Beyond PyTorch: window > 0 lets query i see keys j with |i -
/// j| < window, soft_cap > 0 turns scores into cap * tanh(score / cap). Rows that see no key are
/// zero. Dao et al. 2022 (arXiv 2205.14135).
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& attn_mask = {}, double dropout_p = 0.0,
                                    bool is_causal = false, std::optional<double> scale = {},
                                    bool enable_gqa = false, int64_t window = 0,
                                    double soft_cap = 0.0);

}  // namespace tallow
