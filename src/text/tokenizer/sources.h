// Where tokenizers come from: each function builds a pipeline that needs finish() yet. They throw
// Error for what is malformed, without the name of the file.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/json_cursor.h"
#include "text/tokenizer/pipeline.h"

namespace tallow::detail {

using PipelinePtr = std::shared_ptr<TokenizerPipeline>;

PipelinePtr pipeline_from_json(std::string_view tokenizer_json);
/// What is read of a SentencePiece model (ModelProto of sentencepiece_model.proto).
struct SentencePieceModel {
  std::vector<std::string_view> pieces;
  std::vector<float> scores;
  std::vector<uint8_t> types;  ///< as in GgufVocabulary
  uint64_t model_type = 1;     ///< 1: Unigram, 2: BPE
  bool byte_fallback = false, suffix = false;
  int64_t bos = 1, eos = 2;
  std::string_view charsmap;
  bool dummy_prefix = true, squeeze = true, escape = true;
};
PipelinePtr pipeline_from_sentencepiece(const SentencePieceModel& model);
/// A SentencePiece model: ids as `sentencepiece` gives them, control symbols no part of the text.
PipelinePtr pipeline_from_sentencepiece(std::string_view bytes);
/// tiktoken's list of "base64 rank" lines. `name` says which encoding it is, or is empty.
PipelinePtr pipeline_from_tiktoken(std::string_view lines, std::string_view name,
                                   const Json* config);
PipelinePtr pipeline_from_tekken(std::string_view json);
/// One token a line: BERT's WordPiece, or words, as tokenizer_config.json (or null) says.
PipelinePtr pipeline_from_vocab_txt(std::string_view lines, const Json* config);
/// GPT-2's vocab.json and merges.txt.
PipelinePtr pipeline_from_vocab_and_merges(std::string_view vocab_json, std::string_view merges,
                                           const Json* config);

/// The "model" member of a tokenizer.json.
std::shared_ptr<text::TokenModel> read_model(text::JsonCursor& cursor);
/// Takes the begin and end tokens from a tokenizer_config.json or special_tokens_map.json.
void set_special_tokens(TokenizerPipeline& pipeline, const Json& config);

/// The template of a post-processor that puts ids before and after each sequence.
Json surround_template(const TokenizerPipeline& pipeline, const std::vector<int32_t>& before,
                       const std::vector<int32_t>& after);

/// f(), with `what` before the message of an Error.
template <class F>
auto named(std::string_view what, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    fail(what, ": ", std::string_view(error.what()));
  }
}

}  // namespace tallow::detail
