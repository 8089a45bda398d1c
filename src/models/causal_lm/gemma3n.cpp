// Gemma 3n: Gemma's blocks between several residual streams, of which a layer computes one and
// predicts the others (alternating updates, Baykal et al. 2023, arXiv 2301.13310), beside a
// low-rank path (Laurel, Menghani et al. 2024, arXiv 2411.07501); transformers' modeling_gemma3n.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/causal_lm/gemma.h"
#include "models/registry.h"
#include "models/states.h"
#include "tallow/error.h"

namespace tallow {
namespace {

struct Streams {
  int64_t count, active;
  bool scaled;  ///< what layers' inputs are gated by is scaled
};

/// The streams [tokens, count, hidden]: `predict` says what the layer will make of them, `correct`
/// adds what it did make of the active one, by as much as each should follow.
struct AltUp {
  nn::RmsNorm router_norm;
  nn::Linear modality_router, prediction_coefs, correction_coefs;
  Tensor correct_output_scale;
  Streams streams;

  AltUp(const Weights& w, const GemmaConfig& c, const Streams& s)
      : router_norm(w / "router_norm", c.hidden, c.eps),
        modality_router(w / "modality_router", c.hidden, s.count),
        prediction_coefs(w / "prediction_coefs", s.count, s.count * s.count),
        correction_coefs(w / "correction_coefs", s.count, s.count),
        correct_output_scale(w.get("correct_output_scale", {c.hidden}).to(DType::f32)),
        streams(s) {}

  Tensor modalities(const Tensor& x) const {
    return tanh(modality_router(router_norm(x) * (1 / static_cast<double>(x.size(1)))));
  }
  Tensor predict(const Tensor& x) const {
    const Tensor coefs = prediction_coefs(modalities(x.select(1, streams.active)))
                             .reshape({-1, streams.count, streams.count});
    return x + matmul(coefs, x);
  }
  Tensor correct(const Tensor& predictions, const Tensor& activated) const {
    const Tensor coefs = correction_coefs(modalities(activated)) + 1.0;
    const Tensor innovation = activated - predictions.select(1, streams.active);
    return predictions + innovation.unsqueeze(1) * coefs.unsqueeze(-1);
  }

  template <class V>
  void visit(V&& v) {
    v("router_norm", router_norm);
    v("modality_router", modality_router);
    v("prediction_coefs", prediction_coefs);
    v("correction_coefs", correction_coefs);
  }
};

struct Laurel {
  nn::Linear linear_left, linear_right;
  nn::RmsNorm post_laurel_norm;

  Laurel(const Weights& w, const GemmaConfig& c)
      : post_laurel_norm(w / "post_laurel_norm", c.hidden, c.eps) {
    const int64_t rank = (w / "linear_left").get_any("weight").size(0);
    linear_left = nn::Linear(w / "linear_left", c.hidden, rank);
    linear_right = nn::Linear(w / "linear_right", rank, c.hidden);
  }
  Tensor operator()(const Tensor& x) const {
    return x + post_laurel_norm(linear_right(linear_left(x)));
  }
  template <class V>
  void visit(V&& v) {
    v("linear_left", linear_left);
    v("linear_right", linear_right);
    v("post_laurel_norm", post_laurel_norm);
  }
};

struct Layer {
  AltUp altup;
  Laurel laurel;
  GemmaAttention self_attn;
  GemmaMlp mlp;
  nn::RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm,
      post_feedforward_layernorm;
  GemmaLayerInput layer_input;

  Layer(const Weights& w, const GemmaConfig& c, const Streams& streams, size_t index)
      : altup(w / "altup", c, streams),
        laurel(w / "laurel", c),
        self_attn(w / "self_attn", c, index),
        mlp(w / "mlp", c, c.layers[index].intermediate),
        input_layernorm(w / "input_layernorm", c.hidden, c.eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden, c.eps),
        pre_feedforward_layernorm(w / "pre_feedforward_layernorm", c.hidden, c.eps),
        post_feedforward_layernorm(w / "post_feedforward_layernorm", c.hidden, c.eps),
        layer_input(w, c) {}

  /// x [tokens, streams, hidden] of the pass `all` to the rows of `batch`.
  Tensor operator()(const Tensor& x, const Batch& all, const Batch& batch, const Tensor& input,
                    const nn::RotaryEmbedding& rotary, KvCache& cache) const {
    const int64_t active = altup.streams.active;
    Tensor predictions = altup.predict(x);
    Tensor normed = input_layernorm(predictions.select(1, active).contiguous());
    Tensor rows = normed;
    if (&all != &batch) {
      rows = wanted_rows(normed, all);
      predictions = wanted_rows(predictions, all);
    }
    const Tensor y = post_attention_layernorm(self_attn(normed, all, rows, batch, rotary, cache));
    const Tensor attended = (predictions.select(1, active) + y + laurel(rows)) * std::sqrt(0.5);
    const Tensor made =
        attended + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(attended)));

    const Tensor corrected = altup.correct(predictions, made);
    Tensor first = corrected.select(1, active).contiguous();
    if (altup.streams.scaled) first = first * altup.correct_output_scale;
    const Tensor added = layer_input(first, input).unsqueeze(1);
    const int64_t others = altup.streams.count - 1;
    return cat({corrected.narrow(1, 0, 1), corrected.narrow(1, 1, others) + added}, 1);
  }

  template <class V>
  void visit(V&& v) {
    v("altup", altup);
    v("laurel", laurel);
    v("self_attn", self_attn);
    v("mlp", mlp);
    v("input_layernorm", input_layernorm);
    v("post_attention_layernorm", post_attention_layernorm);
    v("pre_feedforward_layernorm", pre_feedforward_layernorm);
    v("post_feedforward_layernorm", post_feedforward_layernorm);
    v("layer_input", layer_input);
  }
};

Tensor magnitude(const Tensor& x) { return mean(x * x, {-1}, true); }

/// Matrices one by one as in folders, or stacked as in GGUF files.
Tensors square_matrices(const Weights& w, int64_t count, int64_t hidden) {
  Tensors result;
  const Tensor all = w.find("weight", {count, hidden, hidden});
  for (int64_t i = 0; i < count; ++i) {
    result.push_back(all ? all.select(0, i) : (w / i).get("weight", {hidden, hidden}));
  }
  return result;
}

class Gemma3nForCausalLM : public GemmaModel {
 public:
  Gemma3nForCausalLM(const Checkpoint& checkpoint, const GemmaConfig& config,
                     const Streams& streams, const std::vector<std::optional<double>>& deviations)
      : GemmaModel(checkpoint, config),
        projections_(
            square_matrices(c_.weights / "altup_projections", streams.count - 1, c_.hidden)),
        unembed_projections_(square_matrices(c_.weights / "altup_unembed_projections",
                                             streams.count - 1, c_.hidden)) {
    for (size_t i = 0; i < c_.layers.size(); ++i) {
      layers_.emplace_back(c_.weights / "layers" / static_cast<int64_t>(i), c_, streams, i);
      layers_.back().mlp.deviations = deviations[i];
    }
    count(nn::parameters(layers_));
  }

  Tensor decode(Tensor x, Tensor inputs, const Batch& batch, KvCache& cache) const override {
    x = streams_of(x);
    const GemmaPass all(batch, c_);
    const bool fewer = batch.logit_rows.numel() < batch.tokens.numel();
    const GemmaPass wanted = fewer ? all.wanted() : all;
    const auto turn = static_cast<size_t>(c_.first_reader() - 1);
    const auto pass = [&](bool last) -> const GemmaPass& { return fewer && last ? wanted : all; };
    for (size_t i = 0; i < layers_.size(); ++i) {
      const GemmaLayerConfig& layer = c_.layers[i];
      keep(batch.hidden_states, x);
      if (fewer && i == turn) inputs = wanted_rows(inputs, batch);
      x = layers_[i](x, pass(i > turn).of(layer), pass(i >= turn).of(layer),
                     inputs.select(1, static_cast<int64_t>(i)), rotary(i), cache);
    }
    return norm_(joined(x));
  }

 private:
  /// y as large as `like`, by the root mean square of each token.
  static Tensor as_large_as(const Tensor& y, const Tensor& like) {
    return y * sqrt(magnitude(like) / clamp(magnitude(y), 1e-5));
  }
  Tensor streams_of(const Tensor& x) const {
    Tensors all{x};
    for (const Tensor& w : projections_) all.push_back(as_large_as(linear(x, w), x));
    return stack(all, 1);
  }
  Tensor joined(const Tensor& x) const {
    const Tensor first = x.select(1, 0).contiguous();
    Tensor total = first;
    for (size_t i = 0; i < unembed_projections_.size(); ++i) {
      const Tensor stream = x.select(1, static_cast<int64_t>(i) + 1).contiguous();
      total = total + as_large_as(linear(stream, unembed_projections_[i]), first);
    }
    return total / static_cast<double>(unembed_projections_.size() + 1);
  }

  std::vector<Layer> layers_;
  Tensors projections_, unembed_projections_;
};

/// The standard normal distribution's quantile, by Newton's method on its cumulative.
double normal_quantile(double p) {
  double x = 0;
  for (int i = 0; i < 100; ++i) {
    const double error = std::erfc(-x / std::sqrt(2.0)) / 2 - p;
    const double slope = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    x -= std::clamp(error / std::max(slope, 1e-12), -1.0, 1.0);
  }
  return x;
}

}  // namespace

std::vector<std::optional<double>> gemma3n_deviations(const Config& c, size_t layers) {
  std::vector<std::optional<double>> result(layers);
  const bool ready = c.has("activation_sparsity_scale");
  const char* key = ready ? "activation_sparsity_scale" : "activation_sparsity_pattern";
  const Json* list = c.find(key);
  for (size_t i = 0; !list && layers > 10 && i < 10; ++i) result[i] = normal_quantile(0.95);
  if (!list) return result;
  if (list->is_array() && list->items().size() != layers) {
    fail(c.what(), ": ", key, " must be a number or a list of ", layers);
  }
  for (size_t i = 0; i < layers; ++i) {
    const Json& item = list->is_array() ? list->items()[i] : *list;
    if (!item.is_number() || (!ready && !(item.number() >= 0 && item.number() < 1))) {
      fail(c.what(), ": ", key, ": ", item.dump(), ready ? " is no number" : " is not in [0, 1)");
    }
    const double value = item.number();
    if (ready ? std::isfinite(value) : value > 0) {
      result[i] = ready ? value : normal_quantile(value);
    }
  }
  return result;
}

std::unique_ptr<CausalLM> make_gemma3n(const Checkpoint& checkpoint) {
  const GemmaConfig c = gemma_config(checkpoint);
  const int64_t count = c.text.integer_or("altup_num_inputs", 4, 2, 64);
  const Streams streams{.count = count,
                        .active = c.text.integer_or("altup_active_idx", 0, 0, count - 1),
                        .scaled = c.text.boolean_or("altup_correct_scale", true)};
  return std::make_unique<Gemma3nForCausalLM>(checkpoint, c, streams,
                                              gemma3n_deviations(c.text, c.layers.size()));
}

}  // namespace tallow
