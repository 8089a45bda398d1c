// Rotary frequencies and their scalings, in the arithmetic (f32) and order of transformers'
// modeling_rope_utils, so that results agree to the last bits.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tallow/error.h"
#include "tallow/nn.h"

namespace tallow::nn {
namespace {

using Frequencies = std::vector<float>;

// The scaling's own parameters: newer files keep them, with theta, in rope_parameters.
class RopeConfig {
 public:
  RopeConfig(const Config& config, int64_t head_dim)
      : rope_(section(config), config.what() + ": rope_parameters") {
    theta = number_or("rope_theta", config.number_or("rope_theta", 10000));
    type = rope_.string_or("rope_type", rope_.string_or("type", "default"));
    double part = number_or("partial_rotary_factor", config.number_or("partial_rotary_factor", 1));
    turning = static_cast<int64_t>(static_cast<double>(head_dim) * part / 2);
    rotated = config.integer_or("rotary_dim",
                                static_cast<int64_t>(static_cast<double>(head_dim) * part), 0);
    if (type == "proportional") rotated = head_dim;
    if (!(theta > 0) || !std::isfinite(theta)) {
      fail(config.what(), ": rope_theta ", theta, " is not a positive number");
    }
    if (rotated < 2 || rotated > head_dim || rotated % 2) {
      fail(config.what(), ": rope rotates ", rotated, " of ", head_dim,
           " features of a head; it must be an even number of them");
    }
    positions = config.integer_or("max_position_embeddings", 2048);
    original = config.has("original_max_position_embeddings")
                   ? config.integer("original_max_position_embeddings")
                   : rope_.integer_or("original_max_position_embeddings", positions);
  }

  bool has(const char* key) const { return rope_.has(key); }
  double number(const char* key) const { return rope_.number(key); }
  double number_or(const char* key, double fallback) const {
    return rope_.number_or(key, fallback);
  }
  double positive(const char* key) const {
    double value = rope_.number(key);
    if (!(value > 0) || !std::isfinite(value)) {
      fail(rope_.what(), ": ", key, " ", value, " is not a positive number");
    }
    return value;
  }
  bool boolean_or(const char* key, bool fallback) const { return rope_.boolean_or(key, fallback); }

  Frequencies list(const char* key) const {
    const Json* values = rope_.find(key);
    if (!values || !values->is_array() ||
        static_cast<int64_t>(values->items().size()) != rotated / 2) {
      fail(rope_.what(), ": ", key, " must be a list of ", rotated / 2, " numbers");
    }
    Frequencies result;
    for (const Json& v : values->items()) result.push_back(static_cast<float>(v.number()));
    return result;
  }

  double theta;
  std::string type;
  int64_t rotated, positions, original;
  int64_t turning;  // pairs, of proportional

 private:
  static Json section(const Config& config) {
    for (const char* key : {"rope_parameters", "rope_scaling"}) {
      const Json* found = config.find(key);
      if (found && found->is_object()) return *found;
    }
    return Json::object();
  }

  Config rope_;
};

Frequencies default_frequencies(double theta, int64_t rotated) {
  Frequencies f;
  for (int64_t i = 0; i < rotated; i += 2) {
    float exponent = static_cast<float>(i) / static_cast<float>(rotated);
    f.push_back(1.0f / std::pow(static_cast<float>(theta), exponent));
  }
  return f;
}

double yarn_magnitude(double scale, double mscale) {
  return scale <= 1 ? 1 : 0.1 * mscale * std::log(scale) + 1;
}

// Peng et al., 2023 (YaRN). Sets the factor on cos and sin.
Frequencies yarn_frequencies(const RopeConfig& c, double& scale) {
  double factor = c.has("factor")
                      ? c.positive("factor")
                      : static_cast<double>(c.positions) / static_cast<double>(c.original);
  double mscale = c.number_or("mscale", 0), mscale_all = c.number_or("mscale_all_dim", 0);
  if (c.has("attention_factor")) {
    scale = c.number("attention_factor");
  } else if (mscale != 0 && mscale_all != 0) {
    scale = yarn_magnitude(factor, mscale) / yarn_magnitude(factor, mscale_all);
  } else {
    scale = yarn_magnitude(factor, 1);
  }
  auto dim = static_cast<double>(c.rotated);
  auto correction = [&](double rotations) {
    return dim * std::log(static_cast<double>(c.original) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(c.theta));
  };
  auto or_default = [&](const char* key, double fallback) {
    double value = c.number_or(key, fallback);
    return value == 0 ? fallback : value;
  };
  double low = correction(or_default("beta_fast", 32));
  double high = correction(or_default("beta_slow", 1));
  if (c.boolean_or("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  Frequencies f = default_frequencies(c.theta, c.rotated);
  for (size_t i = 0; i < f.size(); ++i) {
    float ramp = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    ramp = std::clamp(ramp, 0.0f, 1.0f);
    f[i] = f[i] / static_cast<float>(factor) * ramp + f[i] * (1 - ramp);
  }
  return f;
}

// The LLaMA 3.1 rule: long wavelengths are divided, short ones kept, those between interpolated.
Frequencies llama3_frequencies(const RopeConfig& c) {
  double factor = c.positive("factor");
  double low = c.positive("low_freq_factor"), high = c.positive("high_freq_factor");
  auto context = static_cast<double>(c.original);
  Frequencies f = default_frequencies(c.theta, c.rotated);
  for (float& x : f) {
    double wavelength = 2 * std::numbers::pi / x;
    if (wavelength > context / low) {
      x = static_cast<float>(x / factor);
    } else if (wavelength >= context / high) {
      double smooth = (context / wavelength - low) / (high - low);
      x = static_cast<float>((1 - smooth) * x / factor + smooth * x);
    }
  }
  return f;
}

// Exponents over the whole head, of which only the first pairs turn.
Frequencies proportional_frequencies(const RopeConfig& c) {
  const auto factor = static_cast<float>(c.number_or("factor", 1));
  Frequencies f = default_frequencies(c.theta, c.rotated);
  for (size_t i = 0; i < f.size(); ++i) {
    f[i] = static_cast<int64_t>(i) < c.turning ? f[i] / factor : 0;
  }
  return f;
}

double longrope_scale(const RopeConfig& c) {
  if (c.has("attention_factor")) return c.number("attention_factor");
  auto original = static_cast<double>(c.original);
  double factor =
      c.has("factor") ? c.positive("factor") : static_cast<double>(c.positions) / original;
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
}

Tensor to_tensor(const Frequencies& f) {
  return Tensor::from(std::span<const float>(f), {static_cast<int64_t>(f.size())});
}

Frequencies divided(Frequencies f, const Frequencies& by) {
  for (size_t i = 0; i < f.size(); ++i) f[i] /= by[i];
  return f;
}

}  // namespace

RotaryEmbedding::RotaryEmbedding(const Config& config, int64_t head_dim, const Tensor& divisors)
    : interleaved_(config.boolean_or("rope_interleaved", false)) {
  RopeConfig c(config, head_dim);
  type_ = c.type;
  theta_ = c.theta;
  rotated_ = c.rotated;
  Frequencies f = default_frequencies(c.theta, c.rotated);
  if (type_ == "linear") {
    auto factor = static_cast<float>(c.positive("factor"));
    for (float& x : f) x /= factor;
  } else if (type_ == "dynamic") {
    factor_ = c.positive("factor");
    threshold_ = c.positions;
  } else if (type_ == "yarn") {
    f = yarn_frequencies(c, scale_);
  } else if (type_ == "llama3") {
    f = llama3_frequencies(c);
  } else if (type_ == "proportional") {
    f = proportional_frequencies(c);
  } else if (type_ == "longrope") {
    long_frequencies_ = to_tensor(divided(f, c.list("long_factor")));
    f = divided(f, c.list("short_factor"));
    threshold_ = c.original;
    scale_ = longrope_scale(c);
  } else if (type_ != "default") {
    fail(config.what(), ": rope_type '", type_,
         "' is unknown; known are default, linear, dynamic, yarn, longrope, llama3, "
         "proportional");
  }
  if (divisors.defined()) {
    if (divisors.numel() != rotated_ / 2) {
      fail(config.what(), ": rope_freqs has ", divisors.numel(), " factors for ", rotated_ / 2,
           " frequencies");
    }
    f = divided(f, divisors.to_vector());
  }
  frequencies_ = to_tensor(f);
}

Tensor RotaryEmbedding::frequencies_for(int64_t length) const {
  if (threshold_ == 0 || length <= threshold_) return frequencies_;
  if (type_ == "longrope") return long_frequencies_;
  auto dim = static_cast<double>(rotated_);
  double stretch =
      factor_ * static_cast<double>(length) / static_cast<double>(threshold_) - (factor_ - 1);
  return to_tensor(default_frequencies(theta_ * std::pow(stretch, dim / (dim - 2)), rotated_));
}

Tensor RotaryEmbedding::operator()(const Tensor& x, const Batch& batch) const {
  RopeOptions options{interleaved_};
  bool uniform = threshold_ == 0 || std::ranges::all_of(batch.rope_lengths,
                                                        [&](int64_t n) { return n <= threshold_; });
  if (uniform) return rope(x, batch.positions, frequencies_, options, scale_);
  Tensors parts;
  const int32_t* starts = batch.query_starts.data<int32_t>();
  for (size_t s = 0; s < batch.rope_lengths.size(); ++s) {
    int64_t begin = starts[s], count = starts[s + 1] - begin;
    if (count == 0) continue;
    parts.push_back(rope(x.narrow(0, begin, count), batch.positions.narrow(0, begin, count),
                         frequencies_for(batch.rope_lengths[s]), options, scale_));
  }
  return parts.empty() ? x : cat(parts, 0);
}

}  // namespace tallow::nn
