// A session: bringing the cache to a prompt, and sampling what follows it, token by token.
#include <algorithm>

#include <unistd.h>

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

/// Text that may be shown: whole characters, up to a stop string.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const std::vector<std::string>& stop)
      : decoder_(tokenizer, /*skip_special_tokens=*/true), stop_(stop) {}
  std::string next(int32_t token) { return stop_.next(decoder_.next(token)); }
  std::string finish() {
    std::string text = stop_.next(decoder_.finish());
    return text + stop_.finish();
  }
  bool stopped() const { return stop_.matched().has_value(); }

 private:
  StreamDecoder decoder_;
  StopStrings stop_;
};

}  // namespace

Session::Session(const LanguageModel& model, const SessionOptions& options)
    : model_(model),
      context_(context_of(model.network(), options)),
      chunk_(std::max<int64_t>(options.chunk, 1)),
      cache_(cache_spec(model.network(), options), context_),
      sequence_(cache_.create()) {}

Generation Session::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                             const OnText& on_text) {
  check_prompt(prompt);
  Generation result;
  result.prompt_tokens = static_cast<int64_t>(prompt.size());
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

void Session::check_prompt(std::span<const int32_t> prompt) const {
  if (prompt.empty()) fail("prompt: is empty; give at least one token");
  if (static_cast<int64_t>(prompt.size()) > context_) {
    fail("prompt: ", prompt.size(), " tokens do not fit the context of ", context_,
         "; give a shorter one or a larger --context");
  }
  model_.check_tokens(prompt);
}

Tensor Session::forward(std::span<const int32_t> tokens, bool want_logits) {
  const KvCache::Chunk chunk{
      .sequence = sequence_, .tokens = tokens, .all_logits = false, .no_logits = !want_logits};
  Tensor logits = model_.network().forward(cache_.append({&chunk, 1}), cache_);
  held_.insert(held_.end(), tokens.begin(), tokens.end());
  return logits;
}

/// Returns the last token's logits, f32 [1, vocab]; undefined when `on_text` asked to stop.
Tensor Session::prefill(std::span<const int32_t> prompt, const OnText& on_text,
                        Generation& result) {
  const auto start = Clock::now();
  // The last token runs in any case: its logits are wanted.
  const size_t known = std::min(held_.size(), prompt.size() - 1);
  const auto shared =
      std::mismatch(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(known), prompt.begin());
  size_t done = static_cast<size_t>(shared.first - held_.begin());
  held_.resize(done);
  cache_.truncate(sequence_, static_cast<int64_t>(done));
  result.prefilled_tokens = static_cast<int64_t>(prompt.size() - done);

  Tensor logits;
  while (done < prompt.size()) {
    const size_t count = std::min(prompt.size() - done, static_cast<size_t>(chunk_));
    const bool last = done + count == prompt.size();
    logits = forward(prompt.subspan(done, count), last);
    done += count;
    if (!last && on_text && !on_text("")) return {};
  }
  result.prefill_seconds = seconds_since(start);
  return logits;
}

void Session::decode(Tensor logits, const GenerateOptions& options, std::span<const int32_t> prompt,
                     const OnText& on_text, Generation& result) {
  const Tokenizer& tokenizer = model_.text().tokenizer;
  // Rows that pad the embedding beyond the tokenizer's ids are no tokens.
  const int64_t vocab = std::min(model_.network().vocab_size(), tokenizer.vocab_size());
  Sampler sampler(options.sampling, vocab);
  sampler.accept_prompt(prompt);
  Answer answer(tokenizer, options.stop);
  const auto emit = [&](const std::string& text) {
    result.text += text;
    return !on_text || on_text(text);
  };
  const int64_t room = context_ - static_cast<int64_t>(prompt.size()) + 1;
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
    logits = forward({&token, 1}, true);
    ++result.decoded_tokens;
  }
  result.decode_seconds = seconds_since(start);
  if (std::string rest = answer.finish(); !rest.empty()) emit(rest);
}

}  // namespace tallow
