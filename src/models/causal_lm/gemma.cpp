// Gemma 1 to 4: one decoder, whose switches gemma_config.cpp reads. Gemma Team, 2024 (arXiv
// 2403.08295, 2408.00118), 2025 (arXiv 2503.19786); transformers' modeling_gemma4.
#include "models/causal_lm/gemma.h"
#include "models/states.h"

#include <cmath>

namespace tallow {
namespace {

/// The router and its experts, of which each token takes `routes`.
struct Mixture {
  nn::Linear router;
  Tensor router_scale, expert_scale;  // of the router's input, and of each expert's weight
  Tensor gate_up_proj, down_proj;     // [experts, 2 intermediate, hidden] and its way back
  nn::RmsNorm dense_norm, in_norm, out_norm;
  int64_t routes = 0;
  double eps = 0;
  std::string activation;

  Mixture() = default;
  Mixture(const Weights& w, const GemmaConfig& c)
      : router(w / "router" / "proj", c.hidden, c.experts),
        router_scale(w.get("router.scale", {c.hidden}).to(DType::f32) /
                     std::sqrt(static_cast<double>(c.hidden))),
        expert_scale(w.get("router.per_expert_scale", {c.experts}).to(DType::f32)),
        gate_up_proj(
            w.get("experts.gate_up_proj", {c.experts, 2 * c.expert_intermediate, c.hidden})),
        down_proj(w.get("experts.down_proj", {c.experts, c.hidden, c.expert_intermediate})),
        dense_norm(w / "post_feedforward_layernorm_1", c.hidden, c.eps),
        in_norm(w / "pre_feedforward_layernorm_2", c.hidden, c.eps),
        out_norm(w / "post_feedforward_layernorm_2", c.hidden, c.eps),
        routes(c.routes),
        eps(c.eps),
        activation(c.activation) {}

  /// The experts on the residual x, beside the dense MLP's result.
  Tensor operator()(const Tensor& x, const Tensor& dense) const {
    const Tensor seen = rms_norm(x, router_scale.shape(), router_scale, eps);
    const auto [shares, chosen] = topk(softmax(router(seen), -1), routes);
    const Tensor weights = shares / sum(shares, {-1}, true) * take(expert_scale, chosen);

    const Tensor both = routed_linear(in_norm(x).unsqueeze(1), gate_up_proj, chosen);
    const int64_t width = down_proj.size(2);
    const Tensor gate = activate(activation, both.narrow(2, 0, width));
    const Tensor each = routed_linear(gate * both.narrow(2, width, width), down_proj, chosen);
    return dense_norm(dense) + out_norm(sum(each * weights.unsqueeze(-1), {1}));
  }

  template <class V>
  void visit(V&& v) {
    v("router", router);
    v("gate_up_proj", gate_up_proj);
    v("down_proj", down_proj);
  }
};

struct Layer {
  GemmaAttention self_attn;
  GemmaMlp mlp;
  nn::RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm,
      post_feedforward_layernorm;
  Mixture mixture;
  GemmaLayerInput layer_input;
  double scalar = 1;

  Layer(const Weights& w, const GemmaConfig& c, size_t index)
      : self_attn(w / "self_attn", c, index), mlp(w / "mlp", c, c.layers[index].intermediate) {
    const auto norm = [&](const char* name) {
      return nn::RmsNorm(w / name, c.hidden, c.eps, c.norm_offset);
    };
    input_layernorm = norm("input_layernorm");
    // Without a sandwich the norm after attention is the one before the MLP.
    pre_feedforward_layernorm =
        norm(c.sandwich ? "pre_feedforward_layernorm" : "post_attention_layernorm");
    if (c.sandwich) {
      post_attention_layernorm = norm("post_attention_layernorm");
      post_feedforward_layernorm = norm("post_feedforward_layernorm");
    }
    if (c.experts > 0) mixture = Mixture(w, c);
    if (c.per_layer_dim > 0) layer_input = GemmaLayerInput(w, c);
    if (c.layer_scalars) scalar = w.get("layer_scalar", {1}).to(DType::f32).item();
  }

  /// x [tokens, hidden] of the pass `all` to the rows of `batch`: the same, or those wanted.
  Tensor operator()(Tensor x, const Batch& all, const Batch& batch, const Tensor& input,
                    const nn::RotaryEmbedding& rotary, KvCache& cache) const {
    const Tensor normed = input_layernorm(x);
    const bool same = &all == &batch;
    x = same ? x : wanted_rows(x, all);
    Tensor y =
        self_attn(normed, all, same ? normed : wanted_rows(normed, all), batch, rotary, cache);
    y = mlp(pre_feedforward_layernorm.add(x, after(post_attention_layernorm, y)));
    if (mixture.routes > 0) y = mixture(x, y);
    x = x + after(post_feedforward_layernorm, y);
    if (input) x = x + layer_input(x, input);
    return scalar == 1 ? x : x * scalar;
  }

  static Tensor after(const nn::RmsNorm& norm, const Tensor& x) {
    return norm.weight ? norm(x) : x;
  }

  template <class V>
  void visit(V&& v) {
    v("self_attn", self_attn);
    v("mlp", mlp);
    v("input_layernorm", input_layernorm);
    v("post_attention_layernorm", post_attention_layernorm);
    v("pre_feedforward_layernorm", pre_feedforward_layernorm);
    v("post_feedforward_layernorm", post_feedforward_layernorm);
    v("mixture", mixture);
    v("layer_input", layer_input);
  }
};

class GemmaForCausalLM : public GemmaModel {
 public:
  GemmaForCausalLM(const Checkpoint& checkpoint, GemmaConfig config, GemmaTowers towers)
      : GemmaModel(checkpoint, std::move(config), std::move(towers)) {
    for (size_t i = 0; i < c_.layers.size(); ++i) {
      layers_.emplace_back(c_.weights / "layers" / static_cast<int64_t>(i), c_, i);
    }
    count(nn::parameters(layers_));
  }

  Tensor decode(Tensor x, Tensor inputs, const Batch& batch, KvCache& cache) const override {
    // From the last keys and values on no token sees another: only the wanted rows go on.
    const GemmaPass all(batch, c_);
    const bool fewer = batch.logit_rows.numel() < batch.tokens.numel();
    const GemmaPass wanted = fewer ? all.wanted() : all;
    const auto turn = static_cast<size_t>(c_.first_reader() - 1);
    const auto pass = [&](bool last) -> const GemmaPass& { return fewer && last ? wanted : all; };
    for (size_t i = 0; i < layers_.size(); ++i) {
      const GemmaLayerConfig& layer = c_.layers[i];
      keep(batch.hidden_states, x);
      if (fewer && i == turn && inputs) inputs = wanted_rows(inputs, batch);
      x = layers_[i](x, pass(i > turn).of(layer), pass(i >= turn).of(layer),
                     inputs ? inputs.select(1, static_cast<int64_t>(i)) : Tensor(), rotary(i),
                     cache);
    }
    return norm_(x);
  }

 private:
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<GemmaModel> make_gemma(const Checkpoint& checkpoint, GemmaConfig config,
                                       GemmaTowers towers) {
  return std::make_unique<GemmaForCausalLM>(checkpoint, std::move(config), std::move(towers));
}

}  // namespace tallow
