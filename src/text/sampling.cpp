// Sampling from logits. Nothing is sorted whole: the greatest logit of each block of 64 finds the
// few candidates that filters keep, and only those are looked at.
#include "tallow/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tallow/error.h"

namespace tallow {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kBlock = 64;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Float4 = float __attribute__((vector_size(16)));
using Int4 = int32_t __attribute__((vector_size(16)));

/// exp(x) for x <= 0, within 2 ulp; 0 below -87. Our own, so that it is quick, and so that a seed
/// means the same text under every C library. Polynomial: Cephes' expf.
inline Float4 exp_of(Float4 x) {
  const Float4 shift = Float4{} + 12582912.0f;  // adding it rounds to an integer
  const Int4 far = x < -87.0f;
  const Float4 clamped = far ? Float4{} - 87.0f : x;
  const Float4 shifted = clamped * 1.44269504088896341f + shift;
  const Float4 n = shifted - shift;
  const Float4 f = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  Float4 p = f * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  const Int4 exponent = (std::bit_cast<Int4>(shifted) - 0x4B400000 + 127) << 23;
  return far ? Float4{} : p * std::bit_cast<Float4>(exponent);
}

inline float exp_of(float x) { return exp_of(Float4{} + x)[0]; }

/// weights[i] = exp((x[i] - peak) / temperature); returns their sum. The two may be the same.
double exponentials(const float* x, size_t n, float peak, float temperature, float* weights) {
  double total = 0;
  size_t i = 0;
  while (i + kLanes <= n) {
    Float4 sums = {};  // over few enough numbers to lose nothing
    const size_t end = std::min(n, i + 256);
    for (; i + 4 <= end; i += 4) {
      Float4 v;
      std::memcpy(&v, x + i, sizeof v);
      v = exp_of((v - peak) / temperature);
      std::memcpy(weights + i, &v, sizeof v);
      sums += v;
    }
    total += static_cast<double>(sums[0] + sums[1] + (sums[2] + sums[3]));
  }
  for (; i < n; ++i) {
    weights[i] = exp_of((x[i] - peak) / temperature);
    total += static_cast<double>(weights[i]);
  }
  return total;
}

/// The greatest of n numbers (those that are not NaN), and whether any is NaN.
float greatest(const float* x, size_t n, bool& nan) {
  float lanes[kLanes];
  int32_t bad[kLanes] = {};
  std::fill(lanes, lanes + kLanes, -kInfinity);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
      bad[j] |= x[i + j] != x[i + j] ? 1 : 0;
    }
  }
  for (; i < n; ++i) {
    lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    bad[0] |= x[i] != x[i] ? 1 : 0;
  }
  for (const int32_t b : bad) nan = nan || b != 0;
  return *std::max_element(lanes, lanes + kLanes);
}

/// Fills `peaks` with the greatest logit of each block and returns the greatest of all.
float find_peaks(std::span<const float> logits, std::vector<float>& peaks) {
  peaks.resize((logits.size() + kBlock - 1) / kBlock);
  bool nan = false;
  for (size_t b = 0; b < peaks.size(); ++b) {
    const size_t begin = b * kBlock;
    peaks[b] = greatest(logits.data() + begin, std::min(kBlock, logits.size() - begin), nan);
  }
  const float peak = *std::max_element(peaks.begin(), peaks.end());
  if (nan) fail("logits: one is NaN; the model's weights or its input are damaged");
  if (std::isinf(peak)) fail("logits: the greatest is ", peak, ", so no token can be chosen");
  return peak;
}

/// The lowest id whose logit is the peak.
int32_t first_peak(std::span<const float> logits, const std::vector<float>& peaks, float peak) {
  const auto block =
      static_cast<size_t>(std::find(peaks.begin(), peaks.end(), peak) - peaks.begin());
  size_t i = block * kBlock;
  while (logits[i] != peak) ++i;
  return static_cast<int32_t>(i);
}

/// The least element, in the order `less`, such that it and all before it weigh `mass`. Reorders
/// the items. Halving with nth_element makes it linear in their number.
template <class T, class Less, class Weight>
T select_mass(std::vector<T>& items, double mass, const Less& less, const Weight& weight) {
  auto low = items.begin();
  auto high = items.end();
  double before = 0;
  while (high - low > 32) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, less);
    double half = 0;
    for (auto it = low; it != middle; ++it) half += weight(*it);
    if (before + half >= mass) {
      high = middle;
    } else {
      before += half;
      low = middle;
    }
  }
  std::sort(low, high, less);
  for (; low + 1 != high; ++low) {
    before += weight(*low);
    if (before >= mass) break;
  }
  return *low;
}

void check(bool ok, const char* name, float value, const char* range) {
  if (!ok) fail("sampling: ", name, " is ", value, "; it must be ", range);
}

}  // namespace

void SamplingOptions::validate() const {
  check(temperature >= 0 && std::isfinite(temperature), "temperature", temperature, "0 or more");
  if (top_k < 0) fail("sampling: top_k is ", top_k, "; it must be 0 (all tokens) or more");
  check(top_p >= 0 && top_p <= 1, "top_p", top_p, "between 0 and 1");
  check(min_p >= 0 && min_p <= 1, "min_p", min_p, "between 0 and 1");
  check(typical_p > 0 && typical_p <= 1, "typical_p", typical_p, "above 0, and at most 1");
  check(repetition_penalty > 0 && std::isfinite(repetition_penalty), "repetition_penalty",
        repetition_penalty, "above 0");
  check(std::isfinite(presence_penalty), "presence_penalty", presence_penalty, "finite");
  check(std::isfinite(frequency_penalty), "frequency_penalty", frequency_penalty, "finite");
  for (const auto& [token, bias] : logit_bias) {
    check(bias < kInfinity, "a logit bias", bias, "finite, or -infinity");
  }
}

Sampler::Sampler(SamplingOptions options, int64_t vocab)
    : options_(std::move(options)), vocab_(vocab), random_(options_.seed) {
  options_.validate();
  if (vocab <= 0 || vocab > std::numeric_limits<int32_t>::max()) {
    fail("sampling: a vocabulary of ", vocab, " tokens; it must be between 1 and 2^31 - 1");
  }
  for (const auto& [token, bias] : options_.logit_bias) {
    if (token < 0 || token >= vocab) {
      fail("sampling: a logit bias for token ", token, ", but the vocabulary has ", vocab);
    }
  }
}

void Sampler::remember(int32_t token, bool generated) {
  if (token < 0 || token >= vocab_) {
    fail("sampling: token ", token, " is outside the vocabulary of ", vocab_);
  }
  if (slot_.empty()) slot_.assign(static_cast<size_t>(vocab_), -1);
  int32_t& slot = slot_[static_cast<size_t>(token)];
  if (slot < 0) {
    slot = static_cast<int32_t>(history_.size());
    history_.push_back({token, 0});
  }
  if (generated) ++history_[static_cast<size_t>(slot)].generated;
}

void Sampler::accept(int32_t token) { remember(token, true); }

void Sampler::accept_prompt(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) remember(token, false);
}

void Sampler::reset() {
  history_.clear();
  slot_.clear();
}

std::span<const float> Sampler::adjust(std::span<const float> logits) {
  if (static_cast<int64_t>(logits.size()) != vocab_) {
    fail("sampling: ", logits.size(), " logits for a vocabulary of ", vocab_, " tokens");
  }
  const SamplingOptions& o = options_;
  const bool penalties =
      o.repetition_penalty != 1 || o.presence_penalty != 0 || o.frequency_penalty != 0;
  if (o.logit_bias.empty() && (!penalties || history_.empty())) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (const Seen& seen : history_) {
    float& x = adjusted_[static_cast<size_t>(seen.token)];
    x = x < 0 ? x * o.repetition_penalty : x / o.repetition_penalty;
    if (seen.generated == 0) continue;
    x -= o.presence_penalty + o.frequency_penalty * static_cast<float>(seen.generated);
  }
  for (const auto& [token, bias] : o.logit_bias) adjusted_[static_cast<size_t>(token)] += bias;
  return adjusted_;
}

bool Sampler::filtered() const {
  return (options_.top_k > 0 && options_.top_k < vocab_) || options_.top_p < 1 ||
         options_.min_p > 0 || options_.typical_p < 1;
}

/// Candidates are the tokens whose logit is at least `threshold`, in the order of their ids.
void Sampler::gather_from(std::span<const float> logits, float threshold) {
  candidates_.clear();
  for (size_t b = 0; b < peaks_.size(); ++b) {
    if (!(peaks_[b] >= threshold)) continue;
    const size_t end = std::min(logits.size(), (b + 1) * kBlock);
    for (size_t i = b * kBlock; i < end; ++i) {
      if (logits[i] >= threshold) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
    }
  }
}

/// Gathers the `at_least` most likely tokens and some more: each of the blocks with the highest
/// peaks has one token above the lowest of those peaks.
void Sampler::gather(std::span<const float> logits, int64_t at_least) {
  const auto n = static_cast<size_t>(at_least);
  if (n > peaks_.size()) return gather_from(logits, -kInfinity);
  std::vector<float> sorted = peaks_;
  const auto last = sorted.begin() + static_cast<std::ptrdiff_t>(n - 1);
  std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
  gather_from(logits, *last);
}

void Sampler::cut_top_k() {
  const auto k = static_cast<size_t>(options_.top_k);
  if (options_.top_k == 0 || k >= candidates_.size()) return;
  scratch_ = candidates_;
  const auto kth = scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(scratch_.begin(), kth, scratch_.end(),
                   [](const Candidate& a, const Candidate& b) { return a.logit > b.logit; });
  const float threshold = kth->logit;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < threshold; });
}

/// Keeps the fewest of the most likely candidates whose exponentials add up to `mass`.
void Sampler::cut_top_p(double mass) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  scratch_ = candidates_;
  const Candidate last = select_mass(scratch_, mass, before, [&](const Candidate& c) {
    return static_cast<double>(exp_of((c.logit - peak_) / options_.temperature));
  });
  std::erase_if(candidates_, [&](const Candidate& c) { return before(last, c); });
}

/// Keeps those whose surprise is nearest to the entropy, until they hold typical_p of the mass.
void Sampler::cut_typical() {
  const double total = weigh();
  const auto exponent = [&](const Candidate& c) {
    return (c.logit - peak_) / options_.temperature;
  };
  double mean = 0;  // log(total) less this is the entropy, and less an exponent the surprise
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (weights_[i] == 0) continue;
    mean += static_cast<double>(weights_[i]) * static_cast<double>(exponent(candidates_[i]));
  }
  mean /= total;
  const auto oddity = [&](const Candidate& c) {
    return static_cast<float>(std::abs(static_cast<double>(exponent(c)) - mean));
  };
  struct Item {
    float oddity;
    float weight;
  };
  std::vector<Item> items(candidates_.size());
  for (size_t i = 0; i < items.size(); ++i) items[i] = {oddity(candidates_[i]), weights_[i]};
  const Item last = select_mass(
      items, static_cast<double>(options_.typical_p) * total,
      [](const Item& a, const Item& b) { return a.oddity < b.oddity; },
      [](const Item& item) { return static_cast<double>(item.weight); });
  std::erase_if(candidates_, [&](const Candidate& c) { return oddity(c) > last.oddity; });
}

/// weights_ of the candidates; returns their sum.
double Sampler::weigh() {
  weights_.resize(candidates_.size());
  for (size_t i = 0; i < candidates_.size(); ++i) weights_[i] = candidates_[i].logit;
  return exponentials(weights_.data(), weights_.size(), peak_, options_.temperature,
                      weights_.data());
}

/// Leaves in candidates_ the tokens that may be drawn.
void Sampler::filter(std::span<const float> logits) {
  const SamplingOptions& o = options_;
  constexpr int64_t kFew = 256;
  const bool top_k = o.top_k > 0 && o.top_k < vocab_;
  double total = 0;  // of the exponentials that top-p divides
  if (top_k) {
    gather(logits, o.top_k);
    cut_top_k();
    if (o.top_p < 1) total = weigh();
  } else if (o.top_p < 1) {
    weights_.resize(logits.size());
    total = exponentials(logits.data(), logits.size(), peak_, o.temperature, weights_.data());
    gather(logits, kFew);
    if (weigh() < static_cast<double>(o.top_p) * total) gather_from(logits, -kInfinity);
  } else {
    // The margin is for rounding; the exact comparison follows.
    const float reach = o.min_p > 0 ? o.temperature * (std::log(o.min_p) - 0.01f) : -kInfinity;
    gather_from(logits, peak_ + reach);
  }
  if (o.top_p < 1) cut_top_p(static_cast<double>(o.top_p) * total);
  if (o.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return exp_of((c.logit - peak_) / o.temperature) < o.min_p;
    });
  }
  if (o.typical_p < 1) cut_typical();
}

/// Draws from the softmax of all logits: first a block by its sum, then a token in it.
int32_t Sampler::draw_from_all(std::span<const float> logits) {
  constexpr size_t kWide = 1024;
  sums_.resize((logits.size() + kWide - 1) / kWide);
  float weights[kWide];
  const auto weigh_block = [&](size_t b) {
    const size_t begin = b * kWide;
    return exponentials(logits.data() + begin, std::min(kWide, logits.size() - begin), peak_,
                        options_.temperature, weights);
  };
  double total = 0;
  for (size_t b = 0; b < sums_.size(); ++b) total += sums_[b] = weigh_block(b);
  double left = random_.uniform() * total;
  size_t block = 0;
  while (block + 1 < sums_.size() && left >= sums_[block]) left -= sums_[block++];
  while (sums_[block] == 0) --block;  // where rounding carried it past the last token
  weigh_block(block);
  const size_t n = std::min(kWide, logits.size() - block * kWide);
  size_t chosen = 0;
  for (size_t i = 0; i < n; ++i) {
    if (weights[i] == 0) continue;
    chosen = i;
    if (left < static_cast<double>(weights[i])) break;
    left -= static_cast<double>(weights[i]);
  }
  return static_cast<int32_t>(block * kWide + chosen);
}

int32_t Sampler::sample(std::span<const float> logits) {
  const std::span<const float> x = adjust(logits);
  peak_ = find_peaks(x, peaks_);
  if (options_.temperature == 0) return first_peak(x, peaks_, peak_);
  if (!filtered()) return draw_from_all(x);
  filter(x);
  double left = random_.uniform() * weigh();
  int32_t chosen = candidates_.front().token;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (weights_[i] == 0) continue;
    chosen = candidates_[i].token;
    if (left < static_cast<double>(weights_[i])) break;
    left -= static_cast<double>(weights_[i]);
  }
  return chosen;
}

std::vector<float> Sampler::probabilities(std::span<const float> logits) {
  const std::span<const float> x = adjust(logits);
  peak_ = find_peaks(x, peaks_);
  std::vector<float> result(logits.size(), 0.0f);
  if (options_.temperature == 0) {
    result[static_cast<size_t>(first_peak(x, peaks_, peak_))] = 1;
    return result;
  }
  if (filtered()) {
    filter(x);
  } else {
    gather_from(x, -kInfinity);
  }
  const double total = weigh();
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const double p = static_cast<double>(weights_[i]) / total;
    result[static_cast<size_t>(candidates_[i].token)] = static_cast<float>(p);
  }
  return result;
}

}  // namespace tallow
