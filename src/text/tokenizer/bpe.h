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
  bool ignore_merges = false;  ///< a piece that is a token is that token
  double dropout = 0;          ///< the chance that a merge waits
  bool strict = true;          ///< a merge of or into unknown tokens is an error, else skipped
};

/// Merges as pairs of token texts, best first.
using Merges = std::span<const std::pair<std::string_view, std::string_view>>;

std::unique_ptr<TokenModel> make_bpe(Vocabulary vocabulary, Merges merges, BpeOptions options);

/// `scores` by id (higher first); unknown characters become byte tokens <0x00>, else `unk` (-1:
/// they vanish).
std::unique_ptr<TokenModel> make_scored_bpe(Vocabulary vocabulary, std::span<const float> scores,
                                            int32_t unk);

}  // namespace tallow::text
