// The decoder of LLaMA, for the architectures that differ from it only in what LlamaConfig says.
#pragma once

#include <string>
#include <vector>

#include "tallow/models.h"
#include "tallow/nn.h"

namespace tallow {

/// Sizes and switches of the decoder. An architecture's own file changes what its configuration
/// means differently, and hands the result to make_llama.
struct LlamaConfig {
  /// As LlamaForCausalLM reads it. Throws Error for what is missing or out of range.
  explicit LlamaConfig(const Config& config);

  int64_t vocab, hidden, intermediate, layers, heads, kv_heads, head_dim, positions;
  double eps;
  std::string activation;
  bool tied;
  nn::Linear::Bias qkv_bias, o_bias, mlp_bias;
  /// How many tokens back each layer sees, its own included (0: all); empty where all layers do.
  std::vector<int64_t> windows;
};

std::unique_ptr<CausalLM> make_llama(const Checkpoint& checkpoint, const LlamaConfig& config);

}  // namespace tallow
