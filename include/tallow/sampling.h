// Choosing the next token, and ending an answer at a stop string.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/random.h"

namespace tallow {

/// How tokens are drawn. The defaults change nothing: plain sampling from the softmax.
/// The steps run in this order, as in transformers: repetition penalty, presence and frequency
/// penalties, logit bias, temperature, top-k, top-p, min-p, typical.
struct SamplingOptions {
  float temperature = 1;         ///< divides the logits; 0 takes the most likely token
  int64_t top_k = 0;             ///< keeps the k most likely (and ties with the last); 0: all
  float top_p = 1;               ///< keeps the fewest whose probabilities reach p
  float min_p = 0;               ///< keeps those at least min_p times as likely as the likeliest
  float typical_p = 1;           ///< locally typical sampling, Meister et al. 2022
  float repetition_penalty = 1;  ///< of every token accepted so far; CTRL, Keskar et al. 2019
  float presence_penalty = 0;    ///< subtracted once from a generated token's logit, as OpenAI's
  float frequency_penalty = 0;   ///< subtracted for each time that it was generated
  std::vector<std::pair<int32_t, float>> logit_bias = {};  ///< added to the logits of these tokens
  uint64_t seed = 0;

  /// Throws Error, naming the option and its range, when a value is outside it.
  void validate() const;
};

/// Draws tokens by SamplingOptions, keeping the history that the penalties need. The same seed,
/// logits and history give the same tokens on every machine.
class Sampler {
 public:
  /// Throws Error when an option is outside its range, or biases a token outside the vocabulary.
  Sampler(SamplingOptions options, int64_t vocab);

  /// The next token for logits [vocab]; ties for the greatest go to the lowest id. It is not
  /// accepted by this. Throws Error when the logits have another length, or hold NaN or nothing
  /// above -infinity.
  int32_t sample(std::span<const float> logits);
  /// Adds a token that was generated to the history.
  void accept(int32_t token);
  /// Adds tokens of the prompt: the repetition penalty covers them, presence and frequency do not.
  void accept_prompt(std::span<const int32_t> tokens);
  /// Forgets the history, not the place in the random sequence.
  void reset();

  /// The distribution that sample() draws from, [vocab]: for tests, and to look at.
  std::vector<float> probabilities(std::span<const float> logits);

  const SamplingOptions& options() const { return options_; }

 private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  struct Seen {
    int32_t token;
    int32_t generated;  // times, apart from the prompt
  };
  std::span<const float> adjust(std::span<const float> logits);
  void remember(int32_t token, bool generated);
  bool filtered() const;
  void gather(std::span<const float> logits, int64_t at_least);
  void gather_from(std::span<const float> logits, float threshold);
  void filter(std::span<const float> logits);
  void cut_top_k();
  void cut_top_p(double mass);
  void cut_typical();
  double weigh();
  int32_t draw_from_all(std::span<const float> logits);

  SamplingOptions options_;
  int64_t vocab_;
  Philox random_;
  std::vector<Seen> history_;
  std::vector<int32_t> slot_;  // of a token in history_, or -1; empty until the first accept
  std::vector<float> adjusted_;
  float peak_ = 0;                     // the greatest logit of this call
  std::vector<float> peaks_;           // and of each block of logits
  std::vector<double> sums_;           // of the exponentials of each block
  std::vector<Candidate> candidates_;  // in the order of their ids
  std::vector<Candidate> scratch_;
  std::vector<float> weights_;  // of the candidates
};

/// Finds stop strings in text that arrives in pieces, and holds back what may begin one.
class StopStrings {
 public:
  /// Throws Error for an empty stop string.
  explicit StopStrings(std::vector<std::string> stops);

  /// Takes the next piece and returns the text that is now certain to come before any stop
  /// string. After a match, nothing more is returned.
  std::string next(std::string_view piece);
  /// What was held back, at the end of the text.
  std::string finish();
  /// The stop string that was found (the one that ends first, of those the one that begins first).
  std::optional<std::string_view> matched() const;

 private:
  struct Stop {
    std::string text;
    std::vector<size_t> fallback;  // Knuth, Morris and Pratt's table
    size_t matched = 0;            // bytes of `text` that the input now ends with
  };
  std::vector<Stop> stops_;
  std::string held_;
  std::optional<size_t> found_;
};

}  // namespace tallow
