// The two BPE models: by a list of merges (tokenizer.json, GGUF "gpt2"), and by the scores of the
// tokens (SentencePiece, GGUF "llama").
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer/stages.h"
#include "text/tokenizer/vocabulary.h"

namespace tallow::text {

struct BpeOptions {
  std::string unk_token;                  ///< empty: unknown characters vanish
  std::string continuing_subword_prefix;  ///< before every character but the first
  std::string end_of_word_suffix;         ///< after the last character
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;   ///< a piece that is a token is that token
  bool rank_by_result = false;  ///< merges go by the ids of their results, not by their order
  double dropout = 0;           ///< the chance that a merge waits
  bool strict = true;           ///< a merge of or into unknown tokens is an error, else skipped
};

/// Merges as pairs of token texts, best first.
using Merges = std::span<const std::pair<std::string_view, std::string_view>>;

std::unique_ptr<TokenModel> make_bpe(Vocabulary vocabulary, Merges merges, BpeOptions options);

struct ScoredBpeOptions {
  int32_t unk = -1;                 ///< -1: unknown characters vanish
  bool byte_fallback = true;        ///< they become byte tokens <0x00>, if there are any
  bool fuse_unk = false;            ///< unknown characters in a row are one token
  std::span<const uint8_t> hidden;  ///< by id: whether text never becomes it; may be empty
  std::span<const uint8_t> frozen;  ///< by id: whether it is never split or merged; may be empty
};

/// `scores` by id, higher first.
std::unique_ptr<TokenModel> make_scored_bpe(Vocabulary vocabulary, std::span<const float> scores,
                                            const ScoredBpeOptions& options);

}  // namespace tallow::text
