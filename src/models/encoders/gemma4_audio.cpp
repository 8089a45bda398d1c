// Gemma 4's audio tower: a conformer (Gulati et al. 2020, arXiv 2005.08100; Zhang et al. 2023,
// arXiv 2303.01037) as in transformers' modeling_gemma4, on one clip without padding.
#include "models/encoders/gemma4_audio.h"

#include <cmath>
#include <mutex>
#include <numbers>
#include <vector>

#include "models/causal_lm/gemma.h"
#include "models/encoders/gemma4_mel.h"
#include "models/encoders/processor_config.h"
#include "tallow/error.h"
#include "tallow/nn.h"

namespace tallow {
namespace {

struct TowerConfig {
  explicit TowerConfig(const Config& c)
      : hidden(c.integer_or("hidden_size", 1024, 1, 1 << 16)),
        layers(c.integer_or("num_hidden_layers", 12, 1, 1 << 12)),
        heads(c.integer_or("num_attention_heads", 8, 1, 1 << 12)),
        kernel(c.integer_or("conv_kernel_size", 5, 1, 1 << 10)),
        chunk(c.integer_or("attention_chunk_size", 12, 1, 1 << 12)),
        left(c.integer_or("attention_context_left", 13, 2, 1 << 12)),
        right(c.integer_or("attention_context_right", 0, 0, 1 << 12)),
        output(c.integer_or("output_proj_dims", 1536, 1, 1 << 16)),
        residual(c.number_or("residual_weight", 0.5)),
        cap(c.number_or("attention_logit_cap", 50)),
        limit(c.number_or("gradient_clipping", 1e10)),
        eps(c.number_or("rms_norm_eps", 1e-6)),
        clipped(c.boolean_or("use_clipped_linears", true)),
        activation(c.string_or("hidden_act", "silu")) {
    if (const Json* sizes = c.find("subsampling_conv_channels")) {
      if (!sizes->is_array() || sizes->items().size() != 2) {
        fail(c.what(), ": subsampling_conv_channels must be a list of 2 sizes");
      }
      for (size_t i = 0; i < 2; ++i) channels[i] = sizes->items()[i].integer();
    }
    if (hidden % heads != 0 || hidden % 2 != 0) {
      fail(c.what(), ": hidden_size ", hidden, " does not divide into ", heads, " heads");
    }
    if (!(cap > 0)) fail(c.what(), ": attention_logit_cap ", cap, " is not positive");
    if (c.number_or("attention_invalid_logits_value", -1e9) > -1e3) {
      fail(c.what(), ": attention_invalid_logits_value must be below -1000");
    }
  }

  /// The keys that a query sees: so many before its own, and after. The bounds of the configuration
  /// are exclusive.
  int64_t before() const { return left - 2; }
  int64_t after() const { return std::max<int64_t>(right - 1, 0); }
  /// For each distance from before() to -after(), its sines and cosines [distances, hidden]. The
  /// positions begin where half of a window of keys ends; distances before them have none.
  Tensor sinusoids() const {
    const int64_t half = hidden / 2, shift = (chunk + left - 1 + right) / 2 - (left - 1);
    const Tensor table = Tensor::zeros({before() + after() + 1, hidden});
    const double step = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
    for (int64_t row = 0; row < table.size(0); ++row) {
      const auto position = static_cast<double>(shift + before() - row);
      for (int64_t i = 0; i < half && position >= 0; ++i) {
        const double angle = position * std::exp(-step * static_cast<double>(i));
        auto* out = table.data<float>() + row * hidden;
        out[i] = static_cast<float>(std::sin(angle));
        out[half + i] = static_cast<float>(std::cos(angle));
      }
    }
    return table;
  }

  int64_t hidden, layers, heads, kernel, chunk, left, right, output;
  int64_t channels[2] = {128, 32};
  double residual, cap, limit, eps;
  bool clipped;
  std::string activation;
};

Tensor clipped(const Tensor& x, double low, double high) {
  return std::isinf(low) && std::isinf(high) ? x : hardtanh(x, low, high);
}

/// A linear layer whose input and output stay within bounds that the checkpoint holds.
struct ClippedLinear {
  nn::Linear linear;
  double bounds[4] = {-INFINITY, INFINITY, -INFINITY, INFINITY};

  /// Nothing comes out of it that is larger than `limit`.
  ClippedLinear(const Weights& w, const TowerConfig& c, int64_t in, int64_t out,
                double limit = INFINITY)
      : linear(w / "linear", in, out) {
    constexpr const char* kNames[] = {"input_min", "input_max", "output_min", "output_max"};
    for (size_t i = 0; c.clipped && i < 4; ++i) bounds[i] = w.get(kNames[i], {}).item();
    for (size_t i = 2; i < 4; ++i) bounds[i] = std::clamp(bounds[i], -limit, limit);
  }
  Tensor operator()(const Tensor& x) const {
    return clipped(linear(clipped(x, bounds[0], bounds[1])), bounds[2], bounds[3]);
  }
};

struct FeedForward {
  ClippedLinear ffw_layer_1, ffw_layer_2;
  nn::RmsNorm pre_layer_norm, post_layer_norm;
  const TowerConfig* c;

  FeedForward(const Weights& w, const TowerConfig& config)
      : ffw_layer_1(w / "ffw_layer_1", config, config.hidden, 4 * config.hidden),
        ffw_layer_2(w / "ffw_layer_2", config, 4 * config.hidden, config.hidden, config.limit),
        pre_layer_norm(w / "pre_layer_norm", config.hidden, 1e-6),
        post_layer_norm(w / "post_layer_norm", config.hidden, 1e-6),
        c(&config) {
    post_layer_norm.weight = post_layer_norm.weight * c->residual;
  }
  Tensor operator()(const Tensor& x) const {
    const Tensor y = ffw_layer_1(pre_layer_norm(clipped(x, -c->limit, c->limit)));
    return x + post_layer_norm(ffw_layer_2(activate(c->activation, y)));
  }
};

struct LightConv {
  ClippedLinear linear_start, linear_end;
  Tensor depthwise;  // [kernel, hidden]
  nn::RmsNorm pre_layer_norm, conv_norm;
  const TowerConfig* c;

  LightConv(const Weights& w, const TowerConfig& config)
      : linear_start(w / "linear_start", config, config.hidden, 2 * config.hidden),
        linear_end(w / "linear_end", config, config.hidden, config.hidden),
        depthwise(w.get("depthwise_conv1d.weight", {config.hidden, 1, config.kernel})
                      .to(DType::f32)
                      .reshape({config.hidden, config.kernel})
                      .transpose(0, 1)
                      .contiguous()),
        pre_layer_norm(w / "pre_layer_norm", config.hidden, config.eps),
        conv_norm(w / "conv_norm", config.hidden, config.eps),
        c(&config) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor past = pad(glu(linear_start(pre_layer_norm(x))), {0, 0, c->kernel - 1, 0});
    Tensor y = past.narrow(0, 0, x.size(0)) * depthwise[0];
    for (int64_t k = 1; k < c->kernel; ++k) {
      y = addcmul(y, past.narrow(0, k, x.size(0)), depthwise[k]);
    }
    y = conv_norm(clipped(y, -c->limit, c->limit));
    return x + linear_end(activate(c->activation, y));
  }
};

/// What queries see, cut into blocks that share a window of keys: keys `before` to `after` their
/// own.
struct Band {
  int64_t tokens, chunk, before, after, blocks, window;
  Tensor hidden;  // f32 [blocks, chunk, window]: 0, or -inf where a query does not see a key

  Band(const TowerConfig& c, int64_t count)
      : tokens(count),
        chunk(std::min(c.chunk, count)),
        before(std::min(c.before(), count - 1)),
        after(std::min(c.after(), count - 1)),
        blocks((count + chunk - 1) / chunk),
        window(chunk + before + after),
        hidden(Tensor::empty({blocks, chunk, window})) {
    auto* out = hidden.data<float>();
    for (int64_t query = 0; query < blocks * chunk; ++query) {
      const int64_t first = query - query % chunk - before;
      for (int64_t key = first; key < first + window; ++key) {
        const bool near = key >= query - before && key <= query + after;
        *out++ = near && key >= 0 && key < tokens ? 0 : -INFINITY;
      }
    }
  }
  /// [heads, blocks, dim, window] of keys or values [tokens, heads, dim].
  Tensor windows(const Tensor& x) const {
    const int64_t end = blocks * chunk - tokens + after;
    return pad(x, {0, 0, 0, 0, before, end}).unfold(0, window, chunk).permute({1, 0, 2, 3});
  }
};

/// Attention to the keys of a band, with a bias by the distance: Dai et al. 2019 (arXiv
/// 1901.02860).
struct RelativeAttention {
  ClippedLinear q_proj, k_proj, v_proj, post;
  nn::Linear relative_k_proj;
  Tensor scale;  // of queries [dim]
  int64_t heads, dim;
  double cap;

  RelativeAttention(const Weights& w, const TowerConfig& c)
      : q_proj(w / "q_proj", c, c.hidden, c.hidden),
        k_proj(w / "k_proj", c, c.hidden, c.hidden),
        v_proj(w / "v_proj", c, c.hidden, c.hidden),
        post(w / "post", c, c.hidden, c.hidden, c.limit),
        relative_k_proj(w / "relative_k_proj", c.hidden, c.hidden),
        heads(c.heads),
        dim(c.hidden / c.heads),
        cap(c.cap) {
    const double by = kKeyScale / (std::sqrt(static_cast<double>(dim)) * std::numbers::ln2 * cap);
    scale = softplus(w.get("per_dim_scale", {dim}).to(DType::f32)) * by;
  }

  /// [heads, dim, distances]: what a query is multiplied with at each distance.
  Tensor biases(const Tensor& distances) const {
    return (relative_k_proj(distances) / kKeyScale).reshape({-1, heads, dim}).permute({1, 2, 0});
  }

  Tensor operator()(const Tensor& x, const Tensor& all_biases, const TowerConfig& c,
                    const Band& band) const {
    const auto split = [&](const Tensor& y) { return y.reshape({-1, heads, dim}); };
    const int64_t rows = band.blocks * band.chunk, distances = band.before + band.after + 1;
    const Tensor queries = pad(split(q_proj(x)) * scale, {0, 0, 0, 0, 0, rows - band.tokens})
                               .permute({1, 0, 2})
                               .contiguous();
    const Tensor keys = band.windows(split(k_proj(x))), values = band.windows(split(v_proj(x)));
    const Shape blocks = {heads, band.blocks, band.chunk, dim};
    const Tensor bias = matmul(queries, all_biases.narrow(2, c.before() - band.before, distances));
    // In row i the bias of key j is at j - i: where that is outside, the key is hidden.
    const Tensor shifted = as_strided(bias, {heads, band.blocks, band.chunk, band.window},
                                      {rows * distances, band.chunk * distances, distances - 1, 1});
    const Tensor scores = tanh(matmul(queries.view(blocks), keys) + shifted) * cap + band.hidden;
    const Tensor seen = matmul(softmax(scores, -1), values.transpose(2, 3));
    const Tensor y = seen.permute({1, 2, 0, 3}).reshape({rows, heads * dim});
    return post(y.narrow(0, 0, band.tokens));
  }

  // softplus(1), to the base 2.
  static constexpr double kKeyScale = 1.8946361239720115;
};

struct Layer {
  FeedForward feed_forward1, feed_forward2;
  RelativeAttention self_attn;
  LightConv lconv1d;
  nn::RmsNorm norm_pre_attn, norm_post_attn, norm_out;
  const TowerConfig* c;

  Layer(const Weights& w, const TowerConfig& config)
      : feed_forward1(w / "feed_forward1", config),
        feed_forward2(w / "feed_forward2", config),
        self_attn(w / "self_attn", config),
        lconv1d(w / "lconv1d", config),
        norm_pre_attn(w / "norm_pre_attn", config.hidden, 1e-6),
        norm_post_attn(w / "norm_post_attn", config.hidden, 1e-6),
        norm_out(w / "norm_out", config.hidden, 1e-6),
        c(&config) {}

  Tensor operator()(Tensor x, const Tensor& biases, const Band& band) const {
    x = feed_forward1(x);
    const Tensor seen = norm_pre_attn(clipped(x, -c->limit, c->limit));
    x = lconv1d(x + norm_post_attn(self_attn(seen, biases, *c, band)));
    return norm_out(clipped(feed_forward2(x), -c->limit, c->limit));
  }
};

/// A convolution that halves both sides, a norm over the channels, relu: [frames, mels, in] to
/// [frames / 2, mels / 2, out]. Channels stay last, so that the convolution is a product with
/// patches, and the norm is of rows.
struct Subsampling {
  Tensor conv, norm;  // [out, 9 in] and [out]
  double eps;

  Subsampling(const Weights& w, const TowerConfig& c, int64_t in, int64_t out)
      : conv(w.get("conv.weight", {out, in, 3, 3})
                 .to(DType::f32)
                 .permute({0, 2, 3, 1})
                 .reshape({out, 9 * in})),
        norm(w.get("norm.weight", {out}).to(DType::f32)),
        eps(c.eps) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor patches =
        pad(x, {0, 0, 1, 1, 1, 1}).unfold(0, 3, 2).unfold(1, 3, 2).permute({0, 1, 3, 4, 2});
    const Tensor y = linear(patches.reshape({-1, conv.size(1)}), conv);
    return relu(layer_norm(y, norm.shape(), norm, {}, eps))
        .view({patches.size(0), patches.size(1), -1});
  }
};

class Gemma4Audio : public AudioEncoder {
 public:
  Gemma4Audio(const Config& config, const Config& extractor, const Weights& tower,
              const Weights& projector, int64_t hidden)
      : c_(config),
        mel_(extractor),
        subsampling_{Subsampling(tower / "subsample_conv_projection.layer0", c_, 1, c_.channels[0]),
                     Subsampling(tower / "subsample_conv_projection.layer1", c_, c_.channels[0],
                                 c_.channels[1])},
        input_proj_(tower / "subsample_conv_projection.input_proj_linear",
                    c_.channels[0] / 4 * c_.channels[1], c_.hidden),
        output_proj_(tower / "output_proj", c_.hidden, c_.output, nn::Linear::Bias::required),
        projection_(projector / "embedding_projection", c_.output, hidden) {
    for (int64_t i = 0; i < c_.layers; ++i) layers_.emplace_back(tower / "layers" / i, c_);
  }

  int64_t sample_rate() const override { return mel_.sample_rate(); }

  AudioInput prepare(const Tensor& samples) const override {
    const Tensor features = mel_(samples);
    return {features, (features.size(0) + 3) / 4};
  }

  Tensor encode(const AudioInput& input) const override {
    const Tensor& features = input.features;
    const int64_t quarter = c_.channels[0] / 4;
    if (features.dim() != 2 || features.size(0) < 1 || (features.size(1) + 3) / 4 != quarter) {
      fail("audio: features are ", to_string(features), "; the tower takes f32 [frames, ",
           4 * quarter, "]");
    }
    std::call_once(once_, [&] {
      for (const Layer& l : layers_) biases_.push_back(l.self_attn.biases(c_.sinusoids()));
    });
    Tensor x = input_proj_(flatten(subsampling_[1](subsampling_[0](features.unsqueeze(2))), 1));
    const Band band(c_, x.size(0));
    for (size_t i = 0; i < layers_.size(); ++i) x = layers_[i](x, biases_[i], band);
    return projection_(rms_norm(output_proj_(x), {c_.output}, {}, c_.eps));
  }

 private:
  TowerConfig c_;
  Gemma4Mel mel_;
  Subsampling subsampling_[2];
  nn::Linear input_proj_;
  std::vector<Layer> layers_;
  nn::Linear output_proj_, projection_;
  mutable std::once_flag once_;
  mutable std::vector<Tensor> biases_;  // of the layers' attention
};

}  // namespace

std::unique_ptr<AudioEncoder> make_gemma4_audio(const Checkpoint& checkpoint, int64_t hidden) {
  const Json* config = checkpoint.config.find("audio_config");
  if (!config || !config->is_object()) return nullptr;
  for (const char* prefix : {"model.", ""}) {
    const Weights tower = checkpoint.weights / str(prefix, "audio_tower");
    if (!tower.contains("output_proj.weight")) continue;
    return std::make_unique<Gemma4Audio>(
        Config(*config, checkpoint.config.what() + ": audio_config"),
        processor_config(checkpoint, "feature_extractor"), tower,
        checkpoint.weights / str(prefix, "embed_audio"), hidden);
  }
  return nullptr;
}

}  // namespace tallow
