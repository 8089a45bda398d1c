// What the decoders of the Gemma family share: their settings, and the blocks of a layer. Gemma 1
// to 4 are one decoder (gemma.cpp), which differs in what GemmaConfig says; Gemma 3n (gemma3n.cpp)
// puts the blocks together in its own way.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tallow/models.h"
#include "tallow/nn.h"

namespace tallow {

/// What a layer does not share with all others.
struct GemmaLayerConfig {
  bool sliding = false;
  int64_t head_dim = 0, kv_heads = 0, intermediate = 0;
  int64_t source = 0;  ///< the layer whose keys and values it reads: itself, or an earlier one
  bool writes = true;  ///< has keys and values of its own
  bool value_is_key = false;  ///< there are no weights of values
};

struct GemmaConfig {
  /// The text model's settings, which are a section of those of a model with towers.
  explicit GemmaConfig(const Checkpoint& checkpoint);

  Config text;
  Weights weights;  ///< below which are embed_tokens, layers and norm
  int64_t vocab, hidden, heads, positions, pad;
  double eps;
  std::string activation = "gelu_pytorch_tanh";
  nn::Linear::Bias bias;
  double norm_offset = 1;  ///< what norms' weights were stored less
  bool sandwich = true;    ///< norms after attention and MLP, too
  bool qk_norm = true, v_norm = false;
  double attention_scale = 1, attention_cap = 0, logit_cap = 0;
  int64_t window = 0;     ///< how many tokens back a sliding layer sees, its own included
  bool sees_all = false;  ///< every token sees all of its sequence
  /// Whether Batch::visible counts in layers that slide, and in the others.
  bool sliding_sees_ahead = false, full_sees_ahead = false;
  int64_t per_layer_dim = 0;  ///< of the inputs that each layer has of its own; 0 for none
  int64_t experts = 0, routes = 0, expert_intermediate = 0;
  bool layer_scalars = false;
  Config sliding_rope, full_rope;  ///< as RotaryEmbedding reads them
  std::vector<GemmaLayerConfig> layers;

  /// Which layers slide: layer_types, or every layer but each `period`th.
  void read_layers(int64_t period);
  /// The last `count` layers read the keys and values of the last layer before them of their kind;
  /// where that is all layers, those of another model.
  void share_keys(int64_t count);
  /// Where rope_parameters are missing: the bases of the angles.
  void read_rope(double sliding_theta, double full_theta);
  /// The layer from which on no keys and values are written.
  int64_t first_reader() const;
};

/// As the architecture that the checkpoint names reads its settings.
GemmaConfig gemma_config(const Checkpoint& checkpoint);

/// How sparse each of Gemma 3n's MLPs is: from the part of features that are off, or from what it
/// comes to in deviations above the mean, which GGUF says.
std::vector<std::optional<double>> gemma3n_deviations(const Config& c, size_t layers);

struct GemmaAttention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  nn::RmsNorm q_norm, k_norm;
  GemmaLayerConfig layer;
  int64_t heads, index;
  double eps;
  bool v_norm;
  AttentionOptions options;

  GemmaAttention(const Weights& w, const GemmaConfig& c, size_t index);
  /// Writes the keys and values of x [tokens, hidden] at `all`; returns attention for `rows` of x,
  /// which `batch` describes.
  Tensor operator()(const Tensor& x, const Batch& all, const Tensor& rows, const Batch& batch,
                    const nn::RotaryEmbedding& rotary, KvCache& cache) const;
  template <class V>
  void visit(V&& v) {
    v("q_proj", q_proj);
    v("k_proj", k_proj);
    v("v_proj", v_proj);
    v("o_proj", o_proj);
    v("q_norm", q_norm);
    v("k_norm", k_norm);
  }

 private:
  void write(const Tensor& x, const Batch& batch, const nn::RotaryEmbedding& rotary,
             KvCache& cache) const;
};

/// An activation by its name in configurations.
Tensor activate(const std::string& name, const Tensor& x);

struct GemmaMlp {
  nn::Linear gate_proj, up_proj, down_proj;
  std::string activation;
  /// Gemma 3n: the gate's features less their mean and so many of their deviations, not below 0.
  std::optional<double> deviations;

  GemmaMlp(const Weights& w, const GemmaConfig& c, int64_t intermediate);
  Tensor operator()(const Tensor& x) const;
  template <class V>
  void visit(V&& v) {
    v("gate_proj", gate_proj);
    v("up_proj", up_proj);
    v("down_proj", down_proj);
  }
};

/// The inputs that each layer has of its own: rows of a table for the tokens' ids, and a projection
/// of their embeddings.
struct GemmaLayerInputs {
  nn::Embedding table;  // [vocab, layers * dim]: read by row, where it is mapped
  nn::Linear projection;
  nn::RmsNorm norm;
  int64_t layers = 0, dim = 0, pad = 0;

  GemmaLayerInputs() = default;
  explicit GemmaLayerInputs(const GemmaConfig& c);
  /// [tokens, layers, dim] for ids [tokens] and their embeddings x [tokens, hidden].
  Tensor operator()(const Tensor& ids, const Tensor& x) const;
};

/// How a layer takes its input in.
struct GemmaLayerInput {
  nn::Linear gate, projection;
  nn::RmsNorm norm;
  std::string activation;

  GemmaLayerInput() = default;
  GemmaLayerInput(const Weights& layer, const GemmaConfig& c);
  Tensor operator()(const Tensor& x, const Tensor& input) const {
    return norm(projection(activate(activation, gate(x)) * input));
  }
  template <class V>
  void visit(V&& v) {
    v("per_layer_input_gate", gate);
    v("per_layer_projection", projection);
    v("post_per_layer_input_norm", norm);
  }
};

/// What a model sees and hears with, where it does.
struct GemmaTowers {
  std::unique_ptr<ImageEncoder> images;
  std::unique_ptr<AudioEncoder> sounds;
};

/// What stands around the layers.
class GemmaModel : public CausalLM {
 public:
  GemmaModel(const Checkpoint& checkpoint, GemmaConfig config, GemmaTowers towers = {});
  KvCacheSpec cache_spec() const override;
  int64_t vocab_size() const override { return c_.vocab; }
  int64_t max_positions() const override { return c_.positions; }
  int64_t weight_bytes() const override { return weight_bytes_; }
  double flops(int64_t tokens, int64_t rows) const override;
  const ImageEncoder* images() const override { return towers_.images.get(); }
  const AudioEncoder* sounds() const override { return towers_.sounds.get(); }
  Tensor states(const Batch& batch, KvCache& cache) const override;
  Tensor head(const Tensor& states) const override;

  const GemmaConfig& config() const { return c_; }
  /// [count, hidden] of ids [count].
  Tensor embed_tokens(const Tensor& ids) const;
  /// The states of the layers' inputs x [tokens, hidden] and `inputs` [tokens, layers, dim], where
  /// layers have their own.
  virtual Tensor decode(Tensor x, Tensor inputs, const Batch& batch, KvCache& cache) const = 0;
  /// The rows [count, hidden] of the head's weight.
  Tensor head_rows(const Tensor& ids) const;

 protected:
  /// The ids [tokens] that tables of rows are read by: the pad token's for soft tokens.
  Tensor ids(const Batch& batch) const;
  /// [tokens, hidden], soft tokens in their places.
  Tensor embed(const Batch& batch, const Tensor& ids) const;
  const nn::RotaryEmbedding& rotary(size_t layer) const {
    return c_.layers[layer].sliding ? sliding_rotary_ : full_rotary_;
  }
  /// Notes the parameters of the layers for weight_bytes and flops.
  void count(const nn::NamedTensors& parameters);

  GemmaConfig c_;
  GemmaLayerInputs layer_inputs_;
  nn::RmsNorm norm_;

 private:
  GemmaTowers towers_;
  nn::Embedding embed_tokens_;
  nn::Linear lm_head_;
  nn::RotaryEmbedding sliding_rotary_, full_rotary_;
  int64_t weight_bytes_ = 0;
  double layer_parameters_ = 0;
};

/// A pass as the two kinds of layers see it.
struct GemmaPass {
  Batch sliding, full;
  /// With what tokens see ahead of them. Throws Error where a token should see what is not there.
  GemmaPass(const Batch& batch, const GemmaConfig& c);
  const Batch& of(const GemmaLayerConfig& layer) const { return layer.sliding ? sliding : full; }
  /// The same for the wanted rows.
  GemmaPass wanted() const { return {sliding.wanted(), full.wanted()}; }

 private:
  GemmaPass(Batch s, Batch f) : sliding(std::move(s)), full(std::move(f)) {}
};

/// Rows of x that logit_rows names; x itself where that is all of them.
Tensor wanted_rows(const Tensor& x, const Batch& batch);

std::unique_ptr<GemmaModel> make_gemma(const Checkpoint& checkpoint, GemmaConfig config,
                                       GemmaTowers towers = {});

}  // namespace tallow
