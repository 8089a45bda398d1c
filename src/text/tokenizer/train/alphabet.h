// What BPE starts from: the special tokens and the alphabet, and the words spelled in them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/train/train.h"

namespace tallow::text {

/// The tokens of a vocabulary that grows.
class GrowingVocabulary {
 public:
  /// The id of a token, which is added if it is new.
  uint32_t add(std::string_view token);
  /// The id, or -1.
  int64_t find(const std::string& token) const;
  const std::string& operator[](uint32_t id) const { return tokens_[id]; }
  size_t size() const { return tokens_.size(); }
  std::vector<std::string> take() { return std::move(tokens_); }

 private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, uint32_t> ids_;
};

/// Words as symbols, which are ids of tokens. They only get shorter.
struct SpelledWords {
  std::vector<uint32_t> symbols;
  std::vector<size_t> begin;
  std::vector<uint32_t> length;
  std::vector<uint64_t> count;
};

/// What marks the place of a character in its word.
struct Affixes {
  std::string prefix;  ///< before all but the first
  std::string suffix;  ///< after the last
};

/// Puts special tokens and alphabet into `vocabulary` and spells the words in them. A character
/// that is none of them is left out of its words. Of characters that are equally frequent those
/// with the lower code points are kept; characters with affixes get ids in the order of theirs.
SpelledWords spell_words(const CountedWords& words, const TokenizerTraining& options,
                         const Affixes& affixes, GrowingVocabulary& vocabulary);

}  // namespace tallow::text
