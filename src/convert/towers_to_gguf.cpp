// Gemma 4's towers as the mmproj file that llama.cpp's converter writes.
#include <cmath>

#include "convert/form.h"
#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "formats/gguf_towers.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow::converting {
namespace {

/// What llama.cpp computes with, and no key says: another value has no form.
struct Fixed {
  const char* key;
  double value;
};
constexpr Fixed kVision[] = {{"rms_norm_eps", 1e-6}};
constexpr Fixed kAudio[] = {
    {"attention_chunk_size", 12}, {"attention_context_left", 13}, {"attention_context_right", 0},
    {"attention_logit_cap", 50},  {"residual_weight", 0.5},       {"rms_norm_eps", 1e-6},
    {"gradient_clipping", 1e10},
};
constexpr double kTheta = 100;
constexpr const char* kAhead = "use_bidirectional_attention";

class Towers {
 public:
  Towers(Checkpoint checkpoint, std::optional<DType> dtype)
      : unified_(checkpoint.architecture.starts_with("Gemma4Unified")),
        s_{std::move(checkpoint), unified_ ? &gguf_embedders() : &gguf_towers(), dtype} {
    vision_ = section("vision_config", unified_ ? "vision_embedder." : "vision_tower.");
    audio_ = section("audio_config", unified_ ? "embed_audio." : "audio_tower.");
  }

  bool any() const { return vision_ || audio_; }

  GgufModel translate() {
    out_.set_string("general.architecture", "clip");
    out_.set_string("general.type", "mmproj");
    out_.set_u32("general.file_type", 1);
    const Json* text = s_.config().find("text_config");
    const Config own(text && text->is_object() ? *text : s_.config().values(), s_.config().what());
    const int64_t hidden = own.integer("hidden_size");
    if (vision_) add_vision(own, hidden);
    if (audio_) add_audio(hidden);
    std::vector<PlannedTensor> tensors;
    for (const std::string& name : s_.weights().names()) {
      if (const std::string inner = tower_name(name); !inner.empty()) add(tensors, name, inner);
    }
    return {out_.as_file(s_.weights().path()), std::move(tensors)};
  }

 private:
  std::optional<Config> section(const char* key, std::string_view tower) const {
    const Json* found = s_.config().find(key);
    if (!found || !found->is_object()) return std::nullopt;
    for (const std::string& name : s_.weights().names()) {
      if (tower_name(name).starts_with(str("model.", tower))) {
        return Config(*found, str(s_.config().what(), ": ", key));
      }
    }
    return std::nullopt;
  }

  /// With the prefix that newer folders have; empty for what is of no tower.
  static std::string tower_name(const std::string& name) {
    const std::string own = name.starts_with("model.") ? name : "model." + name;
    for (const char* part :
         {"vision_tower.", "audio_tower.", "embed_vision.", "embed_audio.", "vision_embedder."}) {
      if (own.starts_with(str("model.", part))) return own;
    }
    return "";
  }

  static void check(const Config& c, std::span<const Fixed> all) {
    for (const Fixed& fixed : all) {
      if (c.number_or(fixed.key, fixed.value) == fixed.value) continue;
      fail(c.what(), ": ", fixed.key, " ", c.number(fixed.key), " has no GGUF form; ", fixed.value,
           " has");
    }
  }

  static void check(const Config& c, const char* key, const char* value) {
    if (c.string_or(key, value) == value) return;
    fail(c.what(), ": ", key, " ", quoted(c.string(key)), " has no GGUF form; ", value, " has");
  }

  void u32(const std::string& key, int64_t value) {
    out_.set_u32(key, static_cast<uint32_t>(value));
  }

  void add_sizes(const std::string& key, int64_t width, int64_t layers, int64_t heads,
                 int64_t feed_forward) {
    u32(key + "embedding_length", width);
    u32(key + "block_count", layers);
    u32(key + "attention.head_count", heads);
    u32(key + "feed_forward_length", feed_forward);
  }

  void add_vision(const Config& text, int64_t hidden) {
    const Config& c = *vision_;
    check(c, kVision);
    const std::string key = "clip.vision.";
    constexpr int64_t kUnused = 224;
    out_.set_boolean("clip.has_vision_encoder", true);
    out_.set_string(key + "projector_type", unified_ ? "gemma4uv" : "gemma4v");
    if (unified_) {
      add_sizes(key, c.integer_or("mm_embed_dim", 3840), 0, 0, 0);
    } else {
      add_vision_tower(key, c);
    }
    u32(key + "projection_dim", hidden);
    u32(key + "image_size", kUnused);
    u32(key + "patch_size", c.integer_or("patch_size", 16));
    out_.set_f32(key + "attention.layer_norm_epsilon", 1e-6F);
    u32(key + "projector.scale_factor", c.integer_or("pooling_kernel_size", 3));
    out_.set_floats(key + "image_mean", std::vector<float>{0, 0, 0});
    out_.set_floats(key + "image_std", std::vector<float>{1, 1, 1});
    const char* usual = unified_ && !text.values().find(kAhead) ? "vision" : "";
    out_.set_boolean(kImagesSeeAhead, text.string_or(kAhead, usual) == "vision");
  }

  void add_vision_tower(const std::string& key, const Config& c) {
    check(c, "hidden_activation", "gelu_pytorch_tanh");
    if (rope_section(c).number_or("rope_theta", kTheta) != kTheta) {
      fail(c.what(), ": rope_theta has no GGUF form but ", kTheta);
    }
    const int64_t heads = c.integer_or("num_attention_heads", 12);
    const int64_t key_heads = c.integer_or("num_key_value_heads", heads);
    const int64_t head_dim = c.integer_or("head_dim", 64);
    add_sizes(key, c.integer("hidden_size"), c.integer_or("num_hidden_layers", 16), heads,
              c.integer_or("intermediate_size", 3072));
    if (key_heads != heads) u32(key + "attention.head_count_kv", key_heads);
    if (head_dim * heads != c.integer("hidden_size")) u32(key + "attention.head_dim", head_dim);
  }

  void add_audio(int64_t hidden) {
    const Config& c = *audio_;
    const std::string key = "clip.audio.";
    out_.set_boolean("clip.has_audio_encoder", true);
    out_.set_string(key + "projector_type", unified_ ? "gemma4ua" : "gemma4a");
    u32(key + "projection_dim", hidden);
    out_.set_f32(key + "attention.layer_norm_epsilon", 1e-5F);
    if (!unified_) return add_audio_tower(key, c);
    check(c, kVision);
    const int64_t samples = c.integer_or("audio_embed_dim", 640);
    add_sizes(key, samples, 0, 0, 0);
    u32(key + "num_mel_bins", samples);
  }

  void add_audio_tower(const std::string& key, const Config& c) {
    check(c, kAudio);
    check(c, "hidden_act", "silu");
    const int64_t width = c.integer("hidden_size");
    add_sizes(key, width, c.integer_or("num_hidden_layers", 12),
              c.integer_or("num_attention_heads", 8), 4 * width);
    const Json* channels = c.find("subsampling_conv_channels");
    const bool listed = channels && channels->is_array() && !channels->items().empty();
    // Both convolutions halve the bins, and the first has as many channels as there are.
    u32(key + "num_mel_bins", listed ? channels->items()[0].integer() : 128);
  }

  void add(std::vector<PlannedTensor>& out, const std::string& name, const std::string& own) const {
    const auto renamed = gguf_name(*s_.architecture, own);
    if (!renamed) fail(s_.weights().path(), ": tensor ", quoted(name), " has no name in GGUF");
    PlannedTensor tensor = planned_gguf(s_, name, *renamed);
    const Weights& w = s_.weights();
    const auto precise = [&](Shape shape, auto make) {
      tensor.dtype = DType::f32;
      tensor.shape = shape;
      tensor.make = [w, name, shape, make] {
        return make(w.get_any(name).to(DType::f32)).reshape(shape).contiguous();
      };
    };
    const auto same = [](const Tensor& x) { return x; };
    const Shape shape = tensor.shape;
    if (own.ends_with("patch_embedder.input_proj.weight")) {
      check_dims(w, name, 2);
      const auto side = static_cast<int64_t>(std::lround(std::sqrt(shape[1] / 3)));
      if (3 * side * side != shape[1]) {
        fail(w.path(), ": tensor ", quoted(name), " has rows of ", shape[1],
             ", which is no square patch of three colours");
      }
      precise({shape[0], 3, side, side}, [side](const Tensor& x) {
        return x.reshape({-1, side, side, 3}).permute({0, 3, 1, 2});
      });
    } else if (own.ends_with("patch_dense.weight") || own.find(".patch_ln1.") != own.npos) {
      // The features of pixels, colour by colour.
      const int64_t width = shape.back();
      tensor.make = [w, name, shape, width, dtype = tensor.dtype] {
        const Tensor pixels = w.get_any(name).to(DType::f32).reshape({-1, width / 3, 3});
        return pixels.transpose(1, 2).reshape(shape).contiguous().to(dtype);
      };
      if (width % 3 != 0) {
        fail(w.path(), ": tensor ", quoted(name), " has rows of ", width, ", not of three colours");
      }
    } else if (own.ends_with("vision_embedder.pos_embedding")) {
      check_dims(w, name, 3);
      precise({shape[1], shape[0], shape[2]}, [](const Tensor& x) { return x.permute({1, 0, 2}); });
    } else if (own.ends_with("depthwise_conv1d.weight")) {
      check_dims(w, name, 3);
      precise({shape[0], shape[2]}, same);
    } else if (own.ends_with(".per_dim_scale")) {
      precise(shape, [](const Tensor& x) { return softplus(x); });
    } else if (shape.empty()) {
      precise({1}, same);
    } else if (own.find("conv") != own.npos || own.ends_with("position_embedding_table")) {
      precise(shape, same);
    }
    out.push_back(std::move(tensor));
  }

  bool unified_;
  FormSource s_;
  std::optional<Config> vision_, audio_;
  GgufMetadata out_;
};

}  // namespace

std::optional<GgufModel> translate_towers(const std::string& folder, std::optional<DType> dtype) {
  Checkpoint checkpoint = open_checkpoint(folder);
  if (!checkpoint.architecture.starts_with("Gemma4For") &&
      !checkpoint.architecture.starts_with("Gemma4UnifiedFor")) {
    return std::nullopt;
  }
  Towers towers(std::move(checkpoint), dtype);
  if (!towers.any()) return std::nullopt;
  return towers.translate();
}

}  // namespace tallow::converting
