// Encoding and decoding: how a text flows through the stages.
#include "text/tokenizer/pipeline.h"

#include <algorithm>

#include "core/utf8.h"
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
    "<turn|>",
    "<|tool_response>",
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

Json* TokenizerParts::find(std::string_view name) {
  if (name == "added_tokens") return &added_tokens;
  if (name == "normalizer") return &normalizer;
  if (name == "pre_tokenizer") return &pre_tokenizer;
  if (name == "post_processor") return &post_processor;
  if (name == "decoder") return &decoder;
  if (name == "truncation") return &truncation;
  if (name == "padding") return &padding;
  return nullptr;
}

TokenizerPipeline::TokenizerPipeline(const TokenizerPipeline& other)
    : normalizer(other.normalizer),
      pre_tokenizer(other.pre_tokenizer),
      model(other.model),
      post_processor(other.post_processor),
      decoder(other.decoder),
      bos(other.bos),
      eos(other.eos),
      bos_token(other.bos_token),
      eos_token(other.eos_token),
      parts(other.parts) {}

void TokenizerPipeline::finish() {
  if (pre_tokenizer.ends_in_byte_level && model->take_bytes()) {
    pre_tokenizer.steps.pop_back();
    pre_tokenizer.ends_in_byte_level = false;
  }
  size = model->vocabulary().size();
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
  return model->vocabulary()[id];
}

std::string_view TokenizerPipeline::decoder_input(int32_t id) const {
  if (const text::AddedToken* token = added.find(id)) return added.decoded_text(*token);
  return model->vocabulary()[id];
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

namespace {

/// Turns offsets in bytes, from the entry `from` on, into offsets in code points.
void count_code_points(std::string_view text, std::vector<text::Origin>& offsets, size_t from) {
  if (text::skip_ascii(text, 0) == text.size()) return;
  std::vector<uint32_t> index(text.size() + 1);
  uint32_t n = 0;
  for (size_t i = 0; i < text.size(); ++n) {
    const size_t begin = i;
    next_code_point(text, i);
    for (size_t k = begin; k < i; ++k) index[k] = n;
  }
  index[text.size()] = n;
  for (size_t i = from; i < offsets.size(); ++i) {
    offsets[i] = {index[offsets[i].begin], index[offsets[i].end]};
  }
}

/// Runs one text through the stages.
class Encoder {
 public:
  Encoder(const TokenizerPipeline& pipeline, text::ModelState& state, std::vector<int32_t>& ids,
          TokenDetails* details, int32_t word)
      : pipeline_(pipeline), state_(state), ids_(ids), details_(details), word_(word) {}

  void run(std::string_view text, bool skip_special) {
    if (details_ && text.size() >= UINT32_MAX) {
      fail("tokenizer: a text of ", text.size(), " bytes; offsets go up to 4 GiB");
    }
    text::AlignedText original;
    text::Piece whole{text, nullptr, true};
    if (details_) {
      original.assign(text, 0, /*tracked=*/true);
      whole = original.piece();
    }
    text::AlignedText rewritten;
    pipeline_.added.split(
        text, false, skip_special,
        [&](size_t begin, size_t end) {
          text::Piece part = whole.part(begin, end);
          if (!pipeline_.normalizer.empty()) {
            rewritten.assign(part);
            text::normalize(pipeline_.normalizer, rewritten);
            part = rewritten.piece();
          }
          normalized(part, skip_special);
        },
        [&](int32_t id, size_t begin, size_t end) { add(id, whole.part(begin, end)); });
  }

 private:
  void normalized(const text::Piece& part, bool skip_special) {
    if (!pipeline_.added.any_normalized()) return pieces(part);
    pipeline_.added.split(
        part.text, true, skip_special,
        [&](size_t begin, size_t end) { pieces(part.part(begin, end)); },
        [&](int32_t id, size_t begin, size_t end) { add(id, part.part(begin, end)); });
  }

  void pieces(const text::Piece& part) {
    const text::TokenSink sink{ids_, details_ ? &spans_ : nullptr};
    pipeline_.pre_tokenizer.run(part, [&](const text::Piece& piece) {
      spans_.clear();
      const size_t first = ids_.size();
      pipeline_.model->encode(piece.text, state_, sink);
      if (details_) describe(piece, first);
      ++count_;
    });
  }

  void add(int32_t id, const text::Piece& piece) {
    ids_.push_back(id);
    if (details_) {
      note({0, static_cast<uint32_t>(piece.text.size())}, piece);
      if (piece.text != pipeline_.token(id)) {
        details_->texts.emplace_back(details_->offsets.size() - 1, piece.text);
      }
    }
    ++count_;
  }

  void describe(const text::Piece& piece, size_t first) {
    for (size_t i = 0; i < spans_.size(); ++i) {
      const text::ByteSpan span = spans_[i];
      note(span, piece);
      if (!pipeline_.model->reads_as_text(ids_[first + i]) || span.end > piece.text.size())
        continue;
      details_->texts.emplace_back(details_->offsets.size() - 1,
                                   piece.text.substr(span.begin, span.end - span.begin));
    }
  }

  void note(text::ByteSpan span, const text::Piece& piece) {
    const auto last = static_cast<uint32_t>(piece.text.size());
    const uint32_t begin = std::min(span.begin, last - 1);
    const uint32_t end = std::clamp(span.end, begin + 1, last);
    details_->offsets.push_back({piece.origins[begin].begin, piece.origins[end - 1].end});
    details_->words.push_back(word_ >= 0 ? word_ : count_);
  }

  const TokenizerPipeline& pipeline_;
  text::ModelState& state_;
  std::vector<int32_t>& ids_;
  TokenDetails* details_;
  const int32_t word_;
  int32_t count_ = 0;
  std::vector<text::ByteSpan> spans_;
};

}  // namespace

void TokenizerPipeline::encode(std::string_view text, bool skip_special, std::vector<int32_t>& ids,
                               TokenDetails* details, int32_t word) const {
  std::string repaired;
  if (text::valid_utf8_prefix(text) != text.size()) {
    repaired = text::repair_utf8(text);
    text = repaired;
  }
  const size_t before = details ? details->offsets.size() : 0;
  auto state = borrow();
  Encoder(*this, *state, ids, details, word).run(text, skip_special);
  give_back(std::move(state));
  if (details) count_code_points(text, details->offsets, before);
}

size_t TokenizerPipeline::special_tokens_added(bool pair) const {
  size_t n = 0;
  for (const auto& step : post_processor) n += step->added(pair);
  return n;
}

}  // namespace tallow::detail

namespace tallow {

using detail::TokenizerPipeline;

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerPipeline> pipeline)
    : pipeline_(std::move(pipeline)),
      truncation_(detail::read_truncation(pipeline_->parts.truncation)),
      padding_(detail::read_padding(pipeline_->parts.padding)) {}

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

}  // namespace tallow
