// The algorithms behind TokenizerTrainer: each makes the "model" of a tokenizer.json out of words.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/json.h"
#include "tallow/tokenizer_training.h"

namespace tallow::text {

/// A word and how often it occurs.
struct CountedWord {
  std::string_view text;
  uint64_t count;
};
/// Distinct words in the order of their bytes.
using CountedWords = std::vector<CountedWord>;

/// What a training came to: the members of a "model" that it decides.
struct TrainedModel {
  std::vector<std::string> tokens;  ///< by id; empty texts are ids without a token
  std::vector<std::pair<std::string, std::string>> merges;  ///< of BPE, best first
  std::vector<double> scores;                               ///< of Unigram, by id
  Json options = Json::object();                            ///< others
};

/// Calls the progress function of the options, if there is one.
inline void report(const TokenizerTraining& options, std::string_view stage, size_t done,
                   size_t total) {
  if (!options.progress) return;
  options.progress(stage, static_cast<int64_t>(done), static_cast<int64_t>(total));
}

TrainedModel train_bpe(const CountedWords& words, const TokenizerTraining& options);
TrainedModel train_word_piece(const CountedWords& words, const TokenizerTraining& options);
TrainedModel train_unigram(const CountedWords& words, const TokenizerTraining& options);
TrainedModel train_word_level(const CountedWords& words, const TokenizerTraining& options);

/// The tokenizer that has the stages of `untrained`, special tokens, and the model.
Tokenizer assemble(const Json& untrained, const std::vector<AddedToken>& special,
                   const TrainedModel& trained);

/// The first characters of texts.
std::vector<char32_t> first_characters(const std::optional<std::vector<std::string>>& texts);

}  // namespace tallow::text
