// Fused ops of language models, and the paged key-value cache.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// The outputs of several linear layers on one input, side by side in the last dimension:
/// x [..., k], weights [n_i, k], biases [n_i] (empty, or one per weight, undefined for none).
Tensor linear_concat(const Tensor& x, const Tensors& weights, const Tensors& biases = {});

/// silu(x gate^T + gate_bias) * (x up^T + up_bias), in one pass: x [..., k], gate and up [n, k].
Tensor gated_linear(const Tensor& x, const Tensor& gate, const Tensor& up,
                    const Tensor& gate_bias = {}, const Tensor& up_bias = {});

/// Each row of x through the weight of the expert that it is routed to:
///   y[t, j] = x[t, j] weight[experts[t, j]]^T
/// x [tokens, 1 or routes, k] f32, weight [experts, n, k] of any real or block dtype, experts
/// [tokens, routes] i32 or i64 in [0, experts): f32 [tokens, routes, n]. Reads the weights of those
/// experts only. Throws Error for an expert outside. Shazeer et al. 2017.
Tensor routed_linear(const Tensor& x, const Tensor& weight, const Tensor& experts);

/// {x + delta, rms_norm(x + delta, weight)} in one pass.
Tensors add_rms_norm(const Tensor& x, const Tensor& delta, const Tensor& weight, double eps = 1e-6);
/// silu(gate) * up.
Tensor swiglu(const Tensor& gate, const Tensor& up);

/// Rows of weight [vocab, dim] (any real or block dtype) picked by ids [...]: f32 [..., dim].
/// Throws Error for an id outside [0, vocab).
Tensor embedding_rows(const Tensor& weight, const Tensor& ids);

struct RopeOptions {
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of (i, i + rotated/2)
};
/// Rotates pairs of features of x [tokens, heads, dim] by angles positions[t] * frequencies[i] and
/// multiplies by `scale`. frequencies [rotated / 2] f32; features past `rotated` pass through.
/// positions i32 [tokens], or [tokens, axes]: one for each of `axes` parts of dim. Su et al. 2021.
Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& frequencies,
            const RopeOptions& options = {}, double scale = 1.0);

// The paged key-value cache: see nn/kv_cache.h for who owns what.
//   k_cache [pages, kv_heads, page_size, head_dim]; v_cache [pages, kv_heads, head_dim, page_size]
//   (values are stored transposed, so that both matrix products of attention read rows).
//   Both f32, bf16 or f16; or both q8_0 or q4_0, and then v_cache is as k_cache: a block is made of
//   one token's values, whole when that is written; such rows are times Hadamard's matrix.
/// Writes keys and values [tokens, kv_heads, head_dim] of each token into slot
/// page * page_size + offset, in place. slots [tokens] i32.
void kv_cache_write(const Tensor& k_cache, const Tensor& v_cache, const Tensor& keys,
                    const Tensor& values, const Tensor& slots);

struct AttentionOptions {
  float scale = 1;
  float soft_cap = 0;  ///< scores become cap * tanh(score / cap) when positive
  int64_t window = 0;  ///< only the last `window` positions are seen, when positive
};
/// Causal attention of ragged queries over the paged cache, in which the queries' own keys are
/// already written.
///   queries      [tokens, heads, head_dim] f32; heads is a multiple of kv_heads
///   query_starts [sequences + 1] i32: sequence s owns tokens query_starts[s]..query_starts[s+1]
///   lengths      [sequences] i32: tokens in the cache, this pass's included; the last query of a
///                sequence is at position lengths[s] - 1
///   page_table   [sequences, max_pages] i32
///   visible      [tokens] i32, or undefined: the tokens of its sequence that a query sees where
///                they are more than those up to itself; never falls within a sequence
/// Returns f32 [tokens, heads, head_dim]. Never holds a [tokens, tokens] matrix. Dao et al. 2022.
Tensor paged_attention(const Tensor& queries, const Tensor& k_cache, const Tensor& v_cache,
                       const Tensor& query_starts, const Tensor& lengths, const Tensor& page_table,
                       const AttentionOptions& options, const Tensor& visible = {});

}  // namespace tallow
