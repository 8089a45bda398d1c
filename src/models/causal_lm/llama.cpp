// LLaMA 1, 2, 3.x, and the models of the same architecture: SmolLM2, TinyLlama, Yi.
// Touvron et al., 2023; transformers' modeling_llama.
#include "models/causal_lm/llama.h"

#include <cmath>

#include "models/registry.h"
#include "models/states.h"
#include "tallow/error.h"

namespace tallow {
namespace {

// A GGUF file does not say whether there are biases: they are there or not.
nn::Linear::Bias bias(const Config& c, const char* key) {
  if (c.boolean_or(key, false)) return nn::Linear::Bias::required;
  return c.has(key) ? nn::Linear::Bias::none : nn::Linear::Bias::optional;
}

struct Attention {
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  int64_t heads, kv_heads, head_dim, window;

  Attention(const Weights& w, const LlamaConfig& c, size_t layer)
      : q_proj(w / "q_proj", c.hidden, c.heads * c.head_dim, c.qkv_bias),
        k_proj(w / "k_proj", c.hidden, c.kv_heads * c.head_dim, c.qkv_bias),
        v_proj(w / "v_proj", c.hidden, c.kv_heads * c.head_dim, c.qkv_bias),
        o_proj(w / "o_proj", c.heads * c.head_dim, c.hidden, c.o_bias),
        heads(c.heads),
        kv_heads(c.kv_heads),
        head_dim(c.head_dim),
        window(c.windows.empty() ? 0 : c.windows[layer]) {}

  Tensor operator()(const Tensor& x, const nn::RotaryEmbedding& rotary, const Batch& batch,
                    const Tensor& k_cache, const Tensor& v_cache) const {
    Tensor qkv = linear_concat(x, {q_proj.weight, k_proj.weight, v_proj.weight},
                               {q_proj.bias, k_proj.bias, v_proj.bias});
    Tensor all = qkv.reshape({-1, heads + 2 * kv_heads, head_dim});
    Tensor qk = rotary(all.narrow(1, 0, heads + kv_heads), batch);
    Tensor q = qk.narrow(1, 0, heads), k = qk.narrow(1, heads, kv_heads);
    kv_cache_write(k_cache, v_cache, k, all.narrow(1, heads + kv_heads, kv_heads), batch.slots);
    Tensor y =
        paged_attention(q, k_cache, v_cache, batch.query_starts, batch.lengths, batch.page_table,
                        {.scale = 1 / std::sqrt(static_cast<float>(head_dim)), .window = window});
    return o_proj(y.reshape({-1, heads * head_dim}));
  }

  template <class V>
  void visit(V&& v) {
    v("q_proj", q_proj);
    v("k_proj", k_proj);
    v("v_proj", v_proj);
    v("o_proj", o_proj);
  }
};

struct Mlp {
  nn::Linear gate_proj, up_proj, down_proj;
  std::string activation;

  Mlp(const Weights& w, const LlamaConfig& c)
      : gate_proj(w / "gate_proj", c.hidden, c.intermediate, c.mlp_bias),
        up_proj(w / "up_proj", c.hidden, c.intermediate, c.mlp_bias),
        down_proj(w / "down_proj", c.intermediate, c.hidden, c.mlp_bias),
        activation(c.activation) {}

  Tensor operator()(const Tensor& x) const {
    if (activation == "silu") {
      return down_proj(
          gated_linear(x, gate_proj.weight, up_proj.weight, gate_proj.bias, up_proj.bias));
    }
    Tensor gate = gate_proj(x);
    return down_proj((activation == "gelu" ? gelu(gate) : relu(gate)) * up_proj(x));
  }

  template <class V>
  void visit(V&& v) {
    v("gate_proj", gate_proj);
    v("up_proj", up_proj);
    v("down_proj", down_proj);
  }
};

struct Layer {
  nn::RmsNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  Mlp mlp;

  Layer(const Weights& w, const LlamaConfig& c, size_t layer)
      : input_layernorm(w / "input_layernorm", c.hidden, c.eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden, c.eps),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c) {}

  template <class V>
  void visit(V&& v) {
    v("input_layernorm", input_layernorm);
    v("self_attn", self_attn);
    v("post_attention_layernorm", post_attention_layernorm);
    v("mlp", mlp);
  }
};

class LlamaForCausalLM : public CausalLM {
 public:
  LlamaForCausalLM(const Checkpoint& checkpoint, const LlamaConfig& config)
      : c_(config),
        embed_tokens_(checkpoint.weights / "model.embed_tokens", c_.vocab, c_.hidden),
        norm_(checkpoint.weights / "model.norm", c_.hidden, c_.eps),
        rotary_(
            checkpoint.config, c_.head_dim,
            checkpoint.weights.find("rope_freqs.weight", {std::max<int64_t>(c_.head_dim / 2, 1)})) {
    for (int64_t i = 0; i < c_.layers; ++i) {
      layers_.emplace_back(checkpoint.weights / "model.layers" / i, c_, static_cast<size_t>(i));
    }
    if (c_.tied) {
      lm_head_.weight = embed_tokens_.weight;
    } else {
      lm_head_ = nn::Linear(checkpoint.weights / "lm_head", c_.hidden, c_.vocab);
    }
    weight_bytes_ = lm_head_.weight.nbytes() + norm_.weight.nbytes();
    for (const auto& [name, tensor] : nn::parameters(layers_)) {
      weight_bytes_ += tensor.nbytes();
      if (tensor.dim() == 2) layer_parameters_ += tensor.numel();
    }
  }

  Tensor states(const Batch& batch, KvCache& cache) const override {
    Tensor x = embed_tokens_(batch.tokens), delta;
    const Batch near = batch.near();
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      auto l = static_cast<int64_t>(i);
      Tensor y = layer.input_layernorm.add(x, delta);
      keep(batch.hidden_states, x);
      delta = layer.self_attn(y, rotary_, layer.self_attn.window > 0 ? near : batch, cache.keys(l),
                              cache.values(l));
      // Past the last attention no token sees another: only the wanted rows go on.
      if (i + 1 == layers_.size()) {
        x = wanted_rows(x, batch);
        delta = wanted_rows(delta, batch);
      }
      delta = layer.mlp(layer.post_attention_layernorm.add(x, delta));
    }
    const Tensor normed = norm_.add(x, delta);
    keep(batch.hidden_states, normed);
    return normed;
  }
  Tensor head(const Tensor& states) const override { return lm_head_(states); }

  KvCacheSpec cache_spec() const override {
    DType weights = layers_[0].self_attn.k_proj.weight.dtype();
    bool exact = weights == DType::f32 || weights == DType::f64 || weights == DType::f16;
    KvCacheSpec spec{.layers = c_.layers, .dtype = exact ? DType::f32 : DType::bf16};
    for (const Layer& layer : layers_) {
      spec.each.push_back({c_.kv_heads, c_.head_dim, layer.self_attn.window});
    }
    return spec;
  }

  int64_t vocab_size() const override { return c_.vocab; }
  int64_t max_positions() const override { return c_.positions; }

  int64_t weight_bytes() const override { return weight_bytes_; }
  double flops(int64_t tokens, int64_t rows) const override {
    return 2.0 * (static_cast<double>(layer_parameters_) * static_cast<double>(tokens) +
                  static_cast<double>(lm_head_.weight.numel()) * static_cast<double>(rows));
  }

 private:
  static Tensor wanted_rows(const Tensor& x, const Batch& batch) {
    if (batch.logit_rows.numel() == x.size(0)) return x;
    return index_select(x, 0, batch.logit_rows);
  }

  LlamaConfig c_;
  nn::Embedding embed_tokens_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Linear lm_head_;
  nn::RotaryEmbedding rotary_;
  int64_t weight_bytes_ = 0, layer_parameters_ = 0;
};

}  // namespace

LlamaConfig::LlamaConfig(const Config& c)
    : vocab(c.integer("vocab_size", 1, 1 << 24)),
      hidden(c.integer("hidden_size", 1, 1 << 20)),
      intermediate(c.integer("intermediate_size", 1, 1 << 22)),
      layers(c.integer("num_hidden_layers", 1, 4096)),
      heads(c.integer("num_attention_heads", 1, 1 << 14)),
      kv_heads(c.integer_or("num_key_value_heads", heads, 1, 1 << 14)),
      head_dim(c.integer_or("head_dim", std::max<int64_t>(hidden / heads, 1), 1, 1 << 14)),
      positions(c.integer_or("max_position_embeddings", 2048)),
      eps(c.number_or("rms_norm_eps", 1e-6)),
      activation(c.string_or("hidden_act", "silu")),
      tied(c.boolean_or("tie_word_embeddings", false)),
      qkv_bias(bias(c, "attention_bias")),
      o_bias(qkv_bias),
      mlp_bias(bias(c, "mlp_bias")) {
  if (heads % kv_heads != 0) {
    fail(c.what(), ": num_attention_heads ", heads, " is not a multiple of num_key_value_heads ",
         kv_heads);
  }
  if (activation != "silu" && activation != "gelu" && activation != "relu") {
    fail(c.what(), ": hidden_act '", activation, "' is unknown; known are silu, gelu, relu");
  }
}

std::unique_ptr<CausalLM> make_llama(const Checkpoint& checkpoint, const LlamaConfig& config) {
  return std::make_unique<LlamaForCausalLM>(checkpoint, config);
}

std::unique_ptr<CausalLM> make_llama(const Checkpoint& checkpoint) {
  return make_llama(checkpoint, LlamaConfig(checkpoint.config));
}

}  // namespace tallow
