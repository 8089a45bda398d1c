// Shared prefixes and chunks in the paged cache: a small random LLaMA gives the logits of one whole
// pass, which the Python tests compare with transformers'.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/models.h"

using namespace tallow;

namespace {

// Random weights of whatever shape the configuration below asks for.
class RandomSource : public WeightSource {
 public:
  RandomSource() {
    add("model.embed_tokens.weight", {50, 32});
    add("lm_head.weight", {50, 32});
    add("model.norm.weight", {32});
    for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
      add(layer + "input_layernorm.weight", {32});
      add(layer + "post_attention_layernorm.weight", {32});
      add(layer + "self_attn.q_proj.weight", {32, 32});
      add(layer + "self_attn.k_proj.weight", {16, 32});
      add(layer + "self_attn.v_proj.weight", {16, 32});
      add(layer + "self_attn.o_proj.weight", {32, 32});
      add(layer + "self_attn.q_proj.bias", {32});
      add(layer + "self_attn.k_proj.bias", {16});
      add(layer + "self_attn.v_proj.bias", {16});
      add(layer + "mlp.gate_proj.weight", {48, 32});
      add(layer + "mlp.up_proj.weight", {48, 32});
      add(layer + "mlp.down_proj.weight", {32, 48});
    }
  }
  const std::string& path() const override { return path_; }
  std::vector<std::string> names() const override { return {}; }
  bool contains(std::string_view name) const override { return tensors_.contains(name); }
  Tensor get(std::string_view name) const override { return tensors_.find(name)->second; }

 private:
  void add(const std::string& name, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    for (float& v : values) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      v = static_cast<float>(static_cast<int32_t>(state_ >> 32)) * 0x1p-32F;
    }
    tensors_.emplace(name, Tensor::from(std::span<const float>(values), shape));
  }

  std::string path_ = "random";
  uint64_t state_ = 1;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

// With a window, the second of the two layers slides.
std::unique_ptr<CausalLM> make_model(int64_t window = 0) {
  Json json = Json::parse(
      R"({"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
          "max_window_layers": 1})",
      "config");
  json.set("use_sliding_window", window > 0);
  if (window > 0) json.set("sliding_window", window);
  return load_causal_lm({Config(json, "config"), Weights(std::make_shared<RandomSource>()),
                         "Qwen2ForCausalLM", Config(Json::object(), "generation"), nullptr});
}

using Tokens = std::vector<int32_t>;

Tokens tokens_from(int32_t first, int count) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((first + 7 * i) % 50);
  return tokens;
}

struct Run {
  explicit Run(int64_t w = 0, int64_t c = 512) : window(w), capacity(c) {}

  int64_t window, capacity;
  std::unique_ptr<CausalLM> model = make_model(window);
  KvCache cache{model->cache_spec(), capacity};

  // The logits of the last of these tokens.
  std::vector<float> append(KvCache::Sequence sequence, const Tokens& tokens) {
    const KvCache::Chunk chunk{.sequence = sequence, .tokens = tokens};
    return model->forward(cache.append({&chunk, 1}), cache).to_vector();
  }
  std::vector<float> whole(const Tokens& tokens) {
    Run fresh(window, capacity);
    return fresh.append(fresh.cache.create(), tokens);
  }
};

float difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("chunks give what one pass gives") {
  const NoGrad no_grad;
  Run run;
  const Tokens all = tokens_from(3, 75);
  const auto sequence = run.cache.create();
  std::vector<float> last;
  for (const auto& [begin, end] : {std::pair{0, 1}, {1, 33}, {33, 64}, {64, 75}}) {
    last = run.append(sequence, Tokens(all.begin() + begin, all.begin() + end));
  }
  CHECK(difference(last, run.whole(all)) < 1e-5F);
}

TEST_CASE("sequences that share a prefix go their own ways") {
  const NoGrad no_grad;
  for (const int shared : {0, 1, 32, 37, 64}) {
    Run run;
    const Tokens prefix = tokens_from(3, 70);
    const Tokens kept(prefix.begin(), prefix.begin() + shared);
    const Tokens left = tokens_from(11, 20), right = tokens_from(23, 40);
    const auto a = run.cache.create();
    run.append(a, prefix);
    const auto b = run.cache.fork(a, shared);
    CHECK(run.cache.length(b) == shared);
    // Both write on: into the shared page, were it not copied.
    CHECK(difference(run.append(b, right), run.whole(joined(kept, right))) < 1e-5F);
    CHECK(difference(run.append(a, left), run.whole(joined(prefix, left))) < 1e-5F);
    run.cache.release(a);
    const Tokens more = tokens_from(5, 9);
    CHECK(difference(run.append(b, more), run.whole(joined(joined(kept, right), more))) < 1e-5F);
    run.cache.release(b);
    CHECK(run.cache.free_tokens() == run.cache.capacity());
  }
}

TEST_CASE("a full cache is left as it was") {
  const NoGrad no_grad;
  Run run;
  const auto a = run.cache.create();
  run.append(a, tokens_from(1, 500));
  const Tokens tokens = tokens_from(2, 40);
  const KvCache::Chunk chunk{.sequence = a, .tokens = tokens};
  CHECK_THROWS_AS(run.cache.append({&chunk, 1}), Error);
  CHECK(run.cache.length(a) == 500);
  run.cache.truncate(a, 100);
  CHECK(difference(run.append(a, tokens), run.whole(joined(tokens_from(1, 100), tokens))) < 1e-5F);
}

TEST_CASE("layers with a window keep what it and a pass need") {
  const NoGrad no_grad;
  Run run(20, 2048);
  const Tokens all = tokens_from(3, 1200);
  const auto sequence = run.cache.create();
  const int step = 100;
  float highest = 0;
  std::vector<float> last;
  for (int begin = 0; begin < 1200; begin += step) {
    const Tokens tokens(all.begin() + begin, all.begin() + begin + step);
    const KvCache::Chunk chunk{.sequence = sequence, .tokens = tokens};
    const Batch batch = run.cache.append({&chunk, 1});
    for (const float slot : batch.near_slots.to_vector()) highest = std::max(highest, slot);
    last = run.model->forward(batch, run.cache).to_vector();
  }
  CHECK(difference(last, run.whole(all)) < 1e-5F);
  CHECK(highest < 20 + KvCache::kTakenBack + step + 2 * 32);
  CHECK(run.cache.spec().bytes(1200) == 2 * 4 * 2 * 8 * (1200 + 20));
}

TEST_CASE("a sequence goes back a little way, or to its beginning") {
  const NoGrad no_grad;
  for (const int length : {0, 1, 500, 700, 744, 900, 1000}) {
    Run run(20, 2048);
    const Tokens all = tokens_from(3, 1000), more = tokens_from(9, 40);
    const auto sequence = run.cache.create();
    for (int begin = 0; begin < 1000; begin += 50) {
      run.append(sequence, Tokens(all.begin() + begin, all.begin() + begin + 50));
    }
    const bool near = length >= 1000 - 50 - KvCache::kTakenBack;
    CHECK(run.cache.kept(sequence, length) == (near ? length : 0));
    if (near) {
      const auto fork = run.cache.fork(sequence, length);
      const Tokens kept(all.begin(), all.begin() + length);
      CHECK(difference(run.append(fork, more), run.whole(joined(kept, more))) < 1e-5F);
      run.append(fork, Tokens(all.begin(), all.begin() + 500));
      run.cache.release(fork);
    } else if (length > 0) {
      CHECK_THROWS_AS(run.cache.fork(sequence, length), Error);
    }
    const int64_t kept = run.cache.truncate(sequence, length);
    REQUIRE(kept == (near ? length : 0));
    CHECK(run.cache.length(sequence) == kept);
    const Tokens start(all.begin(), all.begin() + kept);
    CHECK(difference(run.append(sequence, more), run.whole(joined(start, more))) < 1e-5F);
    run.cache.release(sequence);
    CHECK(run.cache.free_tokens() == run.cache.capacity());
  }
}

TEST_CASE("layers of a cache have heads of their own, or none") {
  KvCache cache({.layers = 3, .dtype = DType::f32, .each = {{2, 16}, {0, 0}, {1, 32}}}, 64);
  CHECK(cache.spec().bytes(3) == 3 * 2 * 4 * (2 * 16 + 32));
  CHECK(cache.keys(0).shape() == Shape{2, 2, 32, 16});
  CHECK(cache.keys(1).numel() == 0);
  CHECK(cache.values(2).shape() == Shape{2, 1, 32, 32});
}

TEST_CASE("the wanted rows of a pass are the tails of its sequences") {
  KvCache cache({.layers = 1, .kv_heads = 1, .head_dim = 8, .dtype = DType::f32}, 256);
  const Tokens first = tokens_from(3, 40), second = tokens_from(5, 3), third = tokens_from(7, 2);
  const KvCache::Chunk chunks[] = {
      {.sequence = cache.create(), .tokens = first},
      {.sequence = cache.create(), .tokens = second, .no_logits = true},
      {.sequence = cache.create(), .tokens = third, .all_logits = true}};
  const Batch wanted = cache.append(chunks).wanted();
  CHECK(wanted.query_starts.to_vector() == std::vector<float>{0, 1, 1, 3});
  CHECK(wanted.positions.to_vector() == std::vector<float>{39, 0, 1});
  CHECK(wanted.lengths.to_vector() == std::vector<float>{40, 3, 2});
  CHECK(wanted.logit_rows.to_vector() == std::vector<float>{0, 1, 2});
}
