// The assembled tokenizer: the five stages, the added tokens, and the special ids.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tallow/tokenizer.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/stages.h"

namespace tallow::detail {

/// What the stages but the model say, as tokenizer.json says it.
struct TokenizerParts {
  Json added_tokens = Json::array();
  Json normalizer, pre_tokenizer, post_processor, decoder, truncation, padding;
  /// The part of that name, or null (the pointer).
  Json* find(std::string_view name);
};

/// The tokens of a sequence, but for their ids.
struct TokenDetails {
  std::vector<text::Origin> offsets;  ///< in code points
  std::vector<int32_t> words;
  /// Tokens that read otherwise than in the vocabulary, by index, in order.
  std::vector<std::pair<size_t, std::string>> texts;
};

struct TokenizerPipeline {
  text::NormalizerChain normalizer;
  text::PreTokenizerChain pre_tokenizer;
  std::shared_ptr<text::TokenModel> model;
  text::PostProcessorChain post_processor;
  text::DecoderChain decoder;
  text::AddedTokens added;
  std::optional<int32_t> bos, eos;
  std::string bos_token, eos_token;
  int64_t size = 0;                ///< one past the largest id
  std::vector<char> special, end;  ///< flags by id
  TokenizerParts parts;            ///< what the stages were made of

  TokenizerPipeline() = default;
  /// Shares the stages.
  TokenizerPipeline(const TokenizerPipeline& other);
  TokenizerPipeline& operator=(const TokenizerPipeline&) = delete;

  /// Makes the stages and the added tokens of `parts`. The model must be there.
  void make_stages();
  /// Fuses what can be fused and fills size, special and end. Call once, when all else is set.
  void finish();
  std::string_view token(int32_t id) const;
  /// The token as the decoder takes it.
  std::string_view decoder_input(int32_t id) const;
  std::optional<int32_t> id(std::string_view token) const;
  /// Appends the ids of a text. `details`, if there are any, get as many entries; `word` is their
  /// word, or -1 to count the pre-tokenizer's.
  void encode(std::string_view text, bool skip_special, std::vector<int32_t>& ids,
              TokenDetails* details, int32_t word) const;
  size_t special_tokens_added(bool pair) const;
  /// Throws Error for an id outside [0, size).
  void check(int32_t id) const;

 private:
  std::unique_ptr<text::ModelState> borrow() const;
  void give_back(std::unique_ptr<text::ModelState> state) const;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<text::ModelState>> states_;
};

std::optional<TextTruncation> read_truncation(const Json& json);
std::optional<TextPadding> read_padding(const Json& json);
Json write_truncation(const std::optional<TextTruncation>& truncation);
Json write_padding(const std::optional<TextPadding>& padding);

}  // namespace tallow::detail
