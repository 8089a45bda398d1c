// The blocks of Gemma's layers, and what stands around the layers.
#include <cmath>

#include "models/causal_lm/gemma.h"
#include "models/states.h"
#include "tallow/error.h"

namespace tallow {
namespace {

nn::RmsNorm head_norm(const Weights& w, const GemmaConfig& c, const GemmaLayerConfig& layer) {
  return c.qk_norm ? nn::RmsNorm(w, layer.head_dim, c.eps, c.norm_offset) : nn::RmsNorm();
}

/// [tokens, heads, dim], normalized where there is such a norm.
Tensor normalized(const nn::RmsNorm& norm, const Tensor& x) { return norm.weight ? norm(x) : x; }

/// Ids past a table's rows are read as the pad token's.
Tensor ids_in(const Tensor& ids, int64_t rows, int64_t pad) {
  const auto number = [&](int64_t n) {
    return Tensor::full({}, static_cast<double>(n), ids.dtype());
  };
  return where(lt(ids, number(rows)), ids, number(pad));
}

}  // namespace

Tensor activate(const std::string& name, const Tensor& x) {
  if (name == "gelu_pytorch_tanh") return gelu(x, "tanh");
  if (name == "gelu") return gelu(x);
  if (name == "silu") return silu(x);
  if (name == "relu") return relu(x);
  fail("activation '", name, "' is unknown; known are gelu_pytorch_tanh, gelu, silu, relu");
}

Tensor wanted_rows(const Tensor& x, const Batch& batch) {
  if (batch.logit_rows.numel() == x.size(0)) return x;
  return index_select(x, 0, batch.logit_rows);
}

GemmaAttention::GemmaAttention(const Weights& w, const GemmaConfig& c, size_t i)
    : layer(c.layers[i]),
      heads(c.heads),
      index(static_cast<int64_t>(i)),
      eps(c.eps),
      v_norm(c.v_norm),
      options{.scale = static_cast<float>(c.attention_scale),
              .soft_cap = static_cast<float>(c.attention_cap),
              .window = layer.sliding ? c.window : 0} {
  if (heads % layer.kv_heads != 0) {
    fail(c.text.what(), ": num_attention_heads ", heads, " is not a multiple of the ",
         layer.kv_heads, " key-value heads of layer ", i);
  }
  const int64_t width = heads * layer.head_dim, kv_width = layer.kv_heads * layer.head_dim;
  q_proj = nn::Linear(w / "q_proj", c.hidden, width, c.bias);
  o_proj = nn::Linear(w / "o_proj", width, c.hidden, c.bias);
  q_norm = head_norm(w / "q_norm", c, layer);
  if (!layer.writes) return;
  k_proj = nn::Linear(w / "k_proj", c.hidden, kv_width, c.bias);
  if (!layer.value_is_key) v_proj = nn::Linear(w / "v_proj", c.hidden, kv_width, c.bias);
  k_norm = head_norm(w / "k_norm", c, layer);
}

void GemmaAttention::write(const Tensor& x, const Batch& batch, const nn::RotaryEmbedding& rotary,
                           KvCache& cache) const {
  Tensor k, v;
  if (layer.value_is_key) {
    k = v = k_proj(x).reshape({-1, layer.kv_heads, layer.head_dim});
  } else {
    const Tensor both = linear_concat(x, {k_proj.weight, v_proj.weight}, {k_proj.bias, v_proj.bias})
                            .reshape({-1, 2 * layer.kv_heads, layer.head_dim});
    k = both.narrow(1, 0, layer.kv_heads);
    v = both.narrow(1, layer.kv_heads, layer.kv_heads);
  }
  if (v_norm) v = rms_norm(v, {layer.head_dim}, {}, eps);
  kv_cache_write(cache.keys(index), cache.values(index), rotary(normalized(k_norm, k), batch), v,
                 batch.slots);
}

Tensor GemmaAttention::operator()(const Tensor& x, const Batch& all, const Tensor& rows,
                                  const Batch& batch, const nn::RotaryEmbedding& rotary,
                                  KvCache& cache) const {
  if (layer.writes) write(x, all, rotary, cache);
  const Tensor q = q_proj(rows).reshape({-1, heads, layer.head_dim});
  const Tensor y = paged_attention(rotary(normalized(q_norm, q), batch), cache.keys(layer.source),
                                   cache.values(layer.source), batch.query_starts, batch.lengths,
                                   batch.page_table, options, batch.visible);
  return o_proj(y.reshape({-1, heads * layer.head_dim}));
}

GemmaMlp::GemmaMlp(const Weights& w, const GemmaConfig& c, int64_t intermediate)
    : gate_proj(w / "gate_proj", c.hidden, intermediate),
      up_proj(w / "up_proj", c.hidden, intermediate),
      down_proj(w / "down_proj", intermediate, c.hidden),
      activation(c.activation) {}

Tensor GemmaMlp::operator()(const Tensor& x) const {
  const Tensor both = linear_concat(x, {gate_proj.weight, up_proj.weight});
  const int64_t width = gate_proj.weight.size(0);
  Tensor gate = both.narrow(1, 0, width);
  if (deviations) {
    const Tensor spread = std(gate, {-1}, 0.0, true) * *deviations;
    gate = relu(gate - (mean(gate, {-1}, true) + spread));
  }
  return down_proj(activate(activation, gate) * both.narrow(1, width, width));
}

GemmaLayerInputs::GemmaLayerInputs(const GemmaConfig& c)
    : projection(c.weights / "per_layer_model_projection", c.hidden,
                 std::ssize(c.layers) * c.per_layer_dim),
      norm(c.weights / "per_layer_projection_norm", c.per_layer_dim, c.eps),
      layers(std::ssize(c.layers)),
      dim(c.per_layer_dim),
      pad(c.pad) {
  const Weights w = c.weights / "embed_tokens_per_layer";
  table = nn::Embedding(w, w.get_any("weight").size(0), layers * dim);
  if (pad >= table.weight.size(0)) {
    fail(c.text.what(), ": pad_token_id ", pad, " is outside the ", table.weight.size(0),
         " rows of embed_tokens_per_layer");
  }
}

Tensor GemmaLayerInputs::operator()(const Tensor& ids, const Tensor& x) const {
  const Shape shape{x.size(0), layers, dim};
  const double width = static_cast<double>(x.size(1));
  const Tensor own = table(ids_in(ids, table.weight.size(0), pad)).reshape(shape);
  const Tensor projected = norm((projection(x) * (1 / std::sqrt(width))).reshape(shape));
  return (projected + own * std::sqrt(static_cast<double>(dim))) * std::sqrt(0.5);
}

GemmaLayerInput::GemmaLayerInput(const Weights& w, const GemmaConfig& c)
    : gate(w / "per_layer_input_gate", c.hidden, c.per_layer_dim),
      projection(w / "per_layer_projection", c.per_layer_dim, c.hidden),
      norm(w / "post_per_layer_input_norm", c.hidden, c.eps),
      activation(c.activation) {}

GemmaPass::GemmaPass(const Batch& batch, const GemmaConfig& c)
    : sliding(batch.near()), full(batch) {
  if (!c.sees_all) {
    if (!c.sliding_sees_ahead) sliding.visible = {};
    if (!c.full_sees_ahead) full.visible = {};
    return;
  }
  const int32_t *starts = batch.query_starts.data<int32_t>(), *at = batch.positions.data<int32_t>();
  std::vector<int32_t> all, near;
  for (int64_t s = 0; s < batch.lengths.numel(); ++s) {
    const int32_t length = batch.lengths.data<int32_t>()[s];
    if (length != starts[s + 1] - starts[s]) {
      fail(c.text.what(), ": with use_bidirectional_attention tokens see those after them: a text ",
           "must come in one pass, and cannot be continued");
    }
    for (int32_t t = starts[s]; t < starts[s + 1]; ++t) {
      all.push_back(length);
      near.push_back(static_cast<int32_t>(std::min<int64_t>(length, at[t] + c.window)));
    }
  }
  const auto list = [](const std::vector<int32_t>& v) {
    return Tensor::from(std::span<const int32_t>(v), {std::ssize(v)});
  };
  full.visible = list(all);
  sliding.visible = list(near);
}

GemmaModel::GemmaModel(const Checkpoint& checkpoint, GemmaConfig config, GemmaTowers towers)
    : c_(std::move(config)),
      norm_(c_.weights / "norm", c_.hidden, c_.eps, c_.norm_offset),
      towers_(std::move(towers)),
      embed_tokens_(c_.weights / "embed_tokens", c_.vocab, c_.hidden) {
  if (c_.pad >= c_.vocab) {
    fail(c_.text.what(), ": pad_token_id ", c_.pad, " is outside the vocabulary of ", c_.vocab);
  }
  if (c_.per_layer_dim > 0) layer_inputs_ = GemmaLayerInputs(c_);
  const bool tied = checkpoint.config.boolean_or("tie_word_embeddings",
                                                 c_.text.boolean_or("tie_word_embeddings", true));
  const Weights& w = checkpoint.weights;
  const char* head = w.contains("lm_head.weight") ? "lm_head" : "language_model.lm_head";
  if (tied) {
    lm_head_.weight = embed_tokens_.weight;
  } else {
    lm_head_ = nn::Linear(w / head, c_.hidden, c_.vocab);
  }
  weight_bytes_ = lm_head_.weight.nbytes() + norm_.weight.nbytes();
  for (const GemmaLayerConfig& layer : c_.layers) {
    const Config& rope = layer.sliding ? c_.sliding_rope : c_.full_rope;
    const int64_t half = std::max<int64_t>(layer.head_dim / 2, 1);
    const Tensor divisors = layer.sliding ? Tensor() : w.find("rope_freqs.weight", {half});
    (layer.sliding ? sliding_rotary_ : full_rotary_) =
        nn::RotaryEmbedding(rope, layer.head_dim, divisors);
  }
}

KvCacheSpec GemmaModel::cache_spec() const {
  KvCacheSpec spec{.layers = std::ssize(c_.layers),
                   .dtype = embed_tokens_.weight.dtype() == DType::f32 ||
                                    embed_tokens_.weight.dtype() == DType::f64 ||
                                    embed_tokens_.weight.dtype() == DType::f16
                                ? DType::f32
                                : DType::bf16};
  for (int64_t i = 0; i < spec.layers; ++i) {
    const GemmaLayerConfig& layer = c_.layers[static_cast<size_t>(i)];
    const int64_t window = layer.sliding ? c_.window : 0;
    spec.each.push_back(layer.writes ? KvHeads{layer.kv_heads, layer.head_dim, window} : KvHeads{});
  }
  return spec;
}

double GemmaModel::flops(int64_t tokens, int64_t rows) const {
  return 2.0 * (layer_parameters_ * static_cast<double>(tokens) +
                static_cast<double>(lm_head_.weight.numel()) * static_cast<double>(rows));
}

Tensor GemmaModel::ids(const Batch& batch) const {
  if (!batch.soft_rows) return batch.tokens;
  return index_fill(batch.tokens, 0, batch.soft_rows,
                    Tensor::full({}, static_cast<double>(c_.pad), DType::i32));
}

Tensor GemmaModel::embed_tokens(const Tensor& ids) const {
  return embed_tokens_(ids) * std::sqrt(static_cast<double>(c_.hidden));
}

Tensor GemmaModel::embed(const Batch& batch, const Tensor& ids) const {
  const Tensor x = embed_tokens(ids);
  return batch.soft_rows ? index_copy(x, 0, batch.soft_rows, batch.soft_tokens) : x;
}

Tensor GemmaModel::states(const Batch& batch, KvCache& cache) const {
  const Tensor tokens = ids(batch), x = embed(batch, tokens);
  const Tensor inputs = c_.per_layer_dim > 0 ? layer_inputs_(tokens, x) : Tensor();
  if (batch.layer_inputs) *batch.layer_inputs = inputs;
  const Tensor made = decode(x, inputs, batch, cache);
  keep(batch.hidden_states, made);
  return made;
}

Tensor GemmaModel::head_rows(const Tensor& ids) const { return embedding(ids, lm_head_.weight); }

Tensor GemmaModel::head(const Tensor& states) const {
  const Tensor y = lm_head_(states);
  return c_.logit_cap > 0 ? tanh(y / c_.logit_cap) * c_.logit_cap : y;
}

void GemmaModel::count(const nn::NamedTensors& parameters) {
  for (const auto& [name, tensor] : parameters) {
    // Of the experts, a token reads those that it is routed to.
    const double share = tensor.dim() < 3
                             ? 1
                             : static_cast<double>(c_.routes) /
                                   static_cast<double>(std::max<int64_t>(c_.experts, 1));
    weight_bytes_ += static_cast<int64_t>(share * static_cast<double>(tensor.nbytes()));
    if (tensor.dim() > 1) layer_parameters_ += share * static_cast<double>(tensor.numel());
  }
}

}  // namespace tallow
