// Text to token ids and back, id for id as Hugging Face's `tokenizers` does it: byte-level and
// SentencePiece-style BPE, from a tokenizer.json or from the metadata of a GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tallow {

class Json;

/// The `tokenizer.ggml.*` keys of a GGUF file. The views need to live only while from_gguf runs.
struct GgufVocabulary {
  std::string_view model;                ///< "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string_view pre;                  ///< names the pre-tokenizer's pattern; may be empty
  std::vector<std::string_view> tokens;  ///< by id
  std::vector<std::string_view> merges;  ///< "left right", best first
  std::span<const float> scores;         ///< by id; empty, or as many as tokens
  std::span<const int32_t> types;        ///< by id: 1 normal, 2 unknown, 3 control, 4 user
                                         ///< defined, 5 unused, 6 byte; may be empty
  std::optional<int64_t> bos, eos, eot, unk, pad;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

namespace detail {
struct TokenizerPipeline;
}

/// A tokenizer: normalizer, pre-tokenizer, model, post-processor and decoder in a row. Copies share
/// one immutable state; any number of threads may use it at once.
class Tokenizer {
 public:
  /// Reads the text of a tokenizer.json. `config` is the tokenizer_config.json beside it (or null),
  /// which names the begin and end tokens. `what` begins every error message.
  static Tokenizer from_json(std::string_view tokenizer_json, const Json* config,
                             std::string_view what);
  /// Reads tokenizer.json, tokenizer_config.json and special_tokens_map.json of a folder.
  static Tokenizer from_folder(const std::string& path);
  /// Builds the tokenizer that a GGUF file describes. Throws Error for a kind or a pre-tokenizer
  /// that it does not know.
  static Tokenizer from_gguf(const GgufVocabulary& vocabulary, std::string_view what);

  /// The ids of `text`. Special tokens in the text are recognized; `add_special_tokens` adds those
  /// that the tokenizer puts around a sequence. Invalid UTF-8 counts as U+FFFD, as in Python's
  /// errors="replace".
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  /// The text of `ids`, valid UTF-8. Throws Error for an id outside [0, vocab_size()).
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  /// The piece of an id as the vocabulary spells it; empty for an id without one.
  std::string token(int32_t id) const;
  std::optional<int32_t> token_id(std::string_view token) const;
  bool is_special(int32_t id) const;
  /// One past the largest id.
  int64_t vocab_size() const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  /// The begin and end tokens as text, for chat templates; empty when there is none.
  std::string bos_token() const;
  std::string eos_token() const;
  /// Whether an answer ends at `id`: the end token, or a special token that ends a turn in the
  /// known chat formats ("<|eot_id|>", "<|im_end|>", ...).
  bool is_end(int32_t id) const;

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const detail::TokenizerPipeline> pipeline);
  std::shared_ptr<const detail::TokenizerPipeline> pipeline_;
};

/// Decodes ids one at a time. What next() and finish() return joins to what Tokenizer::decode
/// returns for the same ids, and no part ends inside a UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = false);
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  ~StreamDecoder();

  /// The text that `id` completes; often empty in the middle of a character.
  std::string next(int32_t id);
  /// The text still held back, and a fresh start.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallow
