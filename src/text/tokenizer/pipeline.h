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

struct TokenizerPipeline {
  text::NormalizerChain normalizer;
  text::PreTokenizerChain pre_tokenizer;
  std::unique_ptr<text::TokenModel> model;
  text::PostProcessorChain post_processor;
  text::DecoderChain decoder;
  text::AddedTokens added;
  std::optional<int32_t> bos, eos;
  std::string bos_token, eos_token;
  int64_t size = 0;                ///< one past the largest id
  std::vector<char> special, end;  ///< flags by id

  /// Fuses what can be fused and fills size, special and end. Call once, when all else is set.
  void finish();
  std::string_view token(int32_t id) const;
  /// The token as the decoder takes it.
  std::string_view decoder_input(int32_t id) const;
  std::optional<int32_t> id(std::string_view token) const;
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens) const;
  /// Throws Error for an id outside [0, size).
  void check(int32_t id) const;

 private:
  std::unique_ptr<text::ModelState> borrow() const;
  void give_back(std::unique_ptr<text::ModelState> state) const;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<text::ModelState>> states_;
};

}  // namespace tallow::detail
