// The models that are not BPE: Unigram, WordPiece and WordLevel.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/stages.h"

namespace tallow::text {

struct UnigramOptions {
  int32_t unk = -1;  ///< -1: an unknown character is an error
  bool byte_fallback = false;
  bool single_precision = false;    ///< adds scores in f32, as SentencePiece does
  std::span<const uint8_t> hidden;  ///< by id: whether text never becomes it; may be empty
  std::span<const uint8_t> bonus;   ///< by id: whether its score is no probability; may be empty
};

/// `scores` by id: the logarithms of the tokens' probabilities. The tokens of a piece are those
/// with the largest sum (Kudo 2018).
std::unique_ptr<TokenModel> make_unigram(Vocabulary vocabulary, std::span<const double> scores,
                                         const UnigramOptions& options);

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string prefix = "##";  ///< of tokens that do not begin a word
  int64_t longest = 100;      ///< words of more characters are unknown
};

/// Takes the longest token from the left, again and again; a word that this does not cover is
/// unknown.
std::unique_ptr<TokenModel> make_word_piece(Vocabulary vocabulary, WordPieceOptions options);

/// A piece is a token or unknown.
std::unique_ptr<TokenModel> make_word_level(Vocabulary vocabulary, std::string unk_token);

}  // namespace tallow::text
