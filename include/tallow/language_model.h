// A language model whole: network, tokenizer, chat template and defaults, opened from one path;
// and a session, the conversation that its cache holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/chat_template.h"
#include "tallow/gguf.h"
#include "tallow/json.h"
#include "tallow/kv_cache.h"
#include "tallow/models.h"
#include "tallow/prompt.h"
#include "tallow/sampling.h"
#include "tallow/tokenizer.h"

namespace tallow {

/// The path that a model's name stands for: `smollm2` is the file that scripts/fetch-model.sh keeps
/// in ${TALLOW_CACHE:-${XDG_CACHE_HOME:-~/.cache}/tallow}; what is there under the name is a path
/// itself; else the name is one on the hub (tallow/hub.h), from which what lacks is downloaded.
/// Throws Error when nothing is there.
std::string resolve_model(const std::string& name_or_path);

/// What turns text into tokens and messages into text: the parts of a model beside its weights.
struct TextModel {
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::string what;  ///< the file or folder, for messages

  /// Opens the tokenizer and chat template of a folder or a .gguf file. Throws Error.
  static TextModel open(const std::string& path);
  static TextModel open(const GgufFile& file);

  /// The text that the template makes of messages as transformers takes them,
  /// [{"role": ..., "content": ...}, ...]. Throws Error when there is no template.
  std::string render_chat(const Json& messages, const ChatRequest& request = {}) const;
};

struct Generation {
  std::vector<int32_t> tokens;  ///< without the end token
  std::string text;
  std::string thought;              ///< what the model thought before it answered
  Json tool_calls = Json::array();  ///< [{"name": ..., "arguments": {...}}, ...]
  std::string finish_reason;        ///< "stop", "length" or "interrupted"
  int64_t prompt_tokens = 0;        ///< of the prompt as given
  int64_t prefilled_tokens = 0;     ///< those of them that the cache did not hold
  int64_t decoded_tokens = 0;       ///< tokens whose successors' logits were computed
  int64_t drafted_tokens = 0;       ///< by a drafter
  int64_t accepted_tokens = 0;      ///< drafted ones that the model said too
  double prefill_seconds = 0;
  double decode_seconds = 0;
  /// When the first token was known.
  std::optional<std::chrono::steady_clock::time_point> first_token;
};

/// What a model makes of a prompt before it comes to logits.
struct HiddenStates {
  /// f32 [tokens, hidden], as transformers' output_hidden_states: the embeddings, soft tokens among
  /// them, then what each layer makes of them, the last one's normed: what the head reads. Of Gemma
  /// 3n, all but that one are of its streams, [tokens, streams, hidden].
  Tensors states;
  /// f32 [tokens, layers, dim]: what each layer is given of its own (Gemma 3n, Gemma 4 E2B and
  /// E4B).
  Tensor layer_inputs;
};

/// A causal language model and all that is needed to talk with it.
class LanguageModel {
 public:
  /// Opens what resolve_model finds: a folder as `save_pretrained` writes it or a .gguf file.
  /// Throws Error.
  explicit LanguageModel(const std::string& path);
  /// The same of an opened one.
  explicit LanguageModel(const Checkpoint& checkpoint);

  const CausalLM& network() const { return *network_; }
  /// Opened on first use. Throws Error when the model has no tokenizer.
  const TextModel& text() const;
  /// Whether an answer ends at `token`, by configuration or tokenizer.
  bool is_end(int32_t token) const;
  /// How the model's makers sample from it, by generation_config.json or a GGUF file's
  /// general.sampling.*; where they say nothing, temperature 0.6 and top-p 0.9.
  const SamplingOptions& default_sampling() const { return sampling_; }

  /// The prompt of messages whose content may be lists with images, sounds and videos (read_media):
  /// rendered, spelled out and encoded. Throws Error.
  Prompt chat_prompt(const Json& messages, const ChatRequest& request = {}) const;

  /// What the tokens of an answer to a chat say: text, thought and calls of functions.
  Generation read_answer(std::span<const int32_t> answer) const;

  /// Opens a drafter for this model, which must outlive it. Throws Error.
  std::unique_ptr<Drafter> open_drafter(const std::string& path) const;

  /// Logits f32 [tokens, vocab] of the prompts' tokens, one prompt after the other, or
  /// [prompts, vocab] of their last ones. The prompts run together, about `chunk` tokens in a pass.
  /// Throws Error for an empty prompt and for a token outside the vocabulary.
  Tensor logits(std::span<const Prompt> prompts, bool last_only = false, int64_t chunk = 512,
                std::optional<DType> cache_dtype = {}) const;

  /// What a pass over the prompt's tokens makes on its way. Throws Error as logits does.
  HiddenStates hidden_states(const Prompt& prompt) const;

  /// Throws Error, naming the token and the vocabulary, when one is outside it.
  void check_tokens(std::span<const int32_t> tokens) const;

 private:
  std::string path_;
  std::shared_ptr<const GgufFile> gguf_;  // or null for a folder
  Config config_;
  std::unique_ptr<const CausalLM> network_;
  std::vector<int32_t> end_tokens_;  // those that the configuration names
  SamplingOptions sampling_;
  mutable std::once_flag text_once_;
  mutable std::optional<TextModel> text_;
};

/// How a drafter guesses ahead.
struct DraftOptions {
  const Drafter* drafter = nullptr;  ///< or null; must outlive the session
  /// Tokens drafted at once, at most. Passes of up to 8 tokens round as passes of one do, so that
  /// up to 7 drafts leave the answer what it is without them.
  int64_t most = 7;
};

struct SessionOptions {
  /// Tokens to remember; 0: the model's own number, at most 32768 and a quarter of the memory.
  int64_t context = 0;
  int64_t chunk = 512;               ///< prompt tokens in one pass
  std::optional<DType> cache_dtype;  ///< as KvCacheSpec's; the model's choice when absent
  DraftOptions draft;
};

struct GenerateOptions {
  int64_t max_tokens = -1;  ///< -1: until the model ends or the context is full
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};  ///< text that ends the answer and is no part of it
  /// Thoughts and calls of functions are told from the text, by the tokens that begin and end them.
  bool chat = false;
  std::function<void(std::string_view)> on_thought = {};  ///< receives thoughts as they come
};

/// One sequence in a cache of its own. A prompt that begins as what the cache holds runs only the
/// rest, so a conversation is passed whole each time. The model must outlive the session.
class Session {
 public:
  /// Throws Error when the cache cannot be had.
  explicit Session(const LanguageModel& model, const SessionOptions& options = {});

  /// Receives text (maybe none) after every token and between the prompt's chunks; false stops.
  using OnText = std::function<bool(std::string_view)>;
  /// Continues `prompt`. Throws Error when it is empty or longer than the context.
  Generation generate(const Prompt& prompt, const GenerateOptions& options,
                      const OnText& on_text = {});

  int64_t context() const { return context_; }
  /// Tokens that the cache holds.
  int64_t length() const { return held_.size(); }

 private:
  void check_prompt(const Prompt& prompt) const;
  bool prefill(const Prompt& prompt, const OnText& on_text, Generation& result);
  void decode(const GenerateOptions& options, const Prompt& prompt, const OnText& on_text,
              Generation& result);
  void forward(const PromptPart& part, bool every_row, bool any_row = true);
  void step(int32_t token, int64_t room, Generation& result);
  std::vector<int32_t> guess(int32_t token, int64_t room);
  void mark_end();
  void go_back();

  const LanguageModel& model_;
  int64_t context_;
  int64_t chunk_;
  KvCache cache_;
  KvCache::Sequence sequence_;
  /// Near where the last prompt ended, in models that would forget what was in its window.
  std::optional<KvCache::Sequence> prompt_end_;
  DraftOptions draft_;
  Prompt held_;  // tokens whose keys and values the cache holds; after them it may hold drafts
  // Of the last pass: what the head read and said, row by row; which tokens were drafted after
  // its first, and at which row we are.
  Tensor states_, logits_;
  std::vector<int32_t> drafts_;
  int64_t row_ = 0;
  int64_t guesses_ = 4;  // how many to draft next
  int64_t misses_ = 0;   // passes in a row of which no draft was right
  int64_t rest_ = 0;     // passes to go without drafts
};

}  // namespace tallow
