// Blocks of queries, windows of keys, and the biases between them.
#include "models/encoders/gemma4_band.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tallow {
namespace {

constexpr double kKeyScale = 1.8946361239720115;  // softplus(1), to the base 2

}  // namespace

Band::Band(const ConformerConfig& c, int64_t count)
    : tokens(count),
      chunk(std::min(c.chunk, count)),
      before(std::min(c.before(), count - 1)),
      after(std::min(c.after(), count - 1)),
      blocks((count + chunk - 1) / chunk),
      window(chunk + before + after),
      unseen(c.before() - before),
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

Tensor Band::windows(const Tensor& x) const {
  const int64_t end = blocks * chunk - tokens + after;
  const Tensor padded = pad(x, {0, 0, 0, 0, before, end});
  return unfold(padded, 0, window, chunk).permute({1, 0, 2, 3});
}

Tensor distance_table(const ConformerConfig& c) {
  const int64_t half = c.hidden / 2, shift = (c.chunk + c.left - 1 + c.right) / 2 - (c.left - 1);
  Tensor table = Tensor::zeros({c.before() + c.after() + 1, c.hidden});
  const double step = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  for (int64_t row = 0; row < table.size(0); ++row) {
    const auto position = static_cast<double>(shift + c.before() - row);
    for (int64_t i = 0; i < half && position >= 0; ++i) {
      const double angle = position * std::exp(-step * static_cast<double>(i));
      auto* out = table.data<float>() + row * c.hidden;
      out[i] = static_cast<float>(std::sin(angle));
      out[half + i] = static_cast<float>(std::cos(angle));
    }
  }
  return table;
}

BandAttention::BandAttention(const Weights& w, const ConformerConfig& c)
    : q_proj(w / "q_proj", c.clipped, c.hidden, c.hidden),
      k_proj(w / "k_proj", c.clipped, c.hidden, c.hidden),
      v_proj(w / "v_proj", c.clipped, c.hidden, c.hidden),
      post(w / "post", c.clipped, c.hidden, c.hidden, c.limit),
      relative_k_proj(w / "relative_k_proj", c.hidden, c.hidden),
      heads(c.heads),
      dim(c.hidden / c.heads),
      cap(c.cap) {
  const double by = kKeyScale / (std::sqrt(static_cast<double>(dim)) * std::numbers::ln2 * cap);
  scale = softplus(w.get("per_dim_scale", {dim}).to(DType::f32)) * by;
}

Tensor BandAttention::biases(const Tensor& distances) const {
  return (relative_k_proj(distances) / kKeyScale).reshape({-1, heads, dim}).permute({1, 2, 0});
}

Tensor BandAttention::operator()(const Tensor& x, const Tensor& all_biases,
                                 const Band& band) const {
  const auto split = [&](const Tensor& y) { return y.reshape({-1, heads, dim}); };
  const int64_t rows = band.blocks * band.chunk, distances = band.before + band.after + 1;
  const Tensor queries = pad(split(q_proj(x)) * scale, {0, 0, 0, 0, 0, rows - band.tokens})
                             .permute({1, 0, 2})
                             .contiguous();
  const Tensor keys = band.windows(split(k_proj(x))), values = band.windows(split(v_proj(x)));
  const Shape blocks = {heads, band.blocks, band.chunk, dim};
  const Tensor bias = matmul(queries, all_biases.narrow(2, band.unseen, distances));
  // In row i the bias of key j is at j - i: where that is outside, the key is hidden.
  const Tensor shifted = as_strided(bias, {heads, band.blocks, band.chunk, band.window},
                                    {rows * distances, band.chunk * distances, distances - 1, 1});
  const Tensor scores = tanh(matmul(queries.view(blocks), keys) + shifted) * cap + band.hidden;
  const Tensor seen = matmul(softmax(scores, -1), values.transpose(2, 3));
  const Tensor y = seen.permute({1, 2, 0, 3}).reshape({rows, heads * dim});
  return post(y.narrow(0, 0, band.tokens));
}

}  // namespace tallow
