// Training of tokenizers from text: the vocabularies that the trainers of Hugging Face's
// `tokenizers` make of the same words.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/json.h"
#include "tallow/tokenizer.h"

namespace tallow {

/// What a trainer is asked for. Each model reads the options that name it; the others it leaves.
struct TokenizerTraining {
  /// Tokens of the vocabulary at most (none: 30,000, for Unigram 8,000). The special tokens and the
  /// alphabet count, and are there in any case.
  std::optional<int64_t> vocab_size;
  /// They get the first ids, in this order, and are added tokens of the tokenizer; those that the
  /// untrained tokenizer has come before them.
  std::vector<AddedToken> special_tokens;
  /// How often a pair (BPE, WordPiece) or a word (WordLevel) has to occur.
  int64_t min_frequency = 0;
  /// BPE, WordPiece: keep that many of the characters, the most frequent ones.
  std::optional<int64_t> limit_alphabet;
  /// Not WordLevel: characters that are in the alphabet in any case; of each text the first (none:
  /// those that stand for bytes where the pre-tokenizer is ByteLevel, else no others).
  std::optional<std::vector<std::string>> initial_alphabet;
  /// BPE, WordPiece: what stands before a token that continues a word, and after one that ends it
  /// (none: as the untrained model says; "##" for WordPiece, else nothing).
  std::optional<std::string> continuing_subword_prefix, end_of_word_suffix;
  /// BPE: a pair is joined while its characters are fewer.
  std::optional<int64_t> max_token_length;
  /// Unigram: the unknown token, which is put before the special tokens if it is none of them
  /// (none: the "unk_token" of the untrained model).
  std::optional<std::string> unk_token;
  /// Unigram: the share of the pieces that a round of pruning keeps, in [0, 1).
  double shrinking_factor = 0.75;
  /// Unigram: characters of a piece at most, and rounds of EM before each pruning.
  int64_t max_piece_length = 16;
  int64_t n_sub_iterations = 2;
  /// Called now and then with what is being done and how far it is; may be empty.
  std::function<void(std::string_view stage, int64_t done, int64_t total)> progress;
};

/// A tokenizer without a vocabulary, an object as in tokenizer.json: the stages that usually go
/// with a model, which is "bpe" (byte-level, as GPT-2's), "wordpiece" (BERT's), "unigram"
/// (SentencePiece's) or "wordlevel" (words between spaces). Throws Error for another one.
Json untrained_tokenizer(std::string_view model);
/// The stages, the model's options and the special tokens of a tokenizer, to train it anew.
Json untrained_tokenizer(const Tokenizer& like);

/// Counts the words of texts, then makes a vocabulary of them.
///
///   TokenizerTrainer trainer(untrained_tokenizer("bpe"), {.vocab_size = 8000});
///   trainer.add_file("book.txt");
///   Tokenizer tokenizer = trainer.train();
///
/// The result does not depend on the number of threads, nor on the order of the texts.
class TokenizerTrainer {
 public:
  /// Takes the stages and the added tokens of `untrained`, and the type and the options of its
  /// model. Ids in its post-processor become those that the tokens get. Throws Error for what is
  /// malformed or out of range.
  TokenizerTrainer(Json untrained, TokenizerTraining options);
  TokenizerTrainer(TokenizerTrainer&&) noexcept;
  TokenizerTrainer& operator=(TokenizerTrainer&&) noexcept;
  ~TokenizerTrainer();

  /// Counts the words of texts, on all threads. Invalid UTF-8 counts as U+FFFD.
  void add(std::span<const std::string_view> texts);
  /// Counts the words of a file's lines, each with its end. Throws Error for a file that cannot be
  /// read and for invalid UTF-8, with its offset.
  void add_file(const std::string& path);
  /// Distinct words so far.
  int64_t word_count() const;
  /// Makes the vocabulary. Throws Error where it cannot hold what it has to.
  Tokenizer train() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallow
