// The Gemma family in GGUF. All that is written is read again and must make the same model: what
// GGUF has no key for is refused by name.
#include <algorithm>
#include <cmath>
#include <limits>

#include "convert/gemma_form.h"
#include "formats/byte_reader.h"
#include "formats/gguf_checkpoint.h"
#include "tallow/error.h"
#include "tallow/gguf.h"
#include "tallow/nn.h"
#include "tallow/ops.h"

namespace tallow::converting {
namespace {

/// Of models with towers, the prefixes of all that is not the decoder.
constexpr std::string_view kTowers[] = {
    "model.vision_tower.", "model.audio_tower.",     "model.embed_vision.",
    "model.embed_audio.",  "vision_tower.",          "audio_tower.",
    "embed_vision.",       "embed_audio.",           "model.vision_embedder.",
    "vision_embedder.",    "multi_modal_projector.", "model.multi_modal_projector.",
};

/// llama.cpp keeps these in f32, whatever the other matrices are.
constexpr std::string_view kPrecise[] = {".ffn_gate_inp.weight", ".altup_correct_coef.weight",
                                         ".altup_predict_coef.weight"};

class GemmaToGguf final : public ToGguf {
 public:
  explicit GemmaToGguf(FormSource source)
      : s_(std::move(source)), c_(gemma_config(s_.checkpoint)), kind_(*s_.architecture) {
    for (const char* prefix : {"model.language_model.", "language_model.model.", "model."}) {
      if (!s_.weights().contains(str(prefix, "embed_tokens.weight"))) continue;
      prefix_ = prefix;
      break;
    }
    if (prefix_.empty()) s_.weights().get_any("model.embed_tokens.weight");  // throws
  }

  std::vector<PlannedTensor> tensors() const override {
    std::vector<PlannedTensor> result;
    for (const std::string& name : s_.weights().names()) {
      const std::string own = decoder_name(name);
      if (own.empty() || is_stacked(own)) continue;
      const auto renamed = gguf_name(*s_.architecture, own);
      if (!renamed) fail(s_.weights().path(), ": tensor ", quoted(name), " has no name in GGUF");
      result.push_back(planned_gguf(s_, name, *renamed));
      adjust(result.back(), name, own);
    }
    if (kind_.nano) add_stacks(result);
    if (kind_.nano) add_unread_keys(result);
    if (kind_.fourth) add_divisors(result);
    return result;
  }

  void add_settings(GgufMetadata& out) const override {
    add_sizes(out);
    add_heads(out);
    add_layers(out);
    add_rope(out);
    add_caps(out);
    if (kind_.nano) add_streams(out);
    if (kind_.assistant) add_large(out);
    check(out);
  }

 private:
  void u32(GgufMetadata& out, const char* name, int64_t value) const {
    out.set_u32(s_.key(name), static_cast<uint32_t>(value));
  }
  void f32(GgufMetadata& out, const char* name, double value) const {
    out.set_f32(s_.key(name), static_cast<float>(value));
  }
  [[noreturn]] void no_form(std::string_view what) const {
    fail(c_.text.what(), ": ", what, " has no GGUF form for ", s_.architecture->hugging_face);
  }
  bool tied() const {
    return s_.config().boolean_or("tie_word_embeddings",
                                  c_.text.boolean_or("tie_word_embeddings", true));
  }

  /// The name in a model without towers; empty for what is no part of it.
  std::string decoder_name(const std::string& name) const {
    const bool tower =
        std::ranges::any_of(kTowers, [&](std::string_view p) { return name.starts_with(p); });
    if (tower || name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".embed_scale")) {
      return "";
    }
    // llama.cpp's drafters look at all tokens.
    if (kind_.assistant && name.starts_with("masked_embedding.")) return "";
    if (name == "lm_head.weight" || name == "language_model.lm_head.weight") {
      return tied() ? "" : "lm_head.weight";
    }
    return name.starts_with(prefix_) ? "model." + name.substr(prefix_.size()) : name;
  }

  static bool is_stacked(const std::string& own) {
    return std::ranges::any_of(kStacks, [&](const char* s) { return own.starts_with(s); });
  }

  void adjust(PlannedTensor& tensor, const std::string& name, const std::string& own) const {
    for (const std::string_view ending : kPrecise) {
      if (!tensor.name.ends_with(ending)) continue;
      tensor = planned(s_.weights(), name, tensor.name, DType::f32);
    }
    const DType dtype = tensor.dtype;
    if (const float added = gguf_added(*s_.architecture, tensor.name); added != 0) {
      tensor.make = [weights = s_.weights(), name, added, dtype] {
        return (weights.get_any(name).to(DType::f32) + static_cast<double>(added)).to(dtype);
      };
    }
    if (own != "model.embed_tokens_per_layer.weight") return;
    check_dims(s_.weights(), name, 2);
    if (tensor.shape[0] != c_.vocab) {
      tensor.shape[0] = c_.vocab;
      tensor.make = [weights = s_.weights(), name, dtype, rows = c_.vocab, pad = c_.pad] {
        return with_rows(weights.get_any(name), rows, pad).to(dtype);
      };
    }
  }

  /// As many rows as there are tokens: those without one of their own read that of `pad`.
  static Tensor with_rows(const Tensor& x, int64_t rows, int64_t pad) {
    if (rows <= x.size(0)) return x.narrow(0, 0, rows);
    const Tensor wide = is_block(x.dtype()) ? x.to(DType::f32) : x;
    return cat({wide, wide.narrow(0, pad, 1).expand({rows - x.size(0), x.size(1)})}, 0);
  }

  void add_stacks(std::vector<PlannedTensor>& out) const {
    for (const char* stack_name : kStacks) {
      const std::string base = prefix_ + std::string(stack_name).substr(6);
      std::vector<std::string> names;
      while (s_.weights().contains(str(base, ".", std::ssize(names), ".weight"))) {
        names.push_back(str(base, ".", std::ssize(names), ".weight"));
      }
      if (names.empty()) s_.weights().get_any(base + ".0.weight");  // throws
      const std::string name = *gguf_name(*s_.architecture, str(stack_name, ".weight"));
      PlannedTensor first = planned_gguf(s_, names[0], name);
      first.shape.insert(0, std::ssize(names));
      first.make = [weights = s_.weights(), names, dtype = first.dtype] {
        Tensors all;
        for (const std::string& one : names) {
          const Tensor x = weights.get_any(one);
          all.push_back(is_block(x.dtype()) ? x.to(DType::f32) : x);
        }
        return stack(all, 0).to(dtype);
      };
      out.push_back(std::move(first));
    }
  }

  /// llama.cpp wants weights of keys and values in layers that read those of others, too.
  void add_unread_keys(std::vector<PlannedTensor>& out) const {
    const auto copies = out;
    for (size_t i = static_cast<size_t>(c_.first_reader()); i < c_.layers.size(); ++i) {
      for (const char* part : {"attn_k", "attn_v", "attn_k_norm"}) {
        const auto name = [&](size_t layer) {
          return str("blk.", static_cast<int64_t>(layer), ".", part, ".weight");
        };
        if (std::ranges::find(copies, name(i), &PlannedTensor::name) != copies.end()) continue;
        const auto like = std::ranges::find(copies, name(0), &PlannedTensor::name);
        if (like == copies.end()) {
          fail(s_.weights().path(), ": ", hugging_face_name(*s_.architecture, name(0)),
               " is missing");
        }
        const Shape shape = like->shape;
        const DType dtype = is_block(like->dtype) ? DType::bf16 : like->dtype;
        out.push_back({name(i), shape, dtype, [=] { return Tensor::full(shape, 0.0, dtype); }});
      }
    }
  }

  /// How the angles of layers that do not slide differ from plain ones, pair by pair.
  void add_divisors(std::vector<PlannedTensor>& out) const {
    const GemmaLayerConfig* full = first_layer(c_, false);
    if (!full) return;
    const std::string type = rope_section(c_.full_rope).string("rope_type");
    if (type != "default" && type != "linear" && type != "proportional") {
      no_form(str("rope_type ", quoted(type), " of full_attention"));
    }
    const auto turns = nn::RotaryEmbedding(c_.full_rope, full->head_dim).frequencies().to_vector();
    if (2 * std::ssize(turns) != full->head_dim) no_form("partial_rotary_factor");
    std::vector<float> divisors;
    for (size_t i = 0; i < turns.size(); ++i) {
      const double plain = std::pow(rope_theta(c_.full_rope),
                                    -static_cast<double>(i) / static_cast<double>(turns.size()));
      const double divisor = plain / static_cast<double>(turns[i]);
      // Of numbers that f32 rounded: a factor is one with few digits.
      const double near = std::round(divisor * 1e4) / 1e4;
      const bool is_near = std::abs(divisor - near) < 1e-5 * divisor;
      divisors.push_back(turns[i] == 0 ? kStill : static_cast<float>(is_near ? near : divisor));
    }
    const Tensor values = Tensor::from(std::span<const float>(divisors), {std::ssize(divisors)});
    out.push_back({kRopeDivisors, values.shape(), DType::f32, [values] { return values; }});
  }

  void add_sizes(GgufMetadata& out) const {
    u32(out, "block_count", std::ssize(c_.layers));
    u32(out, "context_length", c_.positions);
    u32(out, "embedding_length", c_.hidden);
    per_layer(out, "feed_forward_length", &GemmaLayerConfig::intermediate);
    u32(out, "attention.head_count", c_.heads);
    per_layer(out, "attention.head_count_kv", &GemmaLayerConfig::kv_heads);
    f32(out, "attention.layer_norm_rms_epsilon", c_.eps);
    u32(out, "vocab_size", c_.vocab);
    if (kind_.lists_layers()) u32(out, "embedding_length_per_layer_input", c_.per_layer_dim);
    if (c_.experts == 0) return;
    u32(out, "expert_count", c_.experts);
    u32(out, "expert_used_count", c_.routes);
    u32(out, "expert_feed_forward_length", c_.expert_intermediate);
  }

  /// One number where all layers have it, else a list.
  void per_layer(GgufMetadata& out, const char* name, int64_t GemmaLayerConfig::*member) const {
    std::vector<int32_t> values;
    for (const GemmaLayerConfig& layer : c_.layers) {
      values.push_back(static_cast<int32_t>(layer.*member));
    }
    const bool same =
        std::ranges::adjacent_find(values, std::ranges::not_equal_to()) == values.end();
    if (same) return u32(out, name, values[0]);
    out.set_integers(s_.key(name), values);
  }

  void add_heads(GgufMetadata& out) const {
    const GemmaLayerConfig* full = first_layer(c_, false);
    const GemmaLayerConfig* near = first_layer(c_, true);
    const int64_t wide = (full ? full : near)->head_dim, own = (near ? near : full)->head_dim;
    for (const char* name : {"attention.key_length", "attention.value_length"}) {
      u32(out, name, wide);
      if (kind_.fourth) u32(out, str(name, "_swa").c_str(), own);
    }
    if (!kind_.fourth) return;
    u32(out, "rope.dimension_count", wide);
    u32(out, "rope.dimension_count_swa", own);
  }

  void add_layers(GgufMetadata& out) const {
    if (kind_.first) return;
    u32(out, "attention.sliding_window", c_.text.integer_or("sliding_window", c_.window));
    if (!kind_.lists_layers()) {
      const int64_t period = sliding_period(c_);
      if (period == 0) no_form("layer_types that is not periodic");
      if (period != (kind_.second ? 2 : 6)) u32(out, "attention.sliding_window_pattern", period);
      return;
    }
    std::vector<std::byte> slides;
    for (const GemmaLayerConfig& layer : c_.layers) slides.push_back(std::byte{layer.sliding});
    const std::string key = s_.key("attention.sliding_window_pattern");
    out.set({key, GgufType::boolean, true, slides.size(), slides});
    u32(out, "attention.shared_kv_layers", std::ssize(c_.layers) - c_.first_reader());
  }

  void add_rope(GgufMetadata& out) const {
    f32(out, "rope.freq_base", rope_theta(c_.full_rope));
    if (!kind_.first) f32(out, "rope.freq_base_swa", rope_theta(c_.sliding_rope));
    // Gemma 4's is in its divisors.
    if (!kind_.fourth) add_rope_scaling(s_, c_.full_rope, out);
  }

  void add_caps(GgufMetadata& out) const {
    if (c_.attention_cap > 0) f32(out, "attn_logit_softcapping", c_.attention_cap);
    // Where it is missing, 30 is meant.
    if (c_.logit_cap > 0 || kind_.lists_layers()) f32(out, "final_logit_softcapping", c_.logit_cap);
  }

  /// Of a drafter: the width of its large model, whose embedding is that of its head.
  void add_large(GgufMetadata& out) const {
    if (!tied()) no_form("tie_word_embeddings false");
    u32(out, "embedding_length_out", s_.config().integer_or("backbone_hidden_size", 1536));
    u32(out, "nextn_predict_layers", std::ssize(c_.layers));
  }

  void add_streams(GgufMetadata& out) const {
    if (!c_.text.boolean_or("altup_correct_scale", true)) no_form("altup_correct_scale false");
    u32(out, "altup.active_idx", c_.text.integer_or("altup_active_idx", 0, 0));
    u32(out, "altup.num_inputs", c_.text.integer_or("altup_num_inputs", 4));
    std::vector<float> scales;
    for (const auto& deviations : gemma3n_deviations(c_.text, c_.layers.size())) {
      scales.push_back(deviations ? static_cast<float>(*deviations)
                                  : -std::numeric_limits<float>::infinity());
    }
    out.set_floats(s_.key("activation_sparsity_scale"), scales);
  }

  /// Compares with what these keys will be read as.
  void check(const GgufMetadata& out) const {
    GgufMetadata all = out;
    all.set_string("general.architecture", s_.architecture->gguf);
    const auto file = all.as_file(c_.text.what());
    Checkpoint read = s_.checkpoint;
    read.config = Config(gguf_config(*file, *s_.architecture), c_.text.what());
    read.architecture = s_.architecture->hugging_face;
    const GemmaConfig again = gemma_config(read);
    const auto same = [&](const char* key, auto ours, auto read_again) {
      if (ours != read_again) no_form(str(key, " ", ours));
    };
    same("hidden_activation", c_.activation, again.activation);
    same("use_bidirectional_attention", c_.sees_all, again.sees_all);
    same("attn_logit_softcapping", static_cast<float>(c_.attention_cap),
         static_cast<float>(again.attention_cap));
    same("final_logit_softcapping", static_cast<float>(c_.logit_cap),
         static_cast<float>(again.logit_cap));
    same("hidden_size_per_layer_input", c_.per_layer_dim, again.per_layer_dim);
    if (std::abs(c_.attention_scale - again.attention_scale) > 1e-6 * c_.attention_scale) {
      no_form(str("query_pre_attn_scalar ", c_.text.number_or("query_pre_attn_scalar", 0)));
    }
    for (size_t i = 0; i < c_.layers.size(); ++i) check_layer(i, again.layers[i]);
    check_angles(c_.sliding_rope, again.sliding_rope, true);
    if (!kind_.fourth) check_angles(c_.full_rope, again.full_rope, false);
  }

  void check_layer(size_t index, const GemmaLayerConfig& again) const {
    const GemmaLayerConfig& own = c_.layers[index];
    const bool reads = own.source != static_cast<int64_t>(index);
    if (own.sliding != again.sliding) no_form("layer_types");
    if (own.head_dim != again.head_dim || own.kv_heads != again.kv_heads ||
        own.intermediate != again.intermediate) {
      no_form(str("what layer ", static_cast<int64_t>(index), " has of its own"));
    }
    if (own.source != again.source) no_form("num_kv_shared_layers");
    if (!reads && own.value_is_key != again.value_is_key) no_form("attention_k_eq_v");
  }

  void check_angles(const Config& own, const Config& again, bool sliding) const {
    const GemmaLayerConfig* layer = first_layer(c_, sliding);
    if (!layer) return;
    const auto a = nn::RotaryEmbedding(own, layer->head_dim).frequencies().to_vector();
    const auto b = nn::RotaryEmbedding(again, layer->head_dim).frequencies().to_vector();
    const bool alike = std::ranges::equal(
        a, b, [](float x, float y) { return std::abs(x - y) <= 1e-4F * std::abs(x); });
    if (!alike) no_form(sliding ? "rope of sliding_attention" : "rope of full_attention");
  }

  FormSource s_;
  GemmaConfig c_;
  GemmaKind kind_;
  std::string prefix_;
};

}  // namespace

const GemmaLayerConfig* first_layer(const GemmaConfig& config, bool sliding) {
  const auto found = std::ranges::find(config.layers, sliding, &GemmaLayerConfig::sliding);
  return found == config.layers.end() ? nullptr : &*found;
}

int64_t sliding_period(const GemmaConfig& config) {
  const auto found = std::ranges::find(config.layers, false, &GemmaLayerConfig::sliding);
  const int64_t period = found - config.layers.begin() + 1;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].sliding != ((static_cast<int64_t>(i) + 1) % period != 0)) return 0;
  }
  return period;
}

std::unique_ptr<ToGguf> gemma_to_gguf(FormSource source) {
  return std::make_unique<GemmaToGguf>(std::move(source));
}

}  // namespace tallow::converting
