// The zoo: architectures by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tallow/encoders.h"
#include "tallow/kv_cache.h"
#include "tallow/weights.h"

namespace tallow {

/// A decoder that continues text.
class CausalLM {
 public:
  virtual ~CausalLM() = default;
  /// Logits f32 [rows, vocab] of batch.logit_rows; writes the batch's keys and values to the cache.
  Tensor forward(const Batch& batch, KvCache& cache) const { return head(states(batch, cache)); }
  /// What the head reads of those rows: f32 [rows, hidden].
  virtual Tensor states(const Batch& batch, KvCache& cache) const = 0;
  virtual Tensor head(const Tensor& states) const = 0;
  /// The cache that this model needs (bf16, or f32 where the weights are f32).
  virtual KvCacheSpec cache_spec() const = 0;
  virtual int64_t vocab_size() const = 0;
  /// The longest context that the configuration allows.
  virtual int64_t max_positions() const = 0;
  /// Bytes of weights that one decoded token reads.
  virtual int64_t weight_bytes() const = 0;
  /// Floating-point operations of the products with weights, in a pass of `tokens` of which `rows`
  /// get logits.
  virtual double flops(int64_t tokens, int64_t rows) const = 0;
  /// What makes Batch::soft_tokens of images and sounds; null for a model that takes none.
  virtual const ImageEncoder* images() const { return nullptr; }
  virtual const AudioEncoder* sounds() const { return nullptr; }
};

/// A small model that guesses what a larger one says next, from its states and its cache.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// The likeliest `count` tokens after `token`, which the large model said for `state` f32
  /// [1, hidden]. `at` is one query after what the cache holds: all before `token`.
  virtual std::vector<int32_t> draft(int32_t token, const Tensor& state, int64_t count,
                                     const Batch& at, KvCache& cache) const = 0;
};

/// Makes the drafter that a checkpoint's architecture names, for `large`, which must outlive it.
/// Throws Error for an unknown one, and for a large model that it was not made for.
std::unique_ptr<Drafter> load_drafter(const Checkpoint& checkpoint, const CausalLM& large);

/// Makes the model that a checkpoint's architecture names. Throws Error for an unknown one, naming
/// those known, and for weights that the configuration does not fit.
std::unique_ptr<CausalLM> load_causal_lm(const Checkpoint& checkpoint);

/// The architectures that load_causal_lm knows: "LlamaForCausalLM", ...
std::vector<std::string> causal_lm_architectures();

}  // namespace tallow
