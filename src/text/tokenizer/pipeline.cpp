// Encoding and decoding: how a text flows through the stages.
#include "text/tokenizer/pipeline.h"

#include <algorithm>

#include "tallow/error.h"
#include "text/tokenizer/unicode.h"

namespace tallow::detail {
namespace {

constexpr std::string_view kTurnEnds[] = {
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot|>",
    "<|return|>",
    "<|call|>",
    "<EOT>",
    "<end_of_utterance>",
    "<|END_OF_TURN_TOKEN|>",
};

}  // namespace

void TokenizerPipeline::finish() {
  if (pre_tokenizer.ends_in_byte_level && model->take_bytes()) {
    pre_tokenizer.steps.pop_back();
    pre_tokenizer.ends_in_byte_level = false;
  }
  size = model->size();
  for (const auto& token : added.tokens()) size = std::max<int64_t>(size, token.id + int64_t{1});
  special.assign(static_cast<size_t>(size), 0);
  end.assign(static_cast<size_t>(size), 0);
  for (const auto& token : added.tokens()) {
    const auto at = static_cast<size_t>(token.id);
    special[at] = special[at] || token.special;
    const auto* ends = std::find(std::begin(kTurnEnds), std::end(kTurnEnds), token.content);
    if (token.special && ends != std::end(kTurnEnds)) end[at] = 1;
  }
  if (eos && *eos >= 0 && *eos < size) end[static_cast<size_t>(*eos)] = 1;
}

std::string_view TokenizerPipeline::token(int32_t id) const {
  if (const text::AddedToken* token = added.find(id)) return token->content;
  return model->token(id);
}

std::string_view TokenizerPipeline::decoder_input(int32_t id) const {
  if (const text::AddedToken* token = added.find(id)) return added.decoded_text(*token);
  return model->token(id);
}

std::optional<int32_t> TokenizerPipeline::id(std::string_view token) const {
  if (const text::AddedToken* found = added.find(token)) return found->id;
  return model->id(token);
}

void TokenizerPipeline::check(int32_t id) const {
  if (id < 0 || id >= size) {
    fail("tokenizer: id ", id, " is outside the vocabulary of ", size, " tokens");
  }
}

std::unique_ptr<text::ModelState> TokenizerPipeline::borrow() const {
  const std::lock_guard lock(mutex_);
  if (states_.empty()) return model->make_state();
  auto state = std::move(states_.back());
  states_.pop_back();
  return state;
}

void TokenizerPipeline::give_back(std::unique_ptr<text::ModelState> state) const {
  const std::lock_guard lock(mutex_);
  states_.push_back(std::move(state));
}

std::vector<int32_t> TokenizerPipeline::encode(std::string_view text,
                                               bool add_special_tokens) const {
  std::string repaired;
  if (text::valid_utf8_prefix(text) != text.size()) {
    repaired = text::repair_utf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  auto state = borrow();
  const auto on_token = [&](int32_t id) { ids.push_back(id); };
  const auto pieces = [&](std::string_view part, bool first) {
    pre_tokenizer.run(part, first,
                      [&](std::string_view piece, bool) { model->encode(piece, *state, ids); });
  };
  std::string rewritten;
  added.split(
      text, false,
      [&](std::string_view part, bool first) {
        if (normalizer.empty() && !added.any_normalized()) return pieces(part, first);
        rewritten = part;
        text::normalize(normalizer, rewritten);
        added.split(
            rewritten, true,
            [&](std::string_view inner, bool inner_first) { pieces(inner, first && inner_first); },
            on_token);
      },
      on_token);
  give_back(std::move(state));
  for (const auto& step : post_processor) step->apply(ids, add_special_tokens);
  return ids;
}

}  // namespace tallow::detail

namespace tallow {

using detail::TokenizerPipeline;

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerPipeline> pipeline)
    : pipeline_(std::move(pipeline)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  return pipeline_->encode(text, add_special_tokens);
}

std::string Tokenizer::token(int32_t id) const { return std::string(pipeline_->token(id)); }
std::optional<int32_t> Tokenizer::token_id(std::string_view token) const {
  return pipeline_->id(token);
}
bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < pipeline_->size && pipeline_->special[static_cast<size_t>(id)];
}
bool Tokenizer::is_end(int32_t id) const {
  return id >= 0 && id < pipeline_->size && pipeline_->end[static_cast<size_t>(id)];
}
int64_t Tokenizer::vocab_size() const { return pipeline_->size; }
std::optional<int32_t> Tokenizer::bos() const { return pipeline_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return pipeline_->eos; }
std::string Tokenizer::bos_token() const { return pipeline_->bos_token; }
std::string Tokenizer::eos_token() const { return pipeline_->eos_token; }

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  StreamDecoder stream(*this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) text += stream.next(id);
  return text += stream.finish();
}

/// The decoder's streams in a row, and the text that came out of the last.
struct StreamDecoder::State final : text::TokenStream {
  State(std::shared_ptr<const TokenizerPipeline> owner, bool skip)
      : pipeline(std::move(owner)), skip_special(skip) {
    open();
  }
  void open() {
    streams.clear();
    for (size_t i = pipeline->decoder.size(); i-- > 0;) {
      streams.push_back(pipeline->decoder[i]->open(head()));
    }
  }
  text::TokenStream& head() { return streams.empty() ? *this : *streams.back(); }

  void text(std::string_view part) override { out += part; }
  void end_token() override {}
  void finish() override {}

  /// Takes the text so far, less a character that is not complete.
  std::string take(bool all) {
    const size_t kept = all ? 0 : text::incomplete_utf8_suffix(out);
    std::string ready = out.substr(0, out.size() - kept);
    out.erase(0, ready.size());
    const bool valid = text::valid_utf8_prefix(ready) == ready.size();
    return valid ? ready : text::repair_utf8(ready);
  }

  const std::shared_ptr<const TokenizerPipeline> pipeline;
  const bool skip_special;
  std::vector<std::unique_ptr<text::TokenStream>> streams;  // the last to run first
  std::string out;
};

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : state_(std::make_unique<State>(tokenizer.pipeline_, skip_special_tokens)) {}
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::next(int32_t id) {
  const TokenizerPipeline& pipeline = *state_->pipeline;
  pipeline.check(id);
  if (state_->skip_special && pipeline.special[static_cast<size_t>(id)]) return {};
  const std::string_view token = pipeline.decoder_input(id);
  if (token.empty()) return {};
  state_->head().text(token);
  state_->head().end_token();
  return state_->take(false);
}

std::string StreamDecoder::finish() {
  state_->head().finish();
  std::string rest = state_->take(true);
  state_->open();
  return rest;
}

}  // namespace tallow
