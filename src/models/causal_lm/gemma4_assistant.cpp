// Gemma 4's drafters: a decoder whose layers have no keys and values. It reads those of the large
// model's last layers, and takes that model's state beside the embedding of its last token.
// transformers' modeling_gemma4_assistant.
#include <algorithm>

#include "models/causal_lm/gemma.h"
#include "models/registry.h"
#include "tallow/error.h"

namespace tallow {
namespace {

/// The last layer of a kind that has keys and values.
int64_t last_writer(const GemmaConfig& c, bool sliding) {
  for (int64_t i = std::ssize(c.layers); i-- > 0;) {
    const GemmaLayerConfig& layer = c.layers[static_cast<size_t>(i)];
    if (layer.writes && layer.sliding == sliding) return i;
  }
  return -1;
}

/// The drafter's settings, its layers reading those of the large model.
GemmaConfig config_for(const Checkpoint& checkpoint, const GemmaConfig& large) {
  GemmaConfig c = gemma_config(checkpoint);
  const std::string& what = c.text.what();
  if (c.first_reader() != 0) fail(what, ": num_kv_shared_layers is not the number of layers");
  for (GemmaLayerConfig& layer : c.layers) {
    layer.source = last_writer(large, layer.sliding);
    if (layer.source < 0) fail(what, ": drafts for models with other kinds of layers than this");
    const GemmaLayerConfig& read = large.layers[static_cast<size_t>(layer.source)];
    if (read.head_dim != layer.head_dim || read.kv_heads > c.heads || c.heads % read.kv_heads) {
      fail(what, ": heads of ", layer.head_dim, " cannot read the large model's keys of ",
           read.kv_heads, " heads of ", read.head_dim, "; this drafter is of another model");
    }
    layer.kv_heads = read.kv_heads;
  }
  ++c.window;  // it counts from the token before its own
  return c;
}

/// The head over a part of the vocabulary: tokens are in clusters, of which the best are looked at.
struct ClusteredHead {
  nn::Linear centroids;
  Tensor ordering;  // [clusters, tokens per cluster]
  int64_t best = 0;

  ClusteredHead() = default;
  ClusteredHead(const Weights& w, const Config& c, const GemmaConfig& text) {
    const int64_t count = c.integer_or("num_centroids", 2048, 1, text.vocab);
    best = c.integer_or("centroid_intermediate_top_k", 32, 1, count);
    if (text.vocab % count != 0) {
      fail(c.what(), ": vocab_size ", text.vocab, " is not a multiple of num_centroids ", count);
    }
    centroids = nn::Linear(w / "centroids", text.hidden, count);
    ordering = w.get("token_ordering", {text.vocab}).to(DType::i64).reshape({count, -1});
    const auto [low, high] = aminmax(ordering);
    if (low.item() < 0 || high.item() >= static_cast<double>(text.vocab)) {
      fail(c.what(), ": token_ordering names a token outside the vocabulary of ", text.vocab);
    }
  }

  int32_t likeliest(const Tensor& state, const GemmaModel& decoder) const {
    const Tensor chosen = flatten(topk(centroids(state), best).indices);
    const Tensor tokens = flatten(index_select(ordering, 0, chosen));
    const Tensor scores = flatten(linear(state, decoder.head_rows(tokens)));
    return static_cast<int32_t>(index_select(tokens, 0, argmax(scores).reshape({1})).item());
  }
};

class Gemma4Assistant : public Drafter {
 public:
  Gemma4Assistant(const Checkpoint& checkpoint, const GemmaModel& large)
      : large_(large), decoder_(make_gemma(checkpoint, config_for(checkpoint, large.config()))) {
    const Config& c = checkpoint.config;
    const int64_t wide = large.config().hidden, hidden = decoder_->config().hidden;
    const int64_t backbone = c.integer_or("backbone_hidden_size", 1536);
    if (backbone != wide) {
      fail(c.what(), ": backbone_hidden_size ", backbone, " is not the large model's ", wide,
           "; this drafter is of another model");
    }
    if (decoder_->vocab_size() != large.vocab_size()) {
      fail(c.what(), ": vocab_size ", decoder_->vocab_size(), " is not the large model's ",
           large.vocab_size());
    }
    pre_ = nn::Linear(checkpoint.weights / "pre_projection", 2 * wide, hidden);
    post_ = nn::Linear(checkpoint.weights / "post_projection", hidden, wide);
    if (c.boolean_or("use_ordered_embeddings", false)) {
      clusters_ = ClusteredHead(checkpoint.weights / "masked_embedding", c, decoder_->config());
    }
  }

  std::vector<int32_t> draft(int32_t token, const Tensor& state, int64_t count, const Batch& at,
                             KvCache& cache) const override {
    std::vector<int32_t> drafted;
    Tensor seen = state;
    while (static_cast<int64_t>(drafted.size()) < count) {
      const Tensor ids = Tensor::full({1}, static_cast<double>(token), DType::i32);
      const Tensor x = pre_(cat({large_.embed_tokens(ids), seen}, -1));
      const Tensor own = decoder_->decode(x, {}, at, cache);
      token = clusters_.best > 0 ? clusters_.likeliest(own, *decoder_)
                                 : static_cast<int32_t>(argmax(decoder_->head(own)).item());
      drafted.push_back(token);
      seen = post_(own);
    }
    return drafted;
  }

 private:
  const GemmaModel& large_;
  std::unique_ptr<GemmaModel> decoder_;
  nn::Linear pre_, post_;
  ClusteredHead clusters_;
};

}  // namespace

std::unique_ptr<Drafter> make_gemma4_assistant(const Checkpoint& checkpoint,
                                               const CausalLM& large) {
  const auto* gemma = dynamic_cast<const GemmaModel*>(&large);
  if (!gemma) fail(checkpoint.config.what(), ": drafts for Gemma 4, and this is another model");
  return std::make_unique<Gemma4Assistant>(checkpoint, *gemma);
}

}  // namespace tallow
