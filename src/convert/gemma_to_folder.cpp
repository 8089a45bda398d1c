// The Gemma family as config.json and tensors that transformers reads.
#include <algorithm>
#include <cmath>

#include "convert/gemma_form.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/gguf.h"
#include "tallow/nn.h"

namespace tallow::converting {
namespace {

Json default_rope(const Config& rope) {
  Json out = Json::object();
  const Config section = rope_section(rope);
  for (const auto& [key, value] : section.values().members()) out.set(key, value);
  out.set("rope_theta", rope_theta(rope));
  return out;
}

class GemmaToFolder final : public ToFolder {
 public:
  explicit GemmaToFolder(FormSource source)
      : s_(std::move(source)), c_(gemma_config(s_.checkpoint)), kind_(*s_.architecture) {}

  std::vector<PlannedTensor> tensors() const override {
    std::vector<PlannedTensor> result;
    for (const std::string& name : s_.weights().names()) {
      if (name == kRopeDivisors || is_unread(name)) continue;
      const Tensor x = s_.weights().get_any(name);
      const DType dtype = converted_dtype(x, s_.dtype, DType::f16);
      if (const std::string base = stack_of(name); !base.empty()) {
        check_dims(s_.weights(), name, 3);
        for (int64_t i = 0; i < x.size(0); ++i) {
          result.push_back({str(base, ".", i, ".weight"),
                            {x.size(1), x.size(2)},
                            dtype,
                            [weights = s_.weights(), name, dtype, i] {
                              return weights.get_any(name).select(0, i).to(dtype);
                            }});
        }
      } else {
        result.push_back(planned(s_.weights(), name, folder_name(name), dtype));
      }
    }
    return result;
  }

  Json config() const override {
    const Json text = text_config();
    if (kind_.assistant) return assistant_config(text);
    if (!has_towers()) return text;
    Json out = Json::object();
    out.set("architectures", Json::Array{s_.checkpoint.architecture});
    out.set("model_type", model_type());
    out.set("text_config", text);
    for (const char* key : {"vision_config", "audio_config"}) {
      const Json* found = s_.config().find(key);
      out.set(key, found ? *found : Json());
    }
    if (const Json* tied = text.find("tie_word_embeddings")) out.set("tie_word_embeddings", *tied);
    add_places(out);
    return out;
  }

 private:
  bool has_towers() const { return s_.config().find("text_config") != nullptr; }
  bool unified() const { return s_.checkpoint.architecture.starts_with("Gemma4Unified"); }
  std::string model_type() const { return str(kind_.name, unified() ? "_unified" : ""); }

  Json assistant_config(const Json& text) const {
    Json out = Json::object();
    out.set("architectures", Json::Array{s_.architecture->hugging_face});
    out.set("model_type", "gemma4_assistant");
    out.set("backbone_hidden_size", s_.config().integer("backbone_hidden_size"));
    out.set("use_ordered_embeddings", false);
    out.set("tie_word_embeddings", true);
    out.set("text_config", text);
    return out;
  }

  /// The decoder of a model with towers has a name of its own.
  std::string folder_name(const std::string& name) const {
    constexpr std::string_view kModel = "model.";
    const bool tower =
        name.find("_tower.") != name.npos || name.find(".embed_vision.") != name.npos ||
        name.find(".vision_embedder.") != name.npos || name.find(".embed_audio.") != name.npos;
    if (!has_towers() || tower || !name.starts_with(kModel)) return name;
    return "model.language_model." + name.substr(kModel.size());
  }

  /// The ids of tokens in whose places images and sounds stand.
  void add_places(Json& out) const {
    constexpr std::pair<const char*, std::string_view> kPlaces[] = {
        {"image_token_id", "<|image|>"}, {"boi_token_id", "<|image>"},
        {"eoi_token_id", "<image|>"},    {"audio_token_id", "<|audio|>"},
        {"boa_token_id", "<|audio>"},    {"eoa_token_index", "<audio|>"},
        {"video_token_id", "<|video|>"},
    };
    const auto tokens = s_.checkpoint.gguf->strings("tokenizer.ggml.tokens");
    for (const auto& [key, token] : kPlaces) {
      const auto found = std::ranges::find(tokens, token);
      if (found != tokens.end()) out.set(key, static_cast<int64_t>(found - tokens.begin()));
    }
  }

  Json text_config() const {
    Json out = Json::object();
    out.set("architectures", Json::Array{s_.architecture->hugging_face});
    const bool text_only = kind_.third || kind_.lists_layers();
    out.set("model_type", str(model_type(), text_only ? "_text" : ""));
    for (const char* key :
         {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"}) {
      if (const Json* found = c_.text.values().find(key)) out.set(key, *found);
    }
    add_sizes(out);
    add_rope(out);
    if (!kind_.first) add_layers(out);
    if (kind_.second || kind_.third) {
      out.set("query_pre_attn_scalar", scalar());
      out.set("attn_logit_softcapping", cap(c_.attention_cap));
    }
    if (!kind_.first) out.set("final_logit_softcapping", cap(c_.logit_cap));
    if (kind_.lists_layers()) add_inputs(out);
    if (kind_.nano) add_streams(out);
    if (kind_.fourth) add_heads(out);
    if (kind_.fourth) {
      out.set("use_bidirectional_attention", c_.sliding_sees_ahead ? Json("vision") : Json());
    }
    return out;
  }

  static std::string stack_of(const std::string& name) {
    for (const char* stack : kStacks) {
      if (name == str(stack, ".weight")) return stack;
    }
    return "";
  }

  /// Weights of keys and values that llama.cpp wants in each layer of Gemma 3n.
  bool is_unread(const std::string& name) const {
    if (!kind_.nano) return false;
    for (int64_t i = c_.first_reader(); i < std::ssize(c_.layers); ++i) {
      const std::string layer = str("model.layers.", i, ".self_attn.");
      for (const char* part : {"k_proj.weight", "v_proj.weight", "k_norm.weight"}) {
        if (name == layer + part) return true;
      }
    }
    return false;
  }

  static Json cap(double value) { return value > 0 ? Json(value) : Json(); }
  Json scalar() const {
    const double value = 1 / (c_.attention_scale * c_.attention_scale);
    const double whole = std::round(value);
    return std::abs(value - whole) < 1e-6 * value ? Json(static_cast<int64_t>(whole)) : Json(value);
  }
  const GemmaLayerConfig& near() const {
    const GemmaLayerConfig* found = first_layer(c_, true);
    return found ? *found : c_.layers[0];
  }

  void add_sizes(Json& out) const {
    out.set("vocab_size", c_.vocab);
    out.set("hidden_size", c_.hidden);
    out.set("num_hidden_layers", std::ssize(c_.layers));
    out.set("num_attention_heads", c_.heads);
    out.set("num_key_value_heads", near().kv_heads);
    out.set("head_dim", near().head_dim);
    out.set("intermediate_size", widths());
    out.set("max_position_embeddings", c_.positions);
    out.set("rms_norm_eps", c_.eps);
    out.set(kind_.first ? "hidden_act" : "hidden_activation", c_.activation);
    out.set("attention_bias", c_.bias == nn::Linear::Bias::required);
  }

  /// Gemma 4's are one size, and twice that in layers that share keys; Gemma 3n's a list.
  Json widths() const {
    const int64_t first = c_.layers[0].intermediate, reader = c_.first_reader();
    if (kind_.nano) {
      Json::Array all;
      for (const GemmaLayerConfig& layer : c_.layers) all.emplace_back(layer.intermediate);
      return all;
    }
    for (int64_t i = 0; i < std::ssize(c_.layers); ++i) {
      const bool wide = wide_readers() && i >= reader;
      if (c_.layers[static_cast<size_t>(i)].intermediate != (wide ? 2 * first : first)) {
        fail(c_.text.what(), ": the width of layer ", i, "'s MLP has no form in config.json");
      }
    }
    return Json(first);
  }
  bool wide_readers() const {
    return kind_.fourth && c_.layers.back().intermediate == 2 * c_.layers[0].intermediate &&
           c_.first_reader() < std::ssize(c_.layers);
  }

  void add_rope(Json& out) const {
    if (kind_.first || kind_.second) {
      out.set("rope_parameters", default_rope(c_.full_rope));
      return;
    }
    Json both = Json::object();
    both.set("full_attention", kind_.fourth ? divided_rope() : default_rope(c_.full_rope));
    both.set("sliding_attention", default_rope(c_.sliding_rope));
    out.set("rope_parameters", both);
  }

  /// What the divisors of angles mean: the first pairs turn, slower by one factor, the others not.
  Json divided_rope() const {
    Json rope = Json::object();
    rope.set("rope_theta", rope_theta(c_.full_rope));
    const GemmaLayerConfig* full = first_layer(c_, false);
    const Tensor found = full ? s_.weights().find(kRopeDivisors, {full->head_dim / 2}) : Tensor();
    if (!found) {
      const Config own = rope_section(c_.full_rope);
      rope.set("rope_type", own.string("rope_type"));
      if (own.has("partial_rotary_factor")) {
        rope.set("partial_rotary_factor", own.number("partial_rotary_factor"));
      }
      return rope;
    }
    const std::vector<float> divisors = found.to_vector();
    const auto still = std::ranges::find_if(divisors, [](float d) { return d >= kStill / 2; });
    const float factor = divisors[0];
    const bool regular =
        still != divisors.begin() &&
        std::all_of(divisors.begin(), still, [&](float d) { return d == factor; }) &&
        std::all_of(still, divisors.end(), [](float d) { return d >= kStill / 2; });
    if (!regular) {
      fail(s_.weights().path(), ": tensor ", quoted(kRopeDivisors), " has no form in config.json");
    }
    const bool all = still == divisors.end();
    rope.set("rope_type", all && factor == 1 ? "default" : "proportional");
    if (!all || factor != 1) {
      rope.set("partial_rotary_factor", static_cast<double>(still - divisors.begin()) /
                                            static_cast<double>(divisors.size()));
    }
    if (factor != 1) rope.set("factor", static_cast<double>(factor));
    return rope;
  }

  void add_layers(Json& out) const {
    out.set("sliding_window", c_.window);
    Json::Array types;
    for (const GemmaLayerConfig& layer : c_.layers) {
      types.emplace_back(layer.sliding ? "sliding_attention" : "full_attention");
    }
    out.set("layer_types", Json(std::move(types)));
  }

  void add_inputs(Json& out) const {
    out.set("num_kv_shared_layers", std::ssize(c_.layers) - c_.first_reader());
    if (unified()) return;
    out.set("hidden_size_per_layer_input", c_.per_layer_dim);
    if (kind_.assistant) out.set("vocab_size_per_layer_input", 0);
    if (c_.per_layer_dim == 0) return;
    const Tensor table = s_.weights().get_any("model.embed_tokens_per_layer.weight");
    out.set("vocab_size_per_layer_input", table.size(0));
  }

  void add_streams(Json& out) const {
    out.set("altup_active_idx", c_.text.integer_or("altup_active_idx", 0, 0));
    out.set("altup_num_inputs", c_.text.integer_or("altup_num_inputs", 4));
    out.set("altup_correct_scale", true);
    out.set("laurel_rank",
            s_.weights().get_any("model.layers.0.laurel.linear_left.weight").size(0));
    Json::Array pattern;
    for (const auto& deviations : gemma3n_deviations(c_.text, c_.layers.size())) {
      const double part = deviations ? std::erfc(-*deviations / std::sqrt(2.0)) / 2 : 0;
      pattern.emplace_back(std::round(part * 1e6) / 1e6);
    }
    out.set("activation_sparsity_pattern", Json(std::move(pattern)));
  }

  void add_heads(Json& out) const {
    const GemmaLayerConfig* full = first_layer(c_, false);
    const GemmaLayerConfig& wide = full ? *full : near();
    const bool values_are_keys = full && full->value_is_key;
    out.set("global_head_dim", wide.head_dim);
    out.set("attention_k_eq_v", values_are_keys);
    out.set("num_global_key_value_heads", values_are_keys ? Json(wide.kv_heads) : Json());
    for (const GemmaLayerConfig& layer : c_.layers) {
      const GemmaLayerConfig& like = layer.sliding ? near() : wide;
      const bool own = layer.source == &layer - c_.layers.data();
      if (layer.head_dim == like.head_dim && layer.kv_heads == like.kv_heads &&
          (layer.sliding || !own || layer.value_is_key == values_are_keys) &&
          (values_are_keys || layer.kv_heads == near().kv_heads)) {
        continue;
      }
      fail(s_.weights().path(), ": heads of layers have no form in config.json");
    }
    out.set("use_double_wide_mlp", wide_readers());
    if (unified()) return;
    out.set("enable_moe_block", c_.experts > 0);
    if (c_.experts == 0) return;
    out.set("num_experts", c_.experts);
    out.set("top_k_experts", c_.routes);
    out.set("moe_intermediate_size", c_.expert_intermediate);
  }

  FormSource s_;
  GemmaConfig c_;
  GemmaKind kind_;
};

}  // namespace

std::unique_ptr<ToFolder> gemma_to_folder(FormSource source) {
  return std::make_unique<GemmaToFolder>(std::move(source));
}

}  // namespace tallow::converting
