// The five stages of a tokenizer, each an interface: text -> normalizer -> pre-tokenizer -> model
// -> post-processor -> ids, and ids -> decoder -> text. A new part is one class and one table row.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/json.h"
#include "text/tokenizer/aligned.h"
#include "text/tokenizer/vocabulary.h"

namespace tallow::text {

/// A borrowed callable: what std::function_ref will be.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  FunctionRef(const F& f)
      : context_(std::addressof(f)), call_([](const void* context, Args... args) -> R {
          return (*static_cast<const F*>(context))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(context_, std::forward<Args>(args)...); }

 private:
  const void* context_;
  R (*call_)(const void*, Args...);
};

/// Rewrites a stretch of text between added tokens. The text is valid UTF-8 before and after.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Throws Error rather than let the text grow past `limit` bytes by much.
  virtual void apply(AlignedText& text, size_t limit) const = 0;
};

/// Receives pieces in order.
using PieceSink = FunctionRef<void(const Piece&)>;

/// Splits text into the pieces that the model sees one by one.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(const Piece& text, const PieceSink& sink) const = 0;
};

/// What a model keeps from one piece to the next: its word cache and its buffers. Never shared by
/// two threads.
class ModelState {
 public:
  virtual ~ModelState() = default;
};

/// A stretch [begin, end) of a piece, in bytes.
struct ByteSpan {
  uint32_t begin;
  uint32_t end;
};

/// Where a model writes the tokens of a piece.
struct TokenSink {
  std::vector<int32_t>& ids;
  std::vector<ByteSpan>* spans = nullptr;  ///< a stretch for each token; null: nobody asks
};

/// The vocabulary and the algorithm that covers a piece with its tokens.
class TokenModel {
 public:
  explicit TokenModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~TokenModel() = default;
  virtual std::unique_ptr<ModelState> make_state() const = 0;
  virtual void encode(std::string_view piece, ModelState& state, const TokenSink& out) const = 0;
  /// Asks the model to take raw bytes where it was given the byte-level alphabet, so that nothing
  /// need be rewritten. False when it cannot.
  virtual bool take_bytes() { return false; }
  /// Whether a token with this id reads as the text that it stands for and not as its own.
  virtual bool reads_as_text(int32_t) const { return false; }
  /// Appends the "model" member of tokenizer.json.
  virtual void save(std::string& json) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::optional<int32_t> id(std::string_view token) const {
    const int32_t found = vocabulary_.find(token);
    return found < 0 ? std::nullopt : std::optional(found);
  }

 protected:
  Vocabulary vocabulary_;
};

/// Ids that are no part of the text: special tokens or padding.
struct SpecialPiece {
  std::vector<int32_t> ids;
  std::vector<std::string> tokens;
};

/// Tokens of one kind in a row: a stretch of a sequence's tokens, special tokens, or padding.
struct Run {
  enum class Trim : uint8_t { none, all, all_but_prefix };
  int32_t sequence = -1;                        ///< 0 or 1; -1 for special tokens and padding
  uint32_t begin = 0, end = 0;                  ///< of the sequence's tokens
  std::shared_ptr<const SpecialPiece> special;  ///< null for a stretch of a sequence
  uint32_t repeat = 1;                          ///< of the special piece
  int32_t type = 0;
  bool padding = false;
  Trim trim = Trim::none;  ///< whether offsets leave out white space
  bool leads = false;      ///< its first token was the first when offsets were trimmed
  size_t size() const { return special ? special->ids.size() * repeat : end - begin; }
};

/// An encoding in the making: what truncation, post-processing and padding work on.
struct Draft {
  std::vector<Run> runs;
  std::vector<Draft> overflowing;
  size_t size() const;
  void set_type(int32_t type);
  /// Appends `other`, and combines what overflowed of both.
  void merge(const Draft& other);
};

/// Adds the special tokens that stand around a sequence or two.
class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  /// How many tokens it adds.
  virtual size_t added(bool pair) const = 0;
  virtual void apply(std::vector<Draft>& parts, bool add_special_tokens) const = 0;
};

/// A stream of tokens on their way to text. A token arrives as any number of text() calls and one
/// end_token(); finish() says that no token follows.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  virtual void text(std::string_view part) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0;
};

/// One step from tokens to text.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// A run of this step that writes into `next`.
  virtual std::unique_ptr<TokenStream> open(TokenStream& next) const = 0;
};

/// The steps of a pre-tokenizer, `Sequence`s flattened.
struct PreTokenizerChain {
  std::vector<std::shared_ptr<const PreTokenizer>> steps;
  /// Whether the last step rewrites bytes as the byte-level alphabet.
  bool ends_in_byte_level = false;
  void run(const Piece& text, const PieceSink& sink) const;
};
using NormalizerChain = std::vector<std::shared_ptr<const Normalizer>>;
/// Applies the steps in order. Throws Error when the text grows out of all proportion.
void normalize(const NormalizerChain& chain, AlignedText& text);
std::string normalize(const NormalizerChain& chain, std::string_view text);
using PostProcessorChain = std::vector<std::shared_ptr<const PostProcessor>>;
using DecoderChain = std::vector<std::shared_ptr<const Decoder>>;

/// The stage that a value of tokenizer.json describes. Null is an empty stage; as a decoder it puts
/// spaces between tokens. Throws Error for a type that is not known.
NormalizerChain make_normalizer(const Json& json);
PreTokenizerChain make_pre_tokenizer(const Json& json);
PostProcessorChain make_post_processor(const Json& json);
DecoderChain make_decoder(const Json& json);

/// As tokenizer.json says it: pieces by patterns, in order, then the byte-level alphabet; and back.
Json byte_level_pre_tokenizer(std::span<const std::string_view> patterns);
Json byte_level_decoder();

/// The pre-tokenizer that GGUF's `tokenizer.ggml.pre` names, and what goes with the name.
struct GgufPreTokenizer {
  std::vector<std::string_view> patterns;  ///< of the pieces, in order
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
  Json json() const { return byte_level_pre_tokenizer(patterns); }
};
GgufPreTokenizer gguf_pre_tokenizer(std::string_view pre);

/// Calls f(name) for each of the names, which spaces separate.
template <class F>
void for_each_name(std::string_view names, const F& f) {
  while (!names.empty()) {
    const size_t space = names.find(' ');
    f(names.substr(0, space));
    names.remove_prefix(space == names.npos ? names.size() : space + 1);
  }
}

/// Reads a member that may be absent or null.
bool boolean_or(const Json& json, std::string_view key, bool otherwise);
std::string string_or(const Json& json, std::string_view key, std::string_view otherwise);
/// The pattern of a Split or Replace: its text, and whether it is a regular expression.
struct Pattern {
  std::string text;
  bool regex = false;
};
Pattern read_pattern(const Json& json);
/// The "type" of a stage.
const std::string& type_of(const Json& json, const char* stage);

}  // namespace tallow::text
