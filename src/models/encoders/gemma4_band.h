// Attention to the keys near a query, with a bias by their distance: Dai et al. 2019 (arXiv
// 1901.02860), as Gemma 4's conformer has it.
#pragma once

#include "models/encoders/clipped_linear.h"
#include "models/encoders/gemma4_conformer.h"
#include "tallow/nn.h"

namespace tallow {

/// What queries see, cut into blocks that share a window of keys: keys `before` to `after` their
/// own.
struct Band {
  int64_t tokens, chunk, before, after, blocks, window;
  int64_t unseen;  ///< distances that a query could see, had the clip more tokens before it
  Tensor hidden;   ///< f32 [blocks, chunk, window]: 0, or -inf where a query does not see a key

  Band(const ConformerConfig& c, int64_t tokens);
  /// [heads, blocks, dim, window] of keys or values [tokens, heads, dim].
  Tensor windows(const Tensor& x) const;
};

/// For each distance that a query sees, from the farthest before it, its sines and cosines
/// [distances, hidden]. The positions begin where half of a window of keys ends; distances before
/// them have none.
Tensor distance_table(const ConformerConfig& c);

struct BandAttention {
  ClippedLinear q_proj, k_proj, v_proj, post;
  nn::Linear relative_k_proj;
  Tensor scale;  // of queries [dim]
  int64_t heads, dim;
  double cap;

  BandAttention(const Weights& w, const ConformerConfig& c);
  /// [heads, dim, distances]: what a query is multiplied with at each distance of the table.
  Tensor biases(const Tensor& distances) const;
  /// x [tokens, hidden].
  Tensor operator()(const Tensor& x, const Tensor& all_biases, const Band& band) const;
};

}  // namespace tallow
