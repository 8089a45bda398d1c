// What a layer of Gemma 4's audio tower does.
#include "models/encoders/gemma4_conformer.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "models/causal_lm/gemma.h"
#include "models/encoders/clipped_linear.h"
#include "models/encoders/gemma4_band.h"
#include "models/states.h"
#include "tallow/encoders.h"
#include "tallow/error.h"

namespace tallow {
namespace {

struct FeedForward {
  ClippedLinear ffw_layer_1, ffw_layer_2;
  nn::RmsNorm pre_layer_norm, post_layer_norm;
  const ConformerConfig* c;

  FeedForward(const Weights& w, const ConformerConfig& config)
      : ffw_layer_1(w / "ffw_layer_1", config.clipped, config.hidden, 4 * config.hidden),
        ffw_layer_2(w / "ffw_layer_2", config.clipped, 4 * config.hidden, config.hidden,
                    config.limit),
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
  const ConformerConfig* c;

  LightConv(const Weights& w, const ConformerConfig& config)
      : linear_start(w / "linear_start", config.clipped, config.hidden, 2 * config.hidden),
        linear_end(w / "linear_end", config.clipped, config.hidden, config.hidden),
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

struct Layer {
  FeedForward feed_forward1, feed_forward2;
  BandAttention self_attn;
  LightConv lconv1d;
  nn::RmsNorm norm_pre_attn, norm_post_attn, norm_out;
  const ConformerConfig* c;

  Layer(const Weights& w, const ConformerConfig& config)
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
    x = lconv1d(x + norm_post_attn(self_attn(seen, biases, band)));
    return norm_out(clipped(feed_forward2(x), -c->limit, c->limit));
  }
};

}  // namespace

ConformerConfig::ConformerConfig(const Config& c)
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
    if (std::min(channels[0], channels[1]) < 1 || std::max(channels[0], channels[1]) > 1 << 16) {
      fail(c.what(), ": subsampling_conv_channels ", sizes->dump(), " are no sizes");
    }
  }
  if (hidden % heads != 0 || hidden % 2 != 0) {
    fail(c.what(), ": hidden_size ", hidden, " does not divide into ", heads, " heads");
  }
  if (!(cap > 0)) fail(c.what(), ": attention_logit_cap ", cap, " is not positive");
  if (!(limit > 0)) fail(c.what(), ": gradient_clipping ", limit, " is not positive");
  if (c.number_or("attention_invalid_logits_value", -1e9) > -1e3) {
    fail(c.what(), ": attention_invalid_logits_value must be below -1000");
  }
}

struct Conformer::State {
  ConformerConfig c;
  std::vector<Layer> layers;
  std::once_flag once;
  std::vector<Tensor> biases;  // of the layers' attention, made when first heard

  explicit State(const ConformerConfig& config) : c(config) {}
};

Conformer::Conformer(const Weights& layers, const ConformerConfig& config)
    : state_(std::make_unique<State>(config)) {
  for (int64_t i = 0; i < config.layers; ++i) state_->layers.emplace_back(layers / i, state_->c);
}

Conformer::~Conformer() = default;

Tensor Conformer::operator()(Tensor x, Tensors* states) const {
  State& s = *state_;
  std::call_once(s.once, [&] {
    const Tensor distances = distance_table(s.c);
    for (const Layer& layer : s.layers) s.biases.push_back(layer.self_attn.biases(distances));
  });
  const Band band(s.c, x.size(0));
  keep(states, x);
  for (size_t i = 0; i < s.layers.size(); ++i) {
    x = s.layers[i](x, s.biases[i], band);
    keep(states, x);
  }
  return x;
}

}  // namespace tallow
