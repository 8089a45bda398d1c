// The five stages of a tokenizer, each an interface: text -> normalizer -> pre-tokenizer -> model
// -> post-processor -> ids, and ids -> decoder -> text. A new part is one class and one table row.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/json.h"

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
  virtual void apply(std::string& text, size_t limit) const = 0;
};

/// Receives pieces in order; `first` is true for the piece that begins where the input begins.
using PieceSink = FunctionRef<void(std::string_view piece, bool first)>;

/// Splits text into the pieces that the model sees one by one.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(std::string_view text, bool first, const PieceSink& sink) const = 0;
};

/// What a model keeps from one piece to the next: its word cache and its buffers. Never shared by
/// two threads.
class ModelState {
 public:
  virtual ~ModelState() = default;
};

/// The vocabulary and the algorithm that covers a piece with its tokens.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  virtual std::unique_ptr<ModelState> make_state() const = 0;
  virtual void encode(std::string_view piece, ModelState& state,
                      std::vector<int32_t>& ids) const = 0;
  virtual std::optional<int32_t> id(std::string_view token) const = 0;
  /// The token's text; empty for an id that has none.
  virtual std::string_view token(int64_t id) const = 0;
  /// One past the largest id.
  virtual int64_t size() const = 0;
  /// The number of distinct tokens.
  virtual int64_t count() const = 0;
  /// Asks the model to take raw bytes where it was given the byte-level alphabet, so that nothing
  /// need be rewritten. False when it cannot.
  virtual bool take_bytes() { return false; }
};

/// Adds the special tokens that stand around a sequence.
class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual void apply(std::vector<int32_t>& ids, bool add_special_tokens) const = 0;
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
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  /// Whether the last step rewrites bytes as the byte-level alphabet.
  bool ends_in_byte_level = false;
  void run(std::string_view text, bool first, const PieceSink& sink) const;
};
using NormalizerChain = std::vector<std::unique_ptr<Normalizer>>;
/// Applies the steps in order. Throws Error when the text grows out of all proportion.
void normalize(const NormalizerChain& chain, std::string& text);
using PostProcessorChain = std::vector<std::unique_ptr<PostProcessor>>;
using DecoderChain = std::vector<std::unique_ptr<Decoder>>;

/// The stage that a value of tokenizer.json describes. Null is an empty stage; as a decoder it puts
/// spaces between tokens. Throws Error for a type that is not known.
NormalizerChain make_normalizer(const Json& json);
PreTokenizerChain make_pre_tokenizer(const Json& json);
PostProcessorChain make_post_processor(const Json& json);
DecoderChain make_decoder(const Json& json);

/// The pre-tokenizer that GGUF's `tokenizer.ggml.pre` names, and what goes with the name.
struct GgufPreTokenizer {
  PreTokenizerChain chain;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};
GgufPreTokenizer gguf_pre_tokenizer(std::string_view pre);

/// A post-processor that puts these ids before and after a sequence.
std::unique_ptr<PostProcessor> make_surround(std::vector<int32_t> before,
                                             std::vector<int32_t> after);

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
