// The operators. PyTorch's names, argument orders and defaults; each page in src/ops is one op.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

// Elementwise (src/ops/elementwise.def): inputs broadcast and promote as PyTorch's.
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor square(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor silu(const Tensor& x);
Tensor softsign(const Tensor& x);  ///< x / (1 + |x|)
Tensor gelu(const Tensor& x);      ///< exact (erf)

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }
Tensor operator+(const Tensor& a, double b);
Tensor operator-(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);
inline Tensor operator*(double a, const Tensor& b) { return b * a; }
inline Tensor operator+(double a, const Tensor& b) { return b + a; }

// Reductions over `dims` (all when empty).
Tensor sum(const Tensor& x, std::span<const int64_t> dims = {}, bool keepdim = false);
Tensor mean(const Tensor& x, std::span<const int64_t> dims = {}, bool keepdim = false);
Tensor amax(const Tensor& x, std::span<const int64_t> dims = {}, bool keepdim = false);

/// The matrix product of a [..., m, k] and b [..., k, n]; batch dimensions broadcast; vectors as
/// PyTorch's matmul.
Tensor matmul(const Tensor& a, const Tensor& b);

/// x [..., k] times weight [n, k] transposed, plus bias [n] if given: [..., n] in f32 (f64 for
/// f64). The weight may be any real or block dtype.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

/// The outputs of several linear layers on one input, side by side in the last dimension:
/// x [..., k], weights [n_i, k], biases [n_i] (empty, or one per weight, undefined for none).
Tensor linear_concat(const Tensor& x, const Tensors& weights, const Tensors& biases = {});

/// silu(x gate^T + gate_bias) * (x up^T + up_bias), in one pass: x [..., k], gate and up [n, k].
Tensor gated_linear(const Tensor& x, const Tensor& gate, const Tensor& up,
                    const Tensor& gate_bias = {}, const Tensor& up_bias = {});

/// Rows of weight [vocab, dim] (any real or block dtype) picked by ids [...]: f32 [..., dim].
/// Throws Error for an id outside [0, vocab).
Tensor embedding(const Tensor& weight, const Tensor& ids);

/// Rows (or slices along `dim`) of x picked by index [n].
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index);
Tensor cat(const Tensors& tensors, int64_t dim = 0);
/// x with the order of the elements along each of `dims` reversed. Throws Error for a dimension
/// that is named twice.
Tensor flip(const Tensor& x, std::span<const int64_t> dims);

Tensor softmax(const Tensor& x, int64_t dim);
/// x / sqrt(mean(x^2) + eps) * weight over the last dimension. Zhang and Sennrich, 2019.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-6);
/// {x + delta, rms_norm(x + delta, weight)} in one pass.
Tensors add_rms_norm(const Tensor& x, const Tensor& delta, const Tensor& weight, double eps = 1e-6);
/// silu(gate) * up.
Tensor swiglu(const Tensor& gate, const Tensor& up);

struct RopeOptions {
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of (i, i + rotated/2)
};
/// Rotates pairs of features of x [tokens, heads, dim] by angles positions[t] * frequencies[i],
/// and multiplies by `scale` (attention factor). frequencies [rotated / 2] f32; features past
/// `rotated` pass through. positions [tokens] i32. RoFormer, Su et al. 2021.
Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& frequencies,
            const RopeOptions& options = {}, double scale = 1.0);

// The paged key-value cache: see nn/kv_cache.h for who owns what.
//   k_cache [pages, kv_heads, page_size, head_dim]; v_cache [pages, kv_heads, head_dim, page_size]
//   (values are stored transposed, so that both matrix products of attention read rows).
//   Both f32 or both bf16.
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
/// Returns f32 [tokens, heads, head_dim]. Never holds a [tokens, tokens] matrix. Dao et al. 2022.
Tensor paged_attention(const Tensor& queries, const Tensor& k_cache, const Tensor& v_cache,
                       const Tensor& query_starts, const Tensor& lengths, const Tensor& page_table,
                       const AttentionOptions& options);

}  // namespace tallow
