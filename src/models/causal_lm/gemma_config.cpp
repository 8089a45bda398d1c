// How the configurations of the Gemma family are read: transformers' configuration_gemma*, and what
// GGUF says under the same keys.
#include <cmath>
#include <utility>

#include "models/causal_lm/gemma.h"
#include "models/encoders/gemma4_audio.h"
#include "models/encoders/gemma4_unified.h"
#include "models/encoders/gemma4_vision.h"
#include "models/registry.h"
#include "tallow/error.h"

namespace tallow {
namespace {

Config text_config(const Config& c) {
  const Json* text = c.find("text_config");
  return text && text->is_object() ? Config(*text, c.what() + ": text_config") : c;
}

/// The decoder stands under other names in models with towers, and in their first conversions.
Weights decoder(const Weights& w) {
  for (const char* prefix : {"model.language_model", "language_model.model"}) {
    const Weights inner = w / prefix;
    if (inner.contains("embed_tokens.weight")) return inner;
  }
  return w / "model";
}

/// A number for all layers, or a list with one for each.
std::vector<int64_t> per_layer(const Config& c, const char* key, int64_t fallback, size_t layers) {
  const Json* value = c.find(key);
  if (!value || !value->is_array()) {
    return std::vector<int64_t>(layers, c.integer_or(key, fallback, 1, 1 << 22));
  }
  if (value->items().size() != layers) {
    fail(c.what(), ": ", key, " must be a number or a list of ", layers);
  }
  std::vector<int64_t> result;
  for (const Json& item : value->items()) {
    if (!item.is_integer() || item.integer() < 1 || item.integer() > 1 << 22) {
      fail(c.what(), ": ", key, ": ", item.dump(), " is not a size");
    }
    result.push_back(item.integer());
  }
  return result;
}

bool slides(const Config& c, const Json& type) {
  const std::string name = type.is_string() ? type.string() : "";
  if (name == "sliding_attention") return true;
  if (name == "full_attention") return false;
  fail(c.what(), ": layer_types: ", type.dump(),
       " is unknown; known are full_attention, sliding_attention");
}

const char* type_name(bool sliding) { return sliding ? "sliding_attention" : "full_attention"; }

/// What rope_parameters say of one kind of layer, or older keys.
Config rope_config(const Config& c, bool sliding, double theta) {
  Json out = Json::object();
  out.set("max_position_embeddings", c.integer_or("max_position_embeddings", 131072));
  out.set("rope_theta", theta);
  const Json* rope = c.find("rope_parameters");
  const Json* own = rope && rope->is_object() ? rope->find(type_name(sliding)) : nullptr;
  if (rope && (own || rope->find("rope_theta"))) {
    out.set("rope_parameters", own ? *own : *rope);
  } else {
    const char* key =
        sliding && c.has("rope_local_base_freq") ? "rope_local_base_freq" : "rope_theta";
    if (!sliding || c.has("rope_local_base_freq")) out.set("rope_theta", c.number_or(key, theta));
    const Json* scaling = c.find("rope_scaling");
    if (scaling && !sliding) out.set("rope_scaling", *scaling);
  }
  return Config(std::move(out), c.what());
}

/// Gemma 4's of its global layers, where nothing is said.
Json proportional_rope(int64_t positions) {
  Json rope = Json::object(), out = Json::object();
  rope.set("rope_type", "proportional");
  rope.set("partial_rotary_factor", 0.25);
  rope.set("rope_theta", 1e6);
  out.set("max_position_embeddings", positions);
  out.set("rope_parameters", std::move(rope));
  return out;
}

/// The sizes that a layer has of its own, in either way that Gemma 4 says them.
void read_own_heads(const Config& c, int64_t index, bool values_are_keys, GemmaLayerConfig& layer) {
  const Json* all = c.find("per_layer_config");
  const Json* own = all ? all->find(std::to_string(index)) : nullptr;
  if (all && !own) own = all->find(type_name(layer.sliding));
  if (own && own->is_object()) {
    const Config mine(*own, str(c.what(), ": per_layer_config ", index));
    layer.head_dim = mine.integer_or("head_dim", layer.head_dim, 1, 1 << 14);
    layer.kv_heads = mine.integer_or("num_key_value_heads", layer.kv_heads, 1, 1 << 14);
  }
  if (all || layer.sliding) return;
  layer.head_dim = c.integer_or("global_head_dim", 512, 1, 1 << 14);
  if (values_are_keys) {
    layer.kv_heads = c.integer_or("num_global_key_value_heads", layer.kv_heads, 1, 1 << 14);
  }
}

/// LLaMA's scale, of what GGUF files leave out: the models of 27B divide by other sizes.
double query_scale(const GemmaConfig& c, size_t layers_of_27b) {
  const int64_t dim = c.layers.size() == layers_of_27b ? c.hidden / c.heads : c.layers[0].head_dim;
  const double scalar = c.text.number_or("query_pre_attn_scalar", static_cast<double>(dim));
  if (!(scalar > 0)) fail(c.text.what(), ": query_pre_attn_scalar ", scalar, " is not positive");
  return 1 / std::sqrt(scalar);
}

/// transformers halves the window of models that see both ways; Gemma 4 counts its end in.
void see_all(GemmaConfig& c, int64_t end) {
  c.sees_all = true;
  c.window = c.window / 2 + 1 + end;
}

/// A cap of 0 and one that is null are none.
double cap(const Config& c, const char* key, double fallback) {
  return c.values().find(key) ? c.number_or(key, 0) : fallback;
}

}  // namespace

GemmaConfig::GemmaConfig(const Checkpoint& checkpoint)
    : text(text_config(checkpoint.config)),
      weights(decoder(checkpoint.weights)),
      vocab(text.integer_or("vocab_size", 262144, 1, 1 << 24)),
      hidden(text.integer_or("hidden_size", 2304, 1, 1 << 20)),
      heads(text.integer_or("num_attention_heads", 8, 1, 1 << 14)),
      positions(text.integer_or("max_position_embeddings", 131072)),
      pad(text.integer_or("pad_token_id", 0, 0)),
      eps(text.number_or("rms_norm_eps", 1e-6)),
      bias(text.boolean_or("attention_bias", false) ? nn::Linear::Bias::required
                                                    : nn::Linear::Bias::none),
      attention_cap(text.number_or("attn_logit_softcapping", 0)),
      logit_cap(text.number_or("final_logit_softcapping", 0)),
      window(text.integer_or("sliding_window", 4096)),
      sliding_rope(text),
      full_rope(text) {
  const auto count = static_cast<size_t>(text.integer("num_hidden_layers", 1, 4096));
  const int64_t dim = text.integer_or("head_dim", 256, 1, 1 << 14);
  const auto kv_heads = per_layer(text, "num_key_value_heads", heads, count);
  const auto widths = per_layer(text, "intermediate_size", 9216, count);
  for (size_t i = 0; i < count; ++i) {
    layers.push_back({.sliding = false,
                      .head_dim = dim,
                      .kv_heads = kv_heads[i],
                      .intermediate = widths[i],
                      .source = static_cast<int64_t>(i),
                      .value_is_key = false});
  }
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    activation = text.string_or(key, activation);
  }
}

void GemmaConfig::read_layers(int64_t period) {
  const Json* types = text.find("layer_types");
  if (types && (!types->is_array() || types->items().size() != layers.size())) {
    fail(text.what(), ": layer_types must be a list of ", layers.size(), " names");
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].sliding = types ? slides(text, types->items()[i])
                              : period > 0 && (static_cast<int64_t>(i) + 1) % period != 0;
  }
}

void GemmaConfig::read_rope(double sliding_theta, double full_theta) {
  sliding_rope = rope_config(text, true, sliding_theta);
  full_rope = rope_config(text, false, full_theta);
}

void GemmaConfig::share_keys(int64_t count) {
  const int64_t first = std::ssize(layers) - count;
  if (first == 0) {
    for (GemmaLayerConfig& layer : layers) layer.writes = false;
    return;
  }
  for (size_t i = static_cast<size_t>(first); i < layers.size(); ++i) {
    int64_t source = first - 1;
    const auto own = [&](int64_t l) { return layers[static_cast<size_t>(l)].sliding; };
    while (source >= 0 && own(source) != layers[i].sliding) --source;
    if (source < 0) {
      fail(text.what(), ": num_kv_shared_layers ", count, " leaves no ",
           type_name(layers[i].sliding), " layer whose keys and values layer ", i, " could read");
    }
    layers[i].source = source;
    layers[i].writes = false;
  }
}

int64_t GemmaConfig::first_reader() const {
  int64_t first = std::ssize(layers);
  while (first > 0 && !layers[static_cast<size_t>(first - 1)].writes) --first;
  return first;
}

namespace {

GemmaConfig config_of_1(const Checkpoint& checkpoint) {
  GemmaConfig c(checkpoint);
  // The first configurations said "gelu" and meant its approximation.
  if (c.activation == "gelu") c.activation = "gelu_pytorch_tanh";
  c.sandwich = c.qk_norm = false;
  c.attention_cap = c.logit_cap = 0;
  c.attention_scale = 1 / std::sqrt(static_cast<double>(c.layers[0].head_dim));
  c.read_rope(10000, 10000);
  return c;
}

GemmaConfig config_of_2(const Checkpoint& checkpoint) {
  GemmaConfig c(checkpoint);
  c.qk_norm = false;
  c.attention_cap = cap(c.text, "attn_logit_softcapping", 50);
  c.logit_cap = cap(c.text, "final_logit_softcapping", 30);
  c.read_layers(c.text.integer_or("sliding_window_pattern", 2));
  c.attention_scale = query_scale(c, 46);
  const double theta = c.text.number_or("rope_theta", 10000);
  c.read_rope(theta, theta);
  return c;
}

GemmaConfig config_of_3(const Checkpoint& checkpoint) {
  GemmaConfig c(checkpoint);
  c.read_layers(c.text.integer_or("sliding_window_pattern", 6));
  c.attention_scale = query_scale(c, 62);
  c.attention_cap = 0;  // transformers names it and does not apply it
  c.sliding_sees_ahead = c.full_sees_ahead = true;
  if (c.text.boolean_or("use_bidirectional_attention", false)) see_all(c, 0);
  c.read_rope(10000, 1e6);
  return c;
}

GemmaConfig config_of_3n(const Checkpoint& checkpoint) {
  GemmaConfig c(checkpoint);
  c.norm_offset = 0;
  c.v_norm = true;
  c.attention_cap = 0;
  c.logit_cap =
      c.text.has("final_logit_softcapping") ? c.text.number("final_logit_softcapping") : 30;
  c.window = c.text.integer_or("sliding_window", 512);
  c.read_layers(5);
  c.share_keys(c.text.integer_or("num_kv_shared_layers", 15, 0, std::ssize(c.layers) - 1));
  c.per_layer_dim = c.text.integer_or("hidden_size_per_layer_input", 256, 1, 1 << 16);
  c.pad = 0;
  c.read_rope(10000, 1e6);
  return c;
}

GemmaConfig config_of_4(const Checkpoint& checkpoint) {
  GemmaConfig c(checkpoint);
  c.norm_offset = 0;
  c.v_norm = c.layer_scalars = true;
  c.attention_cap = 0;
  c.window = c.text.integer_or("sliding_window", 512);
  const std::string both_ways = c.text.string_or("use_bidirectional_attention", "");
  c.sliding_sees_ahead = both_ways == "vision";
  if (both_ways == "all") see_all(c, 1);

  c.read_layers(6);
  c.layers.back().sliding = false;
  const int64_t count = std::ssize(c.layers);
  const int64_t shared = c.text.integer_or("num_kv_shared_layers", 0, 0, count);
  const bool values_are_keys = c.text.boolean_or("attention_k_eq_v", false);
  const bool wide = c.text.boolean_or("use_double_wide_mlp", false);
  for (int64_t i = 0; i < count; ++i) {
    GemmaLayerConfig& layer = c.layers[static_cast<size_t>(i)];
    read_own_heads(c.text, i, values_are_keys, layer);
    // GGUF says it by the absence of the weights, and the MLPs' widths one by one.
    const Weights own = c.weights / "layers" / i / "self_attn";
    layer.value_is_key = !layer.sliding && (values_are_keys || !own.contains("v_proj.weight"));
    if (wide && i >= count - shared) layer.intermediate *= 2;
  }
  c.share_keys(shared);

  c.per_layer_dim = c.text.integer_or("hidden_size_per_layer_input", 256, 0, 1 << 16);
  if (c.text.boolean_or("enable_moe_block", c.text.has("num_experts"))) {
    c.experts = c.text.integer("num_experts", 1, 1 << 16);
    c.routes = c.text.integer("top_k_experts", 1, c.experts);
    c.expert_intermediate = c.text.integer("moe_intermediate_size", 1, 1 << 22);
  }
  c.read_rope(10000, 1e6);
  // What turns is said by divisors in GGUF.
  if (!c.text.has("rope_parameters") && !checkpoint.weights.contains("rope_freqs.weight")) {
    c.full_rope = Config(proportional_rope(c.positions), c.text.what());
  }
  return c;
}

/// The 12B, which has no inputs of layers and no experts.
GemmaConfig config_of_unified(const Checkpoint& checkpoint) {
  GemmaConfig c = config_of_4(checkpoint);
  c.per_layer_dim = 0;
  if (!c.text.has("sliding_window")) c.window = 1024;
  if (!c.text.values().find("use_bidirectional_attention")) c.sliding_sees_ahead = true;
  return c;
}

constexpr std::pair<std::string_view, GemmaConfig (*)(const Checkpoint&)> kGenerations[] = {
    {"GemmaFor", config_of_1},
    {"Gemma2For", config_of_2},
    {"Gemma3For", config_of_3},
    {"Gemma4For", config_of_4},
    {"Gemma3nFor", config_of_3n},
    {"Gemma4Assistant", config_of_4},
    {"Gemma4UnifiedFor", config_of_unified},
    {"Gemma4UnifiedAssistant", config_of_unified},
};

}  // namespace

GemmaConfig gemma_config(const Checkpoint& checkpoint) {
  for (const auto& [prefix, read] : kGenerations) {
    if (checkpoint.architecture.starts_with(prefix)) return read(checkpoint);
  }
  fail(checkpoint.config.what(), ": ", checkpoint.architecture, " is not of the Gemma family");
}

std::unique_ptr<CausalLM> make_gemma(const Checkpoint& checkpoint) {
  return make_gemma(checkpoint, gemma_config(checkpoint));
}

std::unique_ptr<CausalLM> make_gemma4(const Checkpoint& checkpoint) {
  GemmaConfig c = gemma_config(checkpoint);
  if (c.first_reader() == 0) fail(c.text.what(), ": num_kv_shared_layers leaves no layer to share");
  GemmaTowers towers{.images = make_gemma4_vision(checkpoint, c.hidden),
                     .sounds = make_gemma4_audio(checkpoint, c.hidden)};
  return make_gemma(checkpoint, std::move(c), std::move(towers));
}

std::unique_ptr<CausalLM> make_gemma4_unified(const Checkpoint& checkpoint) {
  GemmaConfig c = gemma_config(checkpoint);
  GemmaTowers towers{.images = make_gemma4_unified_images(checkpoint, c.hidden),
                     .sounds = make_gemma4_unified_sounds(checkpoint, c.hidden)};
  return make_gemma(checkpoint, std::move(c), std::move(towers));
}

}  // namespace tallow
