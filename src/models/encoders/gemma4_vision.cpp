// Gemma 4's vision tower: a transformer over the patches of one image, with positions in two
// dimensions, whose outputs are averaged over squares of patches; and its projector. transformers'
// modeling_gemma4.
#include "models/encoders/gemma4_vision.h"

#include <cmath>
#include <limits>

#include "models/causal_lm/gemma.h"
#include "models/encoders/clipped_linear.h"
#include "models/encoders/gemma4_image.h"
#include "models/states.h"
#include "tallow/error.h"

namespace tallow {
namespace {

struct VisionConfig {
  Config c;
  int64_t hidden, heads, kv_heads, head_dim, intermediate, patch, pooling, positions;
  double eps;
  bool clipped;
  std::string activation;

  explicit VisionConfig(const Config& config)
      : c(config),
        hidden(c.integer_or("hidden_size", 768, 1, 1 << 16)),
        heads(c.integer_or("num_attention_heads", 12, 1, 1 << 10)),
        kv_heads(c.integer_or("num_key_value_heads", heads, 1, heads)),
        head_dim(c.integer_or("head_dim", 64, 1, 1 << 12)),
        intermediate(c.integer_or("intermediate_size", 3072, 1, 1 << 20)),
        patch(c.integer_or("patch_size", 16, 1, 1024)),
        pooling(c.integer_or("pooling_kernel_size", 3, 1, 64)),
        positions(c.integer_or("position_embedding_size", 10240, 1, 1 << 20)),
        eps(c.number_or("rms_norm_eps", 1e-6)),
        clipped(c.boolean_or("use_clipped_linears", false)),
        activation(c.string_or("hidden_activation", "gelu_pytorch_tanh")) {
    if (heads % kv_heads != 0) {
      fail(c.what(), ": num_attention_heads ", heads, " is not a multiple of num_key_value_heads ",
           kv_heads);
    }
    if (head_dim % 4 != 0) fail(c.what(), ": head_dim ", head_dim, " is not a multiple of 4");
  }
};

/// Radians a patch by which each pair of features turns [head_dim / 4]: those of the first half of
/// a head by its column, those of the second by its row.
Tensor axial_frequencies(const VisionConfig& v) {
  const Json* given = v.c.find("rope_parameters");
  const Config rope(given && given->is_object() ? *given : Json::object(), v.c.what());
  if (const std::string type = rope.string_or("rope_type", "axial"); type != "axial") {
    fail(v.c.what(), ": rope_type \"", type, "\" is unknown; known is axial");
  }
  const auto theta = static_cast<float>(rope.number_or("rope_theta", 100));
  const auto half = static_cast<float>(v.head_dim / 2);
  std::vector<float> speeds;
  for (int64_t i = 0; i < v.head_dim / 4; ++i) {
    speeds.push_back(1 / std::pow(theta, static_cast<float>(2 * i) / half));
  }
  return Tensor::from(speeds, {v.head_dim / 4});
}

struct Attention {
  ClippedLinear q_proj, k_proj, v_proj, o_proj;
  nn::RmsNorm q_norm, k_norm;
  int64_t head_dim;
  double eps;

  Attention(const Weights& w, const VisionConfig& c)
      : q_proj(w / "q_proj", c.clipped, c.hidden, c.heads * c.head_dim),
        k_proj(w / "k_proj", c.clipped, c.hidden, c.kv_heads * c.head_dim),
        v_proj(w / "v_proj", c.clipped, c.hidden, c.kv_heads * c.head_dim),
        o_proj(w / "o_proj", c.clipped, c.heads * c.head_dim, c.hidden),
        q_norm(w / "q_norm", c.head_dim, c.eps),
        k_norm(w / "k_norm", c.head_dim, c.eps),
        head_dim(c.head_dim),
        eps(c.eps) {}

  /// Each patch sees all others.
  Tensor operator()(const Tensor& x, const Tensor& positions, const Tensor& frequencies) const {
    const auto heads = [&](const Tensor& y) { return y.reshape({x.size(0), -1, head_dim}); };
    // [heads, patches, head_dim], in bf16 where that is what the weights are for.
    const DType dtype = q_proj.linear.weight.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
    const auto ready = [&](const Tensor& y) { return y.to(dtype).transpose(0, 1); };
    const Tensor q = rope(q_norm(heads(q_proj(x))), positions, frequencies);
    const Tensor k = rope(k_norm(heads(k_proj(x))), positions, frequencies);
    const Tensor v = rms_norm(heads(v_proj(x)), {head_dim}, {}, eps);
    const Tensor y = scaled_dot_product_attention(ready(q), ready(k), ready(v), {}, 0, false, 1.0,
                                                  q.size(1) != k.size(1));
    return o_proj(y.transpose(0, 1).to(DType::f32).reshape({x.size(0), -1}));
  }
};

struct Mlp {
  ClippedLinear gate_proj, up_proj, down_proj;
  std::string activation;

  Mlp(const Weights& w, const VisionConfig& c)
      : gate_proj(w / "gate_proj", c.clipped, c.hidden, c.intermediate),
        up_proj(w / "up_proj", c.clipped, c.hidden, c.intermediate),
        down_proj(w / "down_proj", c.clipped, c.intermediate, c.hidden),
        activation(c.activation) {}

  Tensor operator()(const Tensor& x) const {
    return down_proj(activate(activation, gate_proj(x)) * up_proj(x));
  }
};

struct Layer {
  Attention self_attn;
  Mlp mlp;
  nn::RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm,
      post_feedforward_layernorm;

  Layer(const Weights& w, const VisionConfig& c)
      : self_attn(w / "self_attn", c),
        mlp(w / "mlp", c),
        input_layernorm(w / "input_layernorm", c.hidden, c.eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden, c.eps),
        pre_feedforward_layernorm(w / "pre_feedforward_layernorm", c.hidden, c.eps),
        post_feedforward_layernorm(w / "post_feedforward_layernorm", c.hidden, c.eps) {}

  Tensor operator()(Tensor x, const Tensor& positions, const Tensor& frequencies) const {
    const Tensor y = self_attn(input_layernorm(x), positions, frequencies);
    const Tensor z = mlp(pre_feedforward_layernorm.add(x, post_attention_layernorm(y)));
    return x + post_feedforward_layernorm(z);
  }
};

class Gemma4Vision : public Gemma4ImageEncoder {
 public:
  Gemma4Vision(const Checkpoint& checkpoint, const Weights& w, const Weights& projector,
               const VisionConfig& c, int64_t hidden)
      : Gemma4ImageEncoder(checkpoint, Gemma4ImageProcessor::Patches::apart),
        pooling_(c.pooling),
        eps_(c.eps),
        input_proj_(w / "patch_embedder" / "input_proj", 3 * c.patch * c.patch, c.hidden),
        positions_(w.get("patch_embedder.position_embedding_table", {2, c.positions, c.hidden})),
        frequencies_(axial_frequencies(c)),
        embedding_projection_(projector / "embedding_projection", c.hidden, hidden) {
    const int64_t layers = c.c.integer_or("num_hidden_layers", 16, 1, 4096);
    for (int64_t i = 0; i < layers; ++i) layers_.emplace_back(w / "encoder" / "layers" / i, c);
    if (!c.c.boolean_or("standardize", false)) return;
    std_bias_ = w.get("std_bias", {c.hidden}).to(DType::f32);
    std_scale_ = w.get("std_scale", {c.hidden}).to(DType::f32);
  }

  Tensor encode(const ImageInput& input, Tensors* states) const override {
    check_patches(input, input_proj_.weight.size(1), positions_.size(1));
    const Tensor& at = input.positions;
    Tensor x = input_proj_((input.pixels - 0.5) * 2);
    for (int64_t axis = 0; axis < 2; ++axis) {
      x = x + embedding_rows(positions_.select(0, axis), at.select(1, axis));
    }
    keep(states, x);
    for (const Layer& layer : layers_) {
      x = layer(x, at, frequencies_);
      keep(states, x);
    }
    x = pooled(x, at) * std::sqrt(static_cast<double>(x.size(1)));
    if (std_bias_) x = (x - std_bias_) * std_scale_;
    return embedding_projection_(rms_norm(x, {x.size(1)}, {}, eps_));
  }

 private:
  /// The means of squares of patches: [patches, hidden] to [soft tokens, hidden].
  Tensor pooled(const Tensor& x, const Tensor& positions) const {
    const int64_t columns = max(positions.select(1, 0)).to(DType::i64).data<int64_t>()[0] + 1;
    const int64_t k = pooling_, rows = x.size(0) / columns;
    if (rows * columns != x.size(0) || rows % k != 0 || columns % k != 0) {
      fail("encode: ", x.size(0), " patches in ", columns, " columns are no image of squares of ",
           k, " x ", k, " patches");
    }
    const Tensor grid = x.reshape({rows / k, k, columns / k, k, x.size(1)});
    return mean(grid, {1, 3}).reshape({-1, x.size(1)});
  }

  int64_t pooling_;
  double eps_;
  nn::Linear input_proj_;
  Tensor positions_;  // [2, columns or rows, hidden]
  Tensor frequencies_;
  std::vector<Layer> layers_;
  Tensor std_bias_, std_scale_;
  nn::Linear embedding_projection_;
};

}  // namespace

std::unique_ptr<ImageEncoder> make_gemma4_vision(const Checkpoint& checkpoint, int64_t hidden) {
  const Json* config = checkpoint.config.find("vision_config");
  if (!config || !config->is_object()) return nullptr;
  for (const char* prefix : {"model", ""}) {
    const Weights w = *prefix ? checkpoint.weights / prefix : checkpoint.weights;
    const Weights tower = w / "vision_tower";
    if (!tower.contains("patch_embedder.input_proj.weight")) continue;
    const VisionConfig c(Config(*config, checkpoint.config.what() + ": vision_config"));
    return std::make_unique<Gemma4Vision>(checkpoint, tower, w / "embed_vision", c, hidden);
  }
  return nullptr;
}

}  // namespace tallow
