// Text to token ids and back, id for id as Hugging Face's `tokenizers` does it, from a
// tokenizer.json, the files of SentencePiece and tiktoken, or the metadata of a GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tallow {

class Json;
class Encode;

/// The `tokenizer.ggml.*` keys of a GGUF file. The views need to live only while from_gguf runs.
struct GgufVocabulary {
  std::string_view model;                ///< "gpt2" (byte-level BPE), "llama" (SentencePiece's
                                         ///< BPE), "t5" (its Unigram), "bert" (WordPiece) or "rwkv"
  std::string_view pre;                  ///< names the pre-tokenizer's pattern; may be empty
  std::vector<std::string_view> tokens;  ///< by id
  std::vector<std::string_view> merges;  ///< "left right", best first
  std::span<const float> scores;         ///< by id; empty, or as many as tokens
  std::span<const int32_t> types;        ///< by id: 1 normal, 2 unknown, 3 control, 4 user
                                         ///< defined, 5 unused, 6 byte; may be empty
  std::optional<int64_t> bos, eos, eot, unk, pad, cls, sep;
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::string_view charsmap;  ///< SentencePiece's rewriting rules; may be empty
};

namespace detail {
struct TokenizerPipeline;
struct EncodingData;
}  // namespace detail

/// A token that is found in the text before the model sees it.
struct AddedToken {
  std::string content;
  int32_t id = -1;           ///< -1: that of the vocabulary, else the next free one
  bool single_word = false;  ///< not inside a word
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< looked for in the normalized text
  bool special = false;      ///< left out of decoded text on demand
  bool operator==(const AddedToken&) const = default;
};

/// How an encoding is cut to a length; what is cut off overflows into encodings of its own.
struct TextTruncation {
  enum class Strategy { longest_first, only_first, only_second };
  int64_t max_length = 512;  ///< special tokens included
  int64_t stride = 0;        ///< how many tokens neighbouring encodings share
  Strategy strategy = Strategy::longest_first;
  bool left = false;  ///< cuts at the beginning
};

/// How an encoding is filled up.
struct TextPadding {
  std::optional<int64_t> length;  ///< none: that of the longest in the batch
  int64_t multiple_of = 0;        ///< rounds the length up; 0: does not
  int32_t id = 0;
  int32_t type_id = 0;
  std::string token = "[PAD]";
  bool left = false;
};

/// What a text, or a pair of texts, became: the ids, and what each token is and stands for. Fields
/// but the ids are made when they are asked for.
class Encoding {
 public:
  /// A stretch [begin, end) of the text in code points, or of tokens.
  using Range = std::pair<int64_t, int64_t>;

  const std::vector<int32_t>& ids() const;
  std::vector<std::string> tokens() const;
  /// What each token stands for in its sequence; (0, 0) for special tokens and padding.
  std::vector<Range> offsets() const;
  std::vector<int32_t> type_ids() const;
  std::vector<int32_t> special_tokens_mask() const;
  /// 0 for padding, else 1.
  std::vector<int32_t> attention_mask() const;
  /// The number of the word (of the pre-tokenizer's, or as given) or -1.
  std::vector<int32_t> word_ids() const;
  /// 0 or 1, or -1 for special tokens and padding.
  std::vector<int32_t> sequence_ids() const;
  int64_t n_sequences() const;
  /// What truncation cut off.
  const std::vector<Encoding>& overflowing() const;

  std::optional<int64_t> char_to_token(int64_t at, int64_t sequence = 0) const;
  std::optional<int64_t> char_to_word(int64_t at, int64_t sequence = 0) const;
  std::optional<Range> word_to_tokens(int64_t word, int64_t sequence = 0) const;
  std::optional<Range> word_to_chars(int64_t word, int64_t sequence = 0) const;
  std::optional<int64_t> token_to_sequence(int64_t token) const;
  /// The token's sequence and what it stands for there, or its word there.
  std::optional<std::pair<int64_t, Range>> token_to_chars(int64_t token) const;
  std::optional<std::pair<int64_t, int64_t>> token_to_word(int64_t token) const;

 private:
  friend class Encode;
  std::shared_ptr<const detail::EncodingData> data_;
};

/// A text and the one that goes with it, if any; or the words of each.
struct EncodeInput {
  std::vector<std::string_view> text;  ///< one text, or words
  std::vector<std::string_view> pair;
  bool has_pair = false;
  bool words = false;
};

/// A tokenizer: normalizer, pre-tokenizer, model, post-processor and decoder in a row. Copies share
/// one immutable state; any number of threads may use it at once.
class Tokenizer {
 public:
  /// Reads the text of a tokenizer.json. `config` is the tokenizer_config.json beside it (or null),
  /// which names the begin and end tokens. `what` begins every error message.
  static Tokenizer from_json(std::string_view tokenizer_json, const Json* config,
                             std::string_view what);
  /// Reads a SentencePiece model, a tokenizer.model or spiece.model.
  static Tokenizer from_sentencepiece(std::string_view model, std::string_view what);
  /// Opens a model's folder, or a file by what it holds: tokenizer.json, tekken.json, a
  /// SentencePiece model, tiktoken's ranks, vocab.txt, vocab.json beside merges.txt.
  static Tokenizer from_file(const std::string& path);
  /// Reads the tokenizer of a folder, with tokenizer_config.json and special_tokens_map.json.
  static Tokenizer from_folder(const std::string& path);
  /// Builds the tokenizer that a GGUF file describes. Throws Error for a kind or a pre-tokenizer
  /// that it does not know.
  static Tokenizer from_gguf(const GgufVocabulary& vocabulary, std::string_view what);

  /// The ids of `text`, neither truncated nor padded. Special tokens in the text are recognized;
  /// `add_special_tokens` adds those that the tokenizer puts around a sequence. Invalid UTF-8
  /// counts as U+FFFD, as in Python's errors="replace".
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  /// The ids and all that goes with them, truncated and padded as set.
  Encoding encoding(const EncodeInput& input, bool add_special_tokens = true) const;
  /// The same of many inputs, on all threads.
  std::vector<Encoding> encodings(std::span<const EncodeInput> inputs,
                                  bool add_special_tokens = true) const;
  /// The text of `ids`, valid UTF-8. Throws Error for an id outside [0, vocab_size()).
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;
  std::vector<std::string> decode_batch(std::span<const std::vector<int32_t>> ids,
                                        bool skip_special_tokens = false) const;

  /// The piece of an id as the vocabulary spells it; empty for an id without one.
  std::string token(int32_t id) const;
  std::optional<int32_t> token_id(std::string_view token) const;
  bool is_special(int32_t id) const;
  /// Whether the model has a token of that text, apart from those added to it.
  bool in_model(std::string_view token) const;
  /// One past the largest id.
  int64_t vocab_size() const;
  /// The number of tokens: of the model, and of those added to it.
  int64_t token_count(bool with_added_tokens = true) const;

  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  /// The begin and end tokens as text, for chat templates; empty when there is none.
  std::string bos_token() const;
  std::string eos_token() const;
  /// Whether an answer ends at `id`: the end token, or a special token that ends a turn in the
  /// known chat formats ("<|eot_id|>", "<|im_end|>", ...).
  bool is_end(int32_t id) const;

  const std::vector<AddedToken>& added_tokens() const;
  /// Adds tokens; returns how many were not there before.
  int64_t add_tokens(std::vector<AddedToken> tokens);
  const std::optional<TextTruncation>& truncation() const { return truncation_; }
  void set_truncation(std::optional<TextTruncation> truncation);
  const std::optional<TextPadding>& padding() const { return padding_; }
  void set_padding(std::optional<TextPadding> padding);
  /// Whether special tokens in a text are text like any other.
  bool encodes_special_tokens() const { return encodes_special_; }
  void set_encodes_special_tokens(bool on) { encodes_special_ = on; }
  /// How many special tokens are added around a text or a pair.
  int64_t special_tokens_added(bool pair) const;

  /// The text of a tokenizer.json that says the same.
  std::string to_json() const;

 private:
  friend class StreamDecoder;
  friend class Encode;
  explicit Tokenizer(std::shared_ptr<const detail::TokenizerPipeline> pipeline);
  std::shared_ptr<const detail::TokenizerPipeline> pipeline_;
  std::optional<TextTruncation> truncation_;
  std::optional<TextPadding> padding_;
  bool encodes_special_ = false;
};

/// `text` without the spaces that decoding puts before punctuation marks and English contractions.
std::string clean_up_spaces(std::string text);

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
