// Ids to text: the decoder's streams, and what is built on them.
#include <algorithm>

#include "tallow/error.h"
#include "tallow/parallel.h"
#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/unicode.h"

namespace tallow {

using detail::TokenizerPipeline;

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  StreamDecoder stream(*this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) text += stream.next(id);
  return text += stream.finish();
}

std::vector<std::string> Tokenizer::decode_batch(std::span<const std::vector<int32_t>> ids,
                                                 bool skip_special_tokens) const {
  std::vector<std::string> texts(ids.size());
  parallel_for(static_cast<int64_t>(ids.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      texts[at] = decode(ids[at], skip_special_tokens);
    }
  });
  return texts;
}

std::string clean_up_spaces(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) {
    for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }
  return text;
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
