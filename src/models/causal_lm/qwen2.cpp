// Qwen2 and Qwen2.5: LLaMA with biases on queries, keys and values, and a sliding window in some
// layers. Yang et al., 2024; transformers' modeling_qwen2.
#include "models/causal_lm/llama.h"
#include "models/registry.h"
#include "tallow/error.h"

namespace tallow {
namespace {

bool slides(const Config& c, const Json& type) {
  const std::string name = type.is_string() ? type.string() : "";
  if (name == "sliding_attention") return true;
  if (name == "full_attention") return false;
  fail(c.what(), ": layer_types: ", type.dump(),
       " is unknown; known are full_attention, sliding_attention");
}

std::vector<int64_t> windows(const Config& c, int64_t layers) {
  if (!c.boolean_or("use_sliding_window", false) || !c.has("sliding_window")) return {};
  const int64_t window = c.integer("sliding_window");
  const int64_t first = c.integer_or("max_window_layers", 28, 0);
  const Json* types = c.find("layer_types");
  if (types && (!types->is_array() || std::ssize(types->items()) != layers)) {
    fail(c.what(), ": layer_types must be a list of ", layers, " names");
  }
  std::vector<int64_t> result;
  for (int64_t i = 0; i < layers; ++i) {
    result.push_back((types ? slides(c, types->items()[i]) : i >= first) ? window : 0);
  }
  return result;
}

}  // namespace

std::unique_ptr<CausalLM> make_qwen2(const Checkpoint& checkpoint) {
  LlamaConfig c(checkpoint.config);
  c.qkv_bias = nn::Linear::Bias::required;
  c.o_bias = c.mlp_bias = nn::Linear::Bias::none;
  c.windows = windows(checkpoint.config, c.layers);
  return make_llama(checkpoint, c);
}

}  // namespace tallow
