// The tables of GGUF names. An architecture is a row of kArchitectures and the rows that it names.
#include "formats/gguf_names.h"

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

constexpr GgufArchitecture kArchitectures[] = {
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

/// The name that one column of the table has for what another column calls `name`.
std::optional<std::string> translated(const GgufArchitecture& architecture, std::string_view name,
                                      const char* GgufTensorName::*from,
                                      const char* GgufTensorName::*to) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  for (const GgufTensorName& row : architecture.tensors) {
    const auto layer = match(row.*from, name.substr(0, dot));
    if (!layer) continue;
    std::string result = row.*to;
    if (const size_t star = result.find('*'); star != result.npos) result.replace(star, 1, *layer);
    return result.append(name.substr(dot));
  }
  return std::nullopt;
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (name == architecture.gguf) return &architecture;
  }
  return nullptr;
}

const GgufArchitecture* find_gguf_architecture_of(std::string_view hugging_face) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (hugging_face == architecture.hugging_face) return &architecture;
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

std::string hugging_face_name(const GgufArchitecture& architecture, std::string_view name) {
  return translated(architecture, name, &GgufTensorName::gguf, &GgufTensorName::hugging_face)
      .value_or(std::string(name));
}

std::optional<std::string> gguf_name(const GgufArchitecture& architecture, std::string_view name) {
  return translated(architecture, name, &GgufTensorName::hugging_face, &GgufTensorName::gguf);
}

}  // namespace tallow
