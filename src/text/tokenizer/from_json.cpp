// Builds a tokenizer from tokenizer.json and the files beside it.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/read_file.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/json_cursor.h"
#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/sources.h"

namespace tallow {
namespace detail {
namespace {

/// The added tokens with the ids that `tokenizers` gives them: the model's id of the same text,
/// else the next free one, whatever the file says.
std::vector<text::AddedToken> read_added_tokens(const Json& json, const text::TokenModel& model) {
  std::vector<text::AddedToken> tokens;
  std::unordered_map<std::string, int32_t> ids;
  int64_t next = model.vocabulary().count();
  for (const Json& item : json.items()) {
    text::AddedToken token = text::read_added_token(item);
    if (token.content.empty()) continue;
    const auto known = ids.find(token.content);
    if (known != ids.end()) {
      token.id = known->second;
    } else if (const auto id = model.id(token.content)) {
      token.id = *id;
    } else {
      if (next > INT32_MAX) fail("added_tokens: too many tokens");
      token.id = static_cast<int32_t>(next++);
    }
    ids[token.content] = token.id;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

/// bos_token and eos_token of a configuration: a string, or an object with its content.
std::string special_token(const Json& config, std::string_view key) {
  const Json* token = config.find(key);
  if (token && token->is_object()) token = token->find("content");
  return token && token->is_string() ? token->string() : std::string();
}

}  // namespace

void set_special_tokens(TokenizerPipeline& pipeline, const Json& config) {
  if (pipeline.bos_token.empty()) pipeline.bos_token = special_token(config, "bos_token");
  if (pipeline.eos_token.empty()) pipeline.eos_token = special_token(config, "eos_token");
  if (!pipeline.bos_token.empty()) pipeline.bos = pipeline.id(pipeline.bos_token);
  if (!pipeline.eos_token.empty()) pipeline.eos = pipeline.id(pipeline.eos_token);
}

void TokenizerPipeline::make_stages() {
  normalizer = text::make_normalizer(parts.normalizer);
  pre_tokenizer = text::make_pre_tokenizer(parts.pre_tokenizer);
  post_processor = text::make_post_processor(parts.post_processor);
  decoder = text::make_decoder(parts.decoder);
  added.build(read_added_tokens(parts.added_tokens, *model), normalizer);
  parts.added_tokens = Json::array();
}

std::shared_ptr<TokenizerPipeline> pipeline_from_json(std::string_view tokenizer_json) {
  auto pipeline = std::make_shared<TokenizerPipeline>();
  text::JsonCursor cursor(tokenizer_json);
  std::string_view key;
  cursor.enter('{');
  while (cursor.next_member(key)) {
    if (key == "model" && cursor.peek() == '{') {
      pipeline->model = read_model(cursor);
    } else if (Json* part = pipeline->parts.find(key)) {
      const std::string name(key);
      const std::string_view value = cursor.value();
      if (value != "null") *part = Json::parse(value, name);
    } else {
      cursor.value();
    }
  }
  cursor.end();
  if (!pipeline->model) fail("has no model; it is not a tokenizer.json");
  pipeline->make_stages();
  return pipeline;
}

}  // namespace detail

using detail::TokenizerPipeline;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const Json* config,
                               std::string_view what) {
  return detail::named(what, [&] {
    auto pipeline = detail::pipeline_from_json(tokenizer_json);
    if (config) detail::set_special_tokens(*pipeline, *config);
    pipeline->finish();
    return Tokenizer(std::move(pipeline));
  });
}

}  // namespace tallow
