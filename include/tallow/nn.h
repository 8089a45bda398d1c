// Layers: weights with a forward pass. Members are named as in the checkpoint.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tallow/kv_cache.h"
#include "tallow/ops.h"
#include "tallow/weights.h"

namespace tallow::nn {

/// y = x weight^T + bias: x [..., in], weight [out, in] of any real or block dtype.
struct Linear {
  enum class Bias { none, optional, required };
  Tensor weight, bias;

  Linear() = default;
  Linear(const Weights& w, int64_t in, int64_t out, Bias has_bias = Bias::none);
  Tensor operator()(const Tensor& x) const { return linear(x, weight, bias); }
  template <class V>
  void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

/// Token ids to rows of weight [vocab, dim].
struct Embedding {
  Tensor weight;

  Embedding() = default;
  Embedding(const Weights& w, int64_t vocab, int64_t dim);
  Tensor operator()(const Tensor& ids) const { return embedding_rows(weight, ids); }
  template <class V>
  void visit(V&& v) {
    v("weight", weight);
  }
};

struct RmsNorm {
  Tensor weight;
  double eps = 1e-6;

  RmsNorm() = default;
  /// `offset` is added to the weight: 1 where a checkpoint holds what it differs from 1 by.
  RmsNorm(const Weights& w, int64_t dim, double epsilon, double offset = 0);
  Tensor operator()(const Tensor& x) const { return rms_norm(x, weight.shape(), weight, eps); }
  /// Adds `delta` (if defined) to the residual stream x and returns the norm of the sum.
  Tensor add(Tensor& x, const Tensor& delta) const;
  template <class V>
  void visit(V&& v) {
    v("weight", weight);
  }
};

/// Rotary positions with every scaling that a configuration may name: default, linear, dynamic,
/// yarn, longrope, llama3, proportional. Definitions as in transformers' modeling_rope_utils.
class RotaryEmbedding {
 public:
  RotaryEmbedding() = default;
  /// `divisors` are per-frequency factors that a GGUF file may carry, or undefined.
  RotaryEmbedding(const Config& config, int64_t head_dim, const Tensor& divisors = {});
  /// x [tokens, heads, head_dim], rotated by the batch's positions.
  Tensor operator()(const Tensor& x, const Batch& batch) const;
  /// Radians a token by which each pair turns [rotated / 2], in f32; for short texts where that
  /// depends on the length.
  const Tensor& frequencies() const { return frequencies_; }

 private:
  Tensor frequencies_for(int64_t length) const;

  std::string type_ = "default";
  Tensor frequencies_;       // up to `threshold_` tokens
  Tensor long_frequencies_;  // longrope, past it
  int64_t threshold_ = 0;    // 0: the length does not matter
  double theta_ = 0, factor_ = 1, scale_ = 1;
  int64_t rotated_ = 0;
  bool interleaved_ = false;
};

/// The parameters of a module (anything with `visit`), named as in the checkpoint.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
template <class M>
NamedTensors parameters(M& module, const std::string& prefix = "") {
  NamedTensors found;
  auto visitor = [&](auto&& self, const std::string& path, auto& member) -> void {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Tensor>) {
      if (member.defined()) found.emplace_back(path, member);
    } else if constexpr (requires { member.begin(); }) {
      std::string dot = path.empty() ? "" : ".";
      size_t i = 0;
      for (auto& item : member) self(self, path + dot + std::to_string(i++), item);
    } else {
      member.visit([&](const std::string& name, auto& inner) {
        self(self, path.empty() ? name : path + "." + name, inner);
      });
    }
  };
  visitor(visitor, prefix, module);
  return found;
}

}  // namespace tallow::nn
