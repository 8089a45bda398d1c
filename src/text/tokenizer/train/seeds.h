// The pieces that Unigram starts from: the characters and the most promising substrings of the
// words, and every place in the words where one of them begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer/train/train.h"

namespace tallow::text {

/// Words back to back as code points, each with a 0 behind it.
struct FlatText {
  std::vector<char32_t> characters;
  std::vector<size_t> begin;  ///< of each word; and the end
  explicit FlatText(const CountedWords& words);
  size_t words() const { return begin.size() - 1; }
  /// Where the 0 behind a word stands.
  size_t end(size_t word) const { return begin[word + 1] - 1; }
};

/// A stretch of the text: one of the places where a piece stands.
struct Substring {
  size_t at = 0;
  uint32_t length = 0;
};

/// Pieces as ids, and where they stand.
struct Pieces {
  std::vector<Substring> text;  ///< by id; id 0 is the unknown token, which has none
  std::vector<double> score;    ///< by id; that of id 0 is not a number
  /// The pieces that begin at a place of the text, the shortest first, are
  /// here[first[place]] to here[first[place + 1]].
  std::vector<uint32_t> first, here;

  size_t size() const { return text.size(); }
  /// Keeps the pieces `kept` (0 among them), in that order.
  void keep(const std::vector<uint32_t>& kept);
};

std::string utf8_of(const FlatText& text, Substring piece);

/// Characters by their frequency, then repeated substrings that more than one character can follow
/// by the letters that they cover, a million pieces at most; scores are logarithms of shares.
Pieces seed_pieces(const FlatText& text, const CountedWords& words, int64_t max_piece_length);

}  // namespace tallow::text
