// The tables of GGUF names. An architecture is a row of kArchitectures and the rows that it names.
#include "formats/gguf_names.h"

#include <algorithm>

namespace tallow {
namespace {

using enum GgufKeyKind;

constexpr GgufTensorName kLlamaTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"blk.*.attn_norm", "model.layers.*.input_layernorm"},
    {"blk.*.attn_q", "model.layers.*.self_attn.q_proj"},
    {"blk.*.attn_k", "model.layers.*.self_attn.k_proj"},
    {"blk.*.attn_v", "model.layers.*.self_attn.v_proj"},
    {"blk.*.attn_output", "model.layers.*.self_attn.o_proj"},
    {"blk.*.ffn_norm", "model.layers.*.post_attention_layernorm"},
    {"blk.*.ffn_gate", "model.layers.*.mlp.gate_proj"},
    {"blk.*.ffn_up", "model.layers.*.mlp.up_proj"},
    {"blk.*.ffn_down", "model.layers.*.mlp.down_proj"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

constexpr GgufKey kDecoderKeys[] = {
    {"block_count", "num_hidden_layers", integer},
    {"context_length", "max_position_embeddings", integer},
    {"embedding_length", "hidden_size", integer},
    {"feed_forward_length", "intermediate_size", integer},
    {"attention.head_count", "num_attention_heads", integer},
    {"attention.head_count_kv", "num_key_value_heads", integer},
    {"attention.key_length", "head_dim", integer},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", number},
    {"rope.freq_base", "rope_theta", number},
    {"rope.dimension_count", "rotary_dim", integer},
    {"vocab_size", "vocab_size", integer},
};

constexpr GgufFlag kLlamaFlags[] = {
    {"output.weight", "tie_word_embeddings", false},
};

constexpr GgufFlag kGemmaFlags[] = {
    {"output.weight", "tie_word_embeddings", false},
    {"blk.0.attn_q.bias", "attention_bias", true},
};

constexpr GgufTensorName kGemmaTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"blk.*.attn_norm", "model.layers.*.input_layernorm", 1},
    {"blk.*.attn_q", "model.layers.*.self_attn.q_proj"},
    {"blk.*.attn_k", "model.layers.*.self_attn.k_proj"},
    {"blk.*.attn_v", "model.layers.*.self_attn.v_proj"},
    {"blk.*.attn_output", "model.layers.*.self_attn.o_proj"},
    {"blk.*.ffn_norm", "model.layers.*.post_attention_layernorm", 1},
    {"blk.*.ffn_gate", "model.layers.*.mlp.gate_proj"},
    {"blk.*.ffn_up", "model.layers.*.mlp.up_proj"},
    {"blk.*.ffn_down", "model.layers.*.mlp.down_proj"},
    {"output_norm", "model.norm", 1},
    {"output", "lm_head"},
};

constexpr GgufTensorName kGemma3Tensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"blk.*.attn_norm", "model.layers.*.input_layernorm", 1},
    {"blk.*.attn_q", "model.layers.*.self_attn.q_proj"},
    {"blk.*.attn_q_norm", "model.layers.*.self_attn.q_norm", 1},
    {"blk.*.attn_k", "model.layers.*.self_attn.k_proj"},
    {"blk.*.attn_k_norm", "model.layers.*.self_attn.k_norm", 1},
    {"blk.*.attn_v", "model.layers.*.self_attn.v_proj"},
    {"blk.*.attn_output", "model.layers.*.self_attn.o_proj"},
    {"blk.*.post_attention_norm", "model.layers.*.post_attention_layernorm", 1},
    {"blk.*.ffn_norm", "model.layers.*.pre_feedforward_layernorm", 1},
    {"blk.*.ffn_gate", "model.layers.*.mlp.gate_proj"},
    {"blk.*.ffn_up", "model.layers.*.mlp.up_proj"},
    {"blk.*.ffn_down", "model.layers.*.mlp.down_proj"},
    {"blk.*.post_ffw_norm", "model.layers.*.post_feedforward_layernorm", 1},
    {"output_norm", "model.norm", 1},
    {"output", "lm_head"},
};

// Of Gemma 4 and 3n. Whole names come first: a scale stands beside a weight of another name.
constexpr GgufTensorName kGemma4Tensors[] = {
    {"blk.*.ffn_gate_inp.scale", "model.layers.*.router.scale"},
    {"blk.*.ffn_down_exps.scale", "model.layers.*.router.per_expert_scale"},
    {"blk.*.ffn_gate_up_exps.weight", "model.layers.*.experts.gate_up_proj"},
    {"blk.*.ffn_down_exps.weight", "model.layers.*.experts.down_proj"},
    {"blk.*.layer_output_scale.weight", "model.layers.*.layer_scalar"},
    {"blk.*.altup_correct_scale.weight", "model.layers.*.altup.correct_output_scale"},
    {"token_embd", "model.embed_tokens"},
    {"per_layer_token_embd", "model.embed_tokens_per_layer"},
    {"per_layer_model_proj", "model.per_layer_model_projection"},
    {"per_layer_proj_norm", "model.per_layer_projection_norm"},
    {"altup_proj", "model.altup_projections"},
    {"altup_unembd_proj", "model.altup_unembed_projections"},
    {"blk.*.attn_norm", "model.layers.*.input_layernorm"},
    {"blk.*.attn_q", "model.layers.*.self_attn.q_proj"},
    {"blk.*.attn_q_norm", "model.layers.*.self_attn.q_norm"},
    {"blk.*.attn_k", "model.layers.*.self_attn.k_proj"},
    {"blk.*.attn_k_norm", "model.layers.*.self_attn.k_norm"},
    {"blk.*.attn_v", "model.layers.*.self_attn.v_proj"},
    {"blk.*.attn_output", "model.layers.*.self_attn.o_proj"},
    {"blk.*.post_attention_norm", "model.layers.*.post_attention_layernorm"},
    {"blk.*.ffn_norm", "model.layers.*.pre_feedforward_layernorm"},
    {"blk.*.ffn_gate", "model.layers.*.mlp.gate_proj"},
    {"blk.*.ffn_up", "model.layers.*.mlp.up_proj"},
    {"blk.*.ffn_down", "model.layers.*.mlp.down_proj"},
    {"blk.*.post_ffw_norm", "model.layers.*.post_feedforward_layernorm"},
    {"blk.*.ffn_gate_inp", "model.layers.*.router.proj"},
    {"blk.*.pre_ffw_norm_2", "model.layers.*.pre_feedforward_layernorm_2"},
    {"blk.*.post_ffw_norm_1", "model.layers.*.post_feedforward_layernorm_1"},
    {"blk.*.post_ffw_norm_2", "model.layers.*.post_feedforward_layernorm_2"},
    {"blk.*.inp_gate", "model.layers.*.per_layer_input_gate"},
    {"blk.*.proj", "model.layers.*.per_layer_projection"},
    {"blk.*.post_norm", "model.layers.*.post_per_layer_input_norm"},
    {"blk.*.altup_correct_coef", "model.layers.*.altup.correction_coefs"},
    {"blk.*.altup_predict_coef", "model.layers.*.altup.prediction_coefs"},
    {"blk.*.altup_router", "model.layers.*.altup.modality_router"},
    {"blk.*.altup_router_norm", "model.layers.*.altup.router_norm"},
    {"blk.*.laurel_l", "model.layers.*.laurel.linear_left"},
    {"blk.*.laurel_r", "model.layers.*.laurel.linear_right"},
    {"blk.*.laurel_post_norm", "model.layers.*.laurel.post_laurel_norm"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"nextn.pre_projection", "pre_projection"},
    {"nextn.post_projection", "post_projection"},
};

constexpr GgufKey kGemmaKeys[] = {
    {"block_count", "num_hidden_layers", integer},
    {"context_length", "max_position_embeddings", integer},
    {"embedding_length", "hidden_size", integer},
    {"attention.head_count", "num_attention_heads", integer},
    {"attention.key_length", "head_dim", integer},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", number},
    {"attention.sliding_window", "sliding_window", integer},
    {"rope.freq_base", "rope_theta", number},
    {"rope.freq_base_swa", "rope_local_base_freq", number},
    {"attn_logit_softcapping", "attn_logit_softcapping", number},
    {"final_logit_softcapping", "final_logit_softcapping", number},
    {"attention.shared_kv_layers", "num_kv_shared_layers", integer},
    {"embedding_length_per_layer_input", "hidden_size_per_layer_input", integer},
    {"altup.active_idx", "altup_active_idx", integer},
    {"altup.num_inputs", "altup_num_inputs", integer},
    {"vocab_size", "vocab_size", integer},
};

constexpr GgufKey kGemma4Keys[] = {
    {"block_count", "num_hidden_layers", integer},
    {"context_length", "max_position_embeddings", integer},
    {"embedding_length", "hidden_size", integer},
    {"attention.head_count", "num_attention_heads", integer},
    {"attention.key_length", "global_head_dim", integer},
    {"attention.key_length_swa", "head_dim", integer},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", number},
    {"attention.sliding_window", "sliding_window", integer},
    {"rope.freq_base", "rope_theta", number},
    {"rope.freq_base_swa", "rope_local_base_freq", number},
    {"final_logit_softcapping", "final_logit_softcapping", number},
    {"attention.shared_kv_layers", "num_kv_shared_layers", integer},
    {"embedding_length_per_layer_input", "hidden_size_per_layer_input", integer},
    {"embedding_length_out", "backbone_hidden_size", integer},
    {"expert_count", "num_experts", integer},
    {"expert_used_count", "top_k_experts", integer},
    {"expert_feed_forward_length", "moe_intermediate_size", integer},
    {"vocab_size", "vocab_size", integer},
};

constexpr GgufList kGemmaLists[] = {
    {"feed_forward_length", "intermediate_size", GgufListKind::integers},
    {"attention.head_count_kv", "num_key_value_heads", GgufListKind::integers},
    {"attention.sliding_window_pattern", "layer_types", GgufListKind::sliding},
    {"activation_sparsity_scale", "activation_sparsity_scale", GgufListKind::numbers},
};

constexpr GgufArchitecture kArchitectures[] = {
    {"gemma", "GemmaForCausalLM", kGemmaTensors, kGemmaKeys, kGemmaFlags, false, kGemmaLists},
    {"gemma2", "Gemma2ForCausalLM", kGemma3Tensors, kGemmaKeys, kGemmaFlags, false, kGemmaLists},
    {"gemma3", "Gemma3ForCausalLM", kGemma3Tensors, kGemmaKeys, kGemmaFlags, false, kGemmaLists},
    {"gemma3n", "Gemma3nForCausalLM", kGemma4Tensors, kGemmaKeys, kGemmaFlags, false, kGemmaLists},
    {"gemma4", "Gemma4ForCausalLM", kGemma4Tensors, kGemma4Keys, kGemmaFlags, false, kGemmaLists,
     "gemma4"},
    {"gemma4-assistant", "Gemma4AssistantForCausalLM", kGemma4Tensors, kGemma4Keys, kGemmaFlags,
     false, kGemmaLists, "gemma4"},
    {"llama", "LlamaForCausalLM", kLlamaTensors, kDecoderKeys, kLlamaFlags, true},
    {"qwen2", "Qwen2ForCausalLM", kLlamaTensors, kDecoderKeys, kLlamaFlags, false},
};

constexpr GgufKey kTokenKeys[] = {
    {"tokenizer.ggml.bos_token_id", "bos_token_id", integer},
    {"tokenizer.ggml.eos_token_id", "eos_token_id", integer},
    {"tokenizer.ggml.padding_token_id", "pad_token_id", integer},
};

constexpr GgufKey kSamplingKeys[] = {
    {"general.sampling.temp", "temperature", number},
    {"general.sampling.top_k", "top_k", integer},
    {"general.sampling.top_p", "top_p", number},
    {"general.sampling.min_p", "min_p", number},
    {"general.sampling.penalty_repeat", "repetition_penalty", number},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// What '*' stands for when `text` fits `pattern`; empty for a pattern without one.
std::optional<std::string_view> match(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) {
    return text == pattern ? std::optional<std::string_view>("") : std::nullopt;
  }
  if (text.substr(0, star) != pattern.substr(0, star)) return std::nullopt;
  size_t end = star;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end == star || text.substr(end) != pattern.substr(star + 1)) return std::nullopt;
  return text.substr(star, end - star);
}

struct Found {
  const GgufTensorName* row = nullptr;
  std::string_view layer, ending;  // ".weight", or nothing where the row has the whole name
};

Found find_row(const GgufArchitecture& architecture, std::string_view name,
               const char* GgufTensorName::*column) {
  const size_t dot = std::min(name.rfind('.'), name.size());
  for (const GgufTensorName& row : architecture.tensors) {
    if (const auto layer = match(row.*column, name)) return {&row, *layer, {}};
    if (dot == name.size()) continue;
    const auto layer = match(row.*column, name.substr(0, dot));
    if (layer) return {&row, *layer, name.substr(dot)};
  }
  return {};
}

/// The name that one column of the table has for what another column calls `name`.
std::optional<std::string> translated(const GgufArchitecture& architecture, std::string_view name,
                                      const char* GgufTensorName::*from,
                                      const char* GgufTensorName::*to) {
  const auto found = find_row(architecture, name, from);
  if (!found.row) return std::nullopt;
  std::string result = found.row->*to;
  if (const size_t star = result.find('*'); star != result.npos) {
    result.replace(star, 1, found.layer);
  }
  return result.append(found.ending);
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (name == architecture.gguf) return &architecture;
  }
  return nullptr;
}

const GgufArchitecture* find_gguf_architecture_of(std::string_view hugging_face) {
  constexpr std::string_view kWithTowers = "ForConditionalGeneration";
  std::string name(hugging_face);
  if (name.ends_with(kWithTowers)) {
    name.replace(name.size() - kWithTowers.size(), name.npos, "ForCausalLM");
  }
  // The decoder of the models without encoders is that of those with them.
  constexpr std::string_view kUnified = "Gemma4Unified";
  if (name.starts_with(kUnified)) name.replace(0, kUnified.size(), "Gemma4");
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (name == architecture.hugging_face) return &architecture;
  }
  return nullptr;
}

std::string known_gguf_architectures() {
  std::string known;
  for (const GgufArchitecture& architecture : kArchitectures) {
    known.append(known.empty() ? "" : ", ").append(architecture.hugging_face);
  }
  return known;
}

std::span<const GgufKey> gguf_token_keys() { return kTokenKeys; }
std::span<const GgufKey> gguf_sampling_keys() { return kSamplingKeys; }

float gguf_added(const GgufArchitecture& architecture, std::string_view name) {
  const Found found = find_row(architecture, name, &GgufTensorName::gguf);
  return found.row ? found.row->added : 0;
}

std::string hugging_face_name(const GgufArchitecture& architecture, std::string_view name) {
  return translated(architecture, name, &GgufTensorName::gguf, &GgufTensorName::hugging_face)
      .value_or(std::string(name));
}

std::optional<std::string> gguf_name(const GgufArchitecture& architecture, std::string_view name) {
  return translated(architecture, name, &GgufTensorName::hugging_face, &GgufTensorName::gguf);
}

}  // namespace tallow
