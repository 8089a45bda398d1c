// A session: bringing the cache to a prompt, and sampling what follows it, token by token.
#include <algorithm>
#include <utility>

#include <unistd.h>

#include "models/answer.h"
#include "tallow/error.h"
#include "tallow/language_model.h"

namespace tallow {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLeastByDefault = 512, kMostByDefault = 32768;
// What asks for an answer at the end of a prompt may stand otherwise in the next.
constexpr int64_t kMayDiffer = 32;
constexpr int64_t kPatience = 4;       // passes whose drafts are all wrong before some go without
constexpr int64_t kMostDoublings = 5;  // up to 2^5 of them do

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

KvCacheSpec cache_spec(const CausalLM& network, const SessionOptions& options) {
  KvCacheSpec spec = network.cache_spec();
  spec.dtype = options.cache_dtype.value_or(spec.dtype);
  return spec;
}

/// Where a sequence cannot be cut anywhere, a copy of its last page is kept.
int64_t spare_tokens(const KvCacheSpec& spec) { return spec.window() > 0 ? spec.page_size : 0; }

/// What the model was made for, as far as a quarter of the machine's memory holds it.
int64_t default_context(const CausalLM& network, const SessionOptions& options) {
  const KvCacheSpec spec = cache_spec(network, options);
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  const int64_t room = std::max(spec.tokens_in(memory / 4), kLeastByDefault);
  return std::min({network.max_positions(), kMostByDefault, room});
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
      // Where a prompt ended is kept: its last page is copied when the answer goes on in it.
      cache_(cache_spec(model.network(), options),
             context_ + spare_tokens(cache_spec(model.network(), options))),
      sequence_(cache_.create()),
      draft_(options.draft) {}

Generation Session::generate(const Prompt& prompt, const GenerateOptions& options,
                             const OnText& on_text) {
  check_prompt(prompt);
  Generation result;
  result.prompt_tokens = prompt.size();
  if (options.max_tokens == 0) {
    result.finish_reason = "length";
    return result;
  }
  if (prefill(prompt, on_text, result)) {
    decode(options, prompt, on_text, result);
  } else {
    result.finish_reason = "interrupted";
  }
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

void Session::forward(const PromptPart& part, bool every_row, bool any_row) {
  const KvCache::Chunk chunk{.sequence = sequence_,
                             .tokens = part.tokens(),
                             .all_logits = every_row,
                             .no_logits = !any_row};
  Batch batch = cache_.append({&chunk, 1});
  place_soft_tokens({&part, 1}, model_.network(), batch);
  states_ = model_.network().states(batch, cache_);
  logits_ = model_.network().head(states_);
  drafts_.clear();
  row_ = 0;
}

/// Brings the cache to the prompt; false when `on_text` asked to stop.
bool Session::prefill(const Prompt& prompt, const OnText& on_text, Generation& result) {
  const auto start = Clock::now();
  // What failed on the way is not in the cache; the last token runs in any case, for its logits.
  held_.truncate(std::min(cache_.length(sequence_), prompt.size() - 1));
  held_.truncate(held_.common_prefix(prompt));
  go_back();
  result.prefilled_tokens = prompt.size() - held_.size();
  while (held_.size() < prompt.size()) {
    const int64_t done = held_.size();
    const PromptPart part{&prompt, done, prompt.pass_end(done, chunk_)};
    const bool last = part.end == prompt.size();
    forward(part, /*every_row=*/false, last);
    held_.append(part);
    if (!last && on_text && !on_text("")) return false;
  }
  mark_end();
  result.prefill_seconds = seconds_since(start);
  return true;
}

void Session::mark_end() {
  if (cache_.spec().window() == 0) return;
  Prompt most = held_;
  most.truncate(std::max<int64_t>(0, held_.size() - kMayDiffer));
  prompt_end_ = cache_.fork(sequence_, cache_.kept(sequence_, most.size()));
}

/// Cuts the cache to what is held, and both to what can still go on. Prompts often tell an answer
/// in another way than it came, without its thoughts say: then they part where the last prompt
/// ended.
void Session::go_back() {
  int64_t tokens = held_.size();
  if (prompt_end_) {
    const KvCache::Sequence end = *std::exchange(prompt_end_, std::nullopt);
    const bool better = cache_.kept(sequence_, tokens) < tokens && cache_.length(end) <= tokens;
    cache_.release(better ? std::exchange(sequence_, end) : end);
    tokens = std::min(tokens, cache_.length(sequence_));
  }
  held_.truncate(cache_.truncate(sequence_, tokens));
}

/// What the drafter makes of the state from which `token` was said, in passes whose number of
/// tokens follows how many were right before. Where none is right for long, most tokens go alone.
std::vector<int32_t> Session::guess(int32_t token, int64_t room) {
  if (!draft_.drafter) return {};
  if (!drafts_.empty()) {
    guesses_ += row_ == std::ssize(drafts_) ? 2 : -1;
    misses_ = row_ > 0 ? 0 : misses_ + 1;
    rest_ = misses_ < kPatience ? 0 : int64_t{1} << std::min(misses_ - kPatience, kMostDoublings);
  }
  guesses_ = std::clamp<int64_t>(guesses_, 1, draft_.most);
  if (rest_ > 0) {
    --rest_;
    return {};
  }
  const int64_t count = std::min(guesses_, room);
  if (count <= 0) return {};
  return draft_.drafter->draft(token, states_.narrow(0, row_, 1), count, cache_.reader(sequence_),
                               cache_);
}

/// Takes a token of the answer in; row_ is then the row of logits that follows it. `room` tokens at
/// most may come after it.
void Session::step(int32_t token, int64_t room, Generation& result) {
  ++result.decoded_tokens;
  const bool foreseen = row_ < std::ssize(drafts_) && drafts_[static_cast<size_t>(row_)] == token;
  if (foreseen) {
    ++row_;
    ++result.accepted_tokens;
  } else {
    cache_.truncate(sequence_, held_.size());
    std::vector<int32_t> drafts = guess(token, room);
    Prompt pass({token});
    pass.tokens.insert(pass.tokens.end(), drafts.begin(), drafts.end());
    forward({&pass, 0, pass.size()}, /*every_row=*/true);
    result.drafted_tokens += std::ssize(drafts);
    drafts_ = std::move(drafts);
  }
  held_.tokens.push_back(token);
}

void Session::decode(const GenerateOptions& options, const Prompt& prompt, const OnText& on_text,
                     Generation& result) {
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
    const float* row = logits_.data<float>() + row_ * logits_.size(1);
    const int32_t token = sampler.sample({row, static_cast<size_t>(vocab)});
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
    step(token, limit - std::ssize(result.tokens) - 1, result);
  }
  result.decode_seconds = seconds_since(start);
  if (const Answer::Piece rest = answer.finish(); !rest.text.empty() || !rest.thought.empty()) {
    emit(rest);
  }
  result.tool_calls = answer.calls();
}

}  // namespace tallow
