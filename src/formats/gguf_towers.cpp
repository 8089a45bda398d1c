// Reading mmproj files: llama.cpp's names and shapes as Hugging Face's, beside a text model.
#include "formats/gguf_towers.h"

#include <algorithm>
#include <cmath>

#include "formats/byte_reader.h"
#include "formats/gguf_checkpoint.h"
#include "tallow/error.h"

namespace tallow {
namespace {

#define TALLOW_VISION "model.vision_tower.encoder.layers.*."
#define TALLOW_AUDIO "model.audio_tower.layers.*."

// The matrices of clipped linear layers have a name below them; their bounds have not.
constexpr GgufTensorName kTowers[] = {
    {"v.blk.*.attn_q.weight", TALLOW_VISION "self_attn.q_proj.linear.weight"},
    {"v.blk.*.attn_k.weight", TALLOW_VISION "self_attn.k_proj.linear.weight"},
    {"v.blk.*.attn_v.weight", TALLOW_VISION "self_attn.v_proj.linear.weight"},
    {"v.blk.*.attn_out.weight", TALLOW_VISION "self_attn.o_proj.linear.weight"},
    {"v.blk.*.ffn_gate.weight", TALLOW_VISION "mlp.gate_proj.linear.weight"},
    {"v.blk.*.ffn_up.weight", TALLOW_VISION "mlp.up_proj.linear.weight"},
    {"v.blk.*.ffn_down.weight", TALLOW_VISION "mlp.down_proj.linear.weight"},
    {"v.blk.*.attn_q", TALLOW_VISION "self_attn.q_proj"},
    {"v.blk.*.attn_k", TALLOW_VISION "self_attn.k_proj"},
    {"v.blk.*.attn_v", TALLOW_VISION "self_attn.v_proj"},
    {"v.blk.*.attn_out", TALLOW_VISION "self_attn.o_proj"},
    {"v.blk.*.ffn_gate", TALLOW_VISION "mlp.gate_proj"},
    {"v.blk.*.ffn_up", TALLOW_VISION "mlp.up_proj"},
    {"v.blk.*.ffn_down", TALLOW_VISION "mlp.down_proj"},
    {"v.blk.*.attn_q_norm", TALLOW_VISION "self_attn.q_norm"},
    {"v.blk.*.attn_k_norm", TALLOW_VISION "self_attn.k_norm"},
    {"v.blk.*.ln1", TALLOW_VISION "input_layernorm"},
    {"v.blk.*.attn_post_norm", TALLOW_VISION "post_attention_layernorm"},
    {"v.blk.*.ln2", TALLOW_VISION "pre_feedforward_layernorm"},
    {"v.blk.*.ffn_post_norm", TALLOW_VISION "post_feedforward_layernorm"},
    {"v.patch_embd", "model.vision_tower.patch_embedder.input_proj"},
    {"v.position_embd.weight", "model.vision_tower.patch_embedder.position_embedding_table"},
    {"v.std_bias", "model.vision_tower.std_bias"},
    {"v.std_scale", "model.vision_tower.std_scale"},
    {"mm.input_projection", "model.embed_vision.embedding_projection"},
    {"a.blk.*.ffn_up.weight", TALLOW_AUDIO "feed_forward1.ffw_layer_1.linear.weight"},
    {"a.blk.*.ffn_down.weight", TALLOW_AUDIO "feed_forward1.ffw_layer_2.linear.weight"},
    {"a.blk.*.ffn_up_1.weight", TALLOW_AUDIO "feed_forward2.ffw_layer_1.linear.weight"},
    {"a.blk.*.ffn_down_1.weight", TALLOW_AUDIO "feed_forward2.ffw_layer_2.linear.weight"},
    {"a.blk.*.attn_q.weight", TALLOW_AUDIO "self_attn.q_proj.linear.weight"},
    {"a.blk.*.attn_k.weight", TALLOW_AUDIO "self_attn.k_proj.linear.weight"},
    {"a.blk.*.attn_v.weight", TALLOW_AUDIO "self_attn.v_proj.linear.weight"},
    {"a.blk.*.attn_out.weight", TALLOW_AUDIO "self_attn.post.linear.weight"},
    {"a.blk.*.conv_pw1.weight", TALLOW_AUDIO "lconv1d.linear_start.linear.weight"},
    {"a.blk.*.conv_pw2.weight", TALLOW_AUDIO "lconv1d.linear_end.linear.weight"},
    {"a.blk.*.per_dim_scale.weight", TALLOW_AUDIO "self_attn.per_dim_scale"},
    {"a.blk.*.ffn_up", TALLOW_AUDIO "feed_forward1.ffw_layer_1"},
    {"a.blk.*.ffn_down", TALLOW_AUDIO "feed_forward1.ffw_layer_2"},
    {"a.blk.*.ffn_norm", TALLOW_AUDIO "feed_forward1.pre_layer_norm"},
    {"a.blk.*.ffn_post_norm", TALLOW_AUDIO "feed_forward1.post_layer_norm"},
    {"a.blk.*.ffn_up_1", TALLOW_AUDIO "feed_forward2.ffw_layer_1"},
    {"a.blk.*.ffn_down_1", TALLOW_AUDIO "feed_forward2.ffw_layer_2"},
    {"a.blk.*.ffn_norm_1", TALLOW_AUDIO "feed_forward2.pre_layer_norm"},
    {"a.blk.*.ffn_post_norm_1", TALLOW_AUDIO "feed_forward2.post_layer_norm"},
    {"a.blk.*.attn_q", TALLOW_AUDIO "self_attn.q_proj"},
    {"a.blk.*.attn_k", TALLOW_AUDIO "self_attn.k_proj"},
    {"a.blk.*.attn_v", TALLOW_AUDIO "self_attn.v_proj"},
    {"a.blk.*.attn_out", TALLOW_AUDIO "self_attn.post"},
    {"a.blk.*.attn_k_rel", TALLOW_AUDIO "self_attn.relative_k_proj"},
    {"a.blk.*.conv_pw1", TALLOW_AUDIO "lconv1d.linear_start"},
    {"a.blk.*.conv_pw2", TALLOW_AUDIO "lconv1d.linear_end"},
    {"a.blk.*.conv_dw", TALLOW_AUDIO "lconv1d.depthwise_conv1d"},
    {"a.blk.*.conv_norm", TALLOW_AUDIO "lconv1d.pre_layer_norm"},
    {"a.blk.*.norm_conv", TALLOW_AUDIO "lconv1d.conv_norm"},
    {"a.blk.*.attn_pre_norm", TALLOW_AUDIO "norm_pre_attn"},
    {"a.blk.*.attn_post_norm", TALLOW_AUDIO "norm_post_attn"},
    {"a.blk.*.ln2", TALLOW_AUDIO "norm_out"},
    {"a.conv1d.*", "model.audio_tower.subsample_conv_projection.layer*.conv"},
    {"a.conv1d.*.norm", "model.audio_tower.subsample_conv_projection.layer*.norm"},
    {"a.input_projection", "model.audio_tower.subsample_conv_projection.input_proj_linear"},
    {"a.pre_encode.out", "model.audio_tower.output_proj"},
    {"mm.a.input_projection", "model.embed_audio.embedding_projection"},
};
#undef TALLOW_VISION
#undef TALLOW_AUDIO

constexpr GgufTensorName kEmbedders[] = {
    {"v.position_embd.weight", "model.vision_embedder.pos_embedding"},
    {"v.patch_embd", "model.vision_embedder.patch_dense"},
    {"v.patch_norm.1", "model.vision_embedder.patch_ln1"},
    {"v.patch_norm.2", "model.vision_embedder.patch_ln2"},
    {"v.patch_norm.3", "model.vision_embedder.pos_norm"},
    {"mm.input_projection", "model.embed_vision.embedding_projection"},
    {"mm.a.input_projection", "model.embed_audio.embedding_projection"},
};

constexpr GgufArchitecture kClip{"clip", "Gemma4ForConditionalGeneration", kTowers, {}, {}, false};
constexpr GgufArchitecture kUnifiedClip{
    "clip", "Gemma4UnifiedForConditionalGeneration", kEmbedders, {}, {}, false};

constexpr std::string_view kProjector = "clip.%.projector_type";

bool is_bound(std::string_view name) {
  return name.ends_with("put_min") || name.ends_with("put_max");
}

/// The elements of x [outer, a, b, inner] in the order [outer, b, a, inner], as `shape`.
Tensor swapped(const Tensor& x, int64_t a, int64_t b, int64_t inner, const Shape& shape) {
  const std::vector<float> from = x.to_vector();
  std::vector<float> to(from.size());
  for (int64_t i = 0; i < std::ssize(from); ++i) {
    const int64_t rest = i % inner, column = i / inner % b, row = i / (inner * b) % a;
    const int64_t outer = i / (inner * b * a);
    to[static_cast<size_t>(((outer * b + column) * a + row) * inner + rest)] =
        from[static_cast<size_t>(i)];
  }
  return Tensor::from(std::span<const float>(to), shape);
}

/// Patches [n, 3, side, side] as rows of pixels [n, side * side * 3].
Tensor patch_rows(const Tensor& x, const std::string& path) {
  const int64_t side = x.dim() == 4 ? x.size(2) : 0;
  if (x.dim() != 4 || x.size(1) != 3 || x.size(3) != side) {
    fail(path, ": tensor \"v.patch_embd.weight\" is ", x, "; it must be [features, 3, side, side]");
  }
  return swapped(x, 3, side * side, 1, {x.size(0), 3 * side * side});
}

/// Features of pixels [..., 3 * area], colour by colour, pixel by pixel.
Tensor pixel_features(const Tensor& x, std::string_view name, const std::string& path) {
  const int64_t width = x.dim() > 0 ? x.size(-1) : 0;
  if (width % 3 != 0 || width == 0) {
    fail(path, ": tensor ", quoted(name), " is ", x, "; its rows must have 3 colours");
  }
  return swapped(x, 3, width / 3, 1, x.shape());
}

/// Positions [2, places, width] place by place.
Tensor place_rows(const Tensor& x, const std::string& path) {
  if (x.dim() != 3 || x.size(0) != 2) {
    fail(path, ": tensor \"v.position_embd.weight\" is ", x, "; it must be [2, places, features]");
  }
  return swapped(x, 2, x.size(1), x.size(2), {x.size(1), 2, x.size(2)});
}

/// A text model's weights, and those of its towers.
class WithTowers final : public WeightSource {
 public:
  WithTowers(Weights text, std::shared_ptr<const WeightSource> towers)
      : text_(std::move(text)), towers_(std::move(towers)), path_(text_.path()) {}

  const std::string& path() const override { return path_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> all = text_.names();
    const std::vector<std::string> own = towers_->names();
    all.insert(all.end(), own.begin(), own.end());
    return all;
  }
  bool contains(std::string_view name) const override {
    return text_.contains(name) || towers_->contains(name);
  }
  Tensor get(std::string_view name) const override {
    return towers_->contains(name) ? restored(name) : text_.get_any(name);
  }

 private:
  /// In Hugging Face's shape.
  Tensor restored(std::string_view name) const {
    const Tensor x = towers_->get(name);
    const std::string& path = towers_->path();
    if (name.ends_with("patch_embedder.input_proj.weight")) return patch_rows(x, path);
    if (name.ends_with("vision_embedder.pos_embedding")) return place_rows(x, path);
    if (name.ends_with("vision_embedder.patch_dense.weight") ||
        name.find("vision_embedder.patch_ln1.") != name.npos) {
      return pixel_features(x, name, path);
    }
    const bool scale = name.ends_with(".per_dim_scale");
    const bool depthwise = name.ends_with("depthwise_conv1d.weight") && x.dim() == 2;
    const bool bound = is_bound(name) && x.numel() == 1;
    if (!scale && !depthwise && !bound) return x;
    std::vector<float> values = x.to_vector();
    for (float& v : values) {
      // softplus is taken in the file
      if (scale) v = static_cast<float>(std::log(std::expm1(static_cast<double>(v))));
    }
    const Shape shape = depthwise ? Shape{x.size(0), 1, x.size(1)} : bound ? Shape{} : x.shape();
    return Tensor::from(std::span<const float>(values), shape);
  }

  Weights text_;
  std::shared_ptr<const WeightSource> towers_;
  std::string path_;
};

/// Shapes and keys of an mmproj file.
class TowerFile {
 public:
  explicit TowerFile(std::shared_ptr<const GgufFile> file) : file_(std::move(file)) {}

  const GgufFile& file() const { return *file_; }
  bool has(const char* tensor) const { return file_->find(tensor) != nullptr; }
  int64_t size(const char* tensor, int dim) const {
    const TensorInfo* found = file_->find(tensor);
    if (!found) fail(file_->path(), ": tensor ", quoted(tensor), " is missing");
    const int dims = found->shape.size();
    const int at = dim < 0 ? dims + dim : dim;
    if (at < 0 || at >= dims)
      fail(file_->path(), ": tensor ", quoted(tensor), " has ", dims, " dimensions");
    return found->shape[at];
  }
  int64_t number(const std::string& key) const {
    const auto value = file_->integer(key);
    if (!value) fail(file_->path(), ": metadata ", quoted(key), " is missing");
    return *value;
  }
  /// Whether the file has this tower, in the form of Gemma 4 or of its unified 12B.
  enum class Tower { none, own, unified };
  Tower tower(const char* which, std::string_view wanted, std::string_view unified) const {
    if (!file_->boolean(str("clip.has_", which, "_encoder")).value_or(false)) return Tower::none;
    std::string key(kProjector);
    key.replace(key.find('%'), 1, which);
    const std::string_view own =
        file_->string(key).value_or(file_->string("clip.projector_type").value_or(""));
    if (own == wanted) return Tower::own;
    if (own == unified) return Tower::unified;
    fail(file_->path(), ": metadata ", quoted(key), ": ", quoted(own), " is not known; known are ",
         "gemma4v, gemma4a, gemma4uv and gemma4ua");
  }

 private:
  std::shared_ptr<const GgufFile> file_;
};

Json vision_config(const TowerFile& f) {
  const std::string key = "clip.vision.";
  const int64_t head_dim = f.size("v.blk.0.attn_q_norm.weight", 0);
  Json rope = Json::object(), out = Json::object();
  rope.set("rope_type", "axial");
  rope.set("rope_theta", 100.0);
  out.set("model_type", "gemma4_vision");
  out.set("hidden_size", f.number(key + "embedding_length"));
  out.set("intermediate_size", f.number(key + "feed_forward_length"));
  out.set("num_hidden_layers", f.number(key + "block_count"));
  out.set("num_attention_heads", f.number(key + "attention.head_count"));
  out.set("num_key_value_heads",
          f.size("v.blk.0.attn_k.weight", 0) / std::max<int64_t>(head_dim, 1));
  out.set("head_dim", head_dim);
  out.set("hidden_activation", "gelu_pytorch_tanh");
  out.set("rms_norm_eps", f.file().number(key + "attention.layer_norm_epsilon").value_or(1e-6));
  out.set("patch_size", f.number(key + "patch_size"));
  out.set("pooling_kernel_size", f.file().integer(key + "projector.scale_factor").value_or(3));
  out.set("position_embedding_size", f.size("v.position_embd.weight", 1));
  out.set("rope_parameters", std::move(rope));
  out.set("standardize", f.has("v.std_bias"));
  out.set("use_clipped_linears", f.has("v.blk.0.attn_q.input_max"));
  return out;
}

Json audio_config(const TowerFile& f) {
  const std::string key = "clip.audio.";
  Json out = Json::object();
  out.set("model_type", "gemma4_audio");
  out.set("hidden_size", f.number(key + "embedding_length"));
  out.set("num_hidden_layers", f.number(key + "block_count"));
  out.set("num_attention_heads", f.number(key + "attention.head_count"));
  out.set("subsampling_conv_channels",
          Json::Array{f.size("a.conv1d.0.weight", 0), f.size("a.conv1d.1.weight", 0)});
  out.set("conv_kernel_size", f.size("a.blk.0.conv_dw.weight", -1));
  out.set("output_proj_dims", f.size("a.pre_encode.out.weight", 0));
  // llama.cpp's converter writes another number, which nothing reads.
  out.set("rms_norm_eps", 1e-6);
  out.set("use_clipped_linears", f.has("a.blk.0.ffn_up.input_max"));
  return out;
}

Json unified_vision_config(const TowerFile& f) {
  const std::string key = "clip.vision.";
  Json out = Json::object();
  out.set("model_type", "gemma4_unified_vision");
  out.set("mm_embed_dim", f.size("v.patch_embd.weight", 0));
  out.set("mm_posemb_size", f.size("v.position_embd.weight", 1));
  out.set("output_proj_dims", f.size("v.patch_embd.weight", 0));
  out.set("patch_size", f.number(key + "patch_size"));
  out.set("pooling_kernel_size", f.file().integer(key + "projector.scale_factor").value_or(3));
  out.set("rms_norm_eps", f.file().number(key + "attention.layer_norm_epsilon").value_or(1e-6));
  return out;
}

Json unified_audio_config(const TowerFile& f) {
  Json out = Json::object();
  out.set("model_type", "gemma4_unified_audio");
  out.set("audio_embed_dim", f.size("mm.a.input_projection.weight", 1));
  out.set("rms_norm_eps", 1e-6);
  return out;
}

/// Sets the configurations of the file's towers, and says whose they are.
const GgufArchitecture& add_towers(const TowerFile& towers, Json& config) {
  const auto eyes = towers.tower("vision", "gemma4v", "gemma4uv");
  const auto ears = towers.tower("audio", "gemma4a", "gemma4ua");
  const bool unified = eyes == TowerFile::Tower::unified || ears == TowerFile::Tower::unified;
  if (unified && (eyes == TowerFile::Tower::own || ears == TowerFile::Tower::own)) {
    fail(towers.file().path(), ": its eyes and its ears are of two kinds of models");
  }
  if (eyes != TowerFile::Tower::none) {
    config.set("vision_config", unified ? unified_vision_config(towers) : vision_config(towers));
  }
  if (ears != TowerFile::Tower::none) {
    config.set("audio_config", unified ? unified_audio_config(towers) : audio_config(towers));
  }
  return unified ? kUnifiedClip : kClip;
}

}  // namespace

const GgufArchitecture& gguf_towers() { return kClip; }
const GgufArchitecture& gguf_embedders() { return kUnifiedClip; }

std::string towers_path(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == path.npos ? 0 : slash + 1;
  return path.substr(0, name) + "mmproj-" + path.substr(name);
}

Checkpoint with_towers(const Checkpoint& model, const std::string& path) {
  // Without those that it may have been opened with.
  const Checkpoint text = model.gguf ? make_gguf_checkpoint(model.gguf) : model;
  if (text.architecture != "Gemma4ForCausalLM") {
    fail(path, ": towers of ", text.architecture, " are not known; those of Gemma 4 are");
  }
  auto file = GgufFile::open(path);
  if (file->string("general.architecture").value_or("") != "clip") {
    fail(path, ": metadata \"general.architecture\" is not \"clip\"; give an mmproj file");
  }
  file->will_need();
  const TowerFile towers(file);
  Json config = text.config.values(), own = config;
  const GgufArchitecture& kind = add_towers(towers, config);
  const bool unified = &kind == &kUnifiedClip;
  // Those with inputs of layers' own see an image as they see text.
  const bool ahead =
      file->boolean(kImagesSeeAhead)
          .value_or(text.config.integer_or("hidden_size_per_layer_input", 0, 0) == 0);
  own.set("use_bidirectional_attention", ahead ? Json("vision") : Json());
  config.set("architectures", Json::Array{kind.hugging_face});
  config.set("model_type", unified ? "gemma4_unified" : "gemma4");
  config.set("text_config", std::move(own));
  Checkpoint out = text;
  out.config = Config(std::move(config), text.config.what());
  out.weights = Weights(std::make_shared<WithTowers>(text.weights, gguf_weights(file, &kind)));
  out.architecture = kind.hugging_face;
  return out;
}

}  // namespace tallow
