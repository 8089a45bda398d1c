// A session: bringing the cache to a prompt, and sampling what follows it, token by token.
#include <algorithm>

#include <unistd.h>

#include "models/answer.h"
#include "tallow/error.h"
#include "tallow/language_model.h"

namespace tallow {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLeastByDefault = 512, kMostByDefault = 32768;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

KvCacheSpec cache_spec(const CausalLM& network, const SessionOptions& options) {
  KvCacheSpec spec = network.cache_spec();
  spec.dtype = options.cache_dtype.value_or(spec.dtype);
  return spec;
}

/// What the model was made for, as far as a quarter of the machine's memory holds it.
int64_t default_context(const CausalLM& network, const SessionOptions& options) {
  const KvCacheSpec spec = cache_spec(network, options);
  const double token_bytes = spec.token_bytes();
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  const auto room = static_cast<int64_t>(memory / 4 / std::max(token_bytes, 1.0));
  return std::min({network.max_positions(), kMostByDefault, std::max(room, kLeastByDefault)});
}

int64_t context_of(const CausalLM& network, const SessionOptions& options) {
  const int64_t context = options.context > 0 ? options.context : default_context(network, options);
  if (context > INT32_MAX) {
    fail("context: ", context, " tokens are more than the ", INT32_MAX, " that a cache can number");
  }
  return context;
}

}  // namespace

Session::Session(const LanguageModel& model, const SessionOptions& options)
    : model_(model),
      context_(context_of(model.network(), options)),
      chunk_(std::max<int64_t>(options.chunk, 1)),
      cache_(cache_spec(model.network(), options), context_),
      sequence_(cache_.create()) {}

Generation Session::generate(const Prompt& prompt, const GenerateOptions& options,
                             const OnText& on_text) {
  check_prompt(prompt);
  Generation result;
  result.prompt_tokens = prompt.size();
  if (options.max_tokens == 0) {
    result.finish_reason = "length";
    return result;
  }
  Tensor logits = prefill(prompt, on_text, result);
  if (!logits) {
    result.finish_reason = "interrupted";
    return result;
  }
  decode(std::move(logits), options, prompt, on_text, result);
  return result;
}

void Session::check_prompt(const Prompt& prompt) const {
  if (prompt.size() == 0) fail("prompt: is empty; give at least one token");
  if (prompt.size() > context_) {
    int64_t soft = 0;
    for (const SoftRun& run : prompt.runs) soft += run.count;
    fail("prompt: ", prompt.size(), " tokens",
         soft > 0 ? str(" (", soft, " of them of images and sounds)") : "",
         " do not fit the context of ", context_, "; give a shorter one or a larger --context");
  }
  model_.check_tokens(prompt.tokens);
}

Tensor Session::forward(const PromptPart& part, bool want_logits) {
  const KvCache::Chunk chunk{.sequence = sequence_,
                             .tokens = part.tokens(),
                             .all_logits = false,
                             .no_logits = !want_logits};
  Batch batch = cache_.append({&chunk, 1});
  place_soft_tokens({&part, 1}, model_.network(), batch);
  return model_.network().forward(batch, cache_);
}

/// Returns the last token's logits, f32 [1, vocab]; undefined when `on_text` asked to stop.
Tensor Session::prefill(const Prompt& prompt, const OnText& on_text, Generation& result) {
  const auto start = Clock::now();
  // What failed on the way is not in the cache; the last token runs in any case, for its logits.
  held_.truncate(std::min(cache_.length(sequence_), prompt.size() - 1));
  held_.truncate(held_.common_prefix(prompt));
  cache_.truncate(sequence_, held_.size());
  result.prefilled_tokens = prompt.size() - held_.size();

  Tensor logits;
  while (held_.size() < prompt.size()) {
    const int64_t done = held_.size();
    const PromptPart part{&prompt, done, prompt.pass_end(done, chunk_)};
    const bool last = part.end == prompt.size();
    logits = forward(part, last);
    held_.append(part);
    if (!last && on_text && !on_text("")) return {};
  }
  result.prefill_seconds = seconds_since(start);
  return logits;
}

void Session::decode(Tensor logits, const GenerateOptions& options, const Prompt& prompt,
                     const OnText& on_text, Generation& result) {
  const Tokenizer& tokenizer = model_.text().tokenizer;
  // Rows that pad the embedding beyond the tokenizer's ids are no tokens.
  const int64_t vocab = std::min(model_.network().vocab_size(), tokenizer.vocab_size());
  Sampler sampler(options.sampling, vocab);
  sampler.accept_prompt(prompt.tokens);
  Answer answer(tokenizer, options, prompt.tokens);
  const auto emit = [&](const Answer::Piece& piece) {
    result.text += piece.text;
    result.thought += piece.thought;
    if (options.on_thought && !piece.thought.empty()) options.on_thought(piece.thought);
    return !on_text || on_text(piece.text);
  };
  const int64_t room = context_ - prompt.size() + 1;
  const int64_t limit = options.max_tokens < 0 ? room : std::min(options.max_tokens, room);

  const auto start = Clock::now();
  for (;;) {
    const int32_t token = sampler.sample({logits.data<float>(), static_cast<size_t>(vocab)});
    if (!result.first_token) result.first_token = Clock::now();
    result.finish_reason = "stop";
    if (model_.is_end(token)) break;
    result.tokens.push_back(token);
    sampler.accept(token);
    const bool go_on = emit(answer.next(token));
    if (answer.stopped()) break;
    result.finish_reason = "interrupted";
    if (!go_on) break;
    result.finish_reason = "length";
    if (static_cast<int64_t>(result.tokens.size()) >= limit) break;
    held_.tokens.push_back(token);
    logits = forward({&held_, held_.size() - 1, held_.size()}, true);
    ++result.decoded_tokens;
  }
  result.decode_seconds = seconds_since(start);
  if (const Answer::Piece rest = answer.finish(); !rest.text.empty() || !rest.thought.empty()) {
    emit(rest);
  }
  result.tool_calls = answer.calls();
}

}  // namespace tallow
