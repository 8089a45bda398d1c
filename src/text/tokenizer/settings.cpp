// What can be set on a tokenizer: truncation, padding, added tokens; and how it is written.
#include <algorithm>
#include <unordered_set>

#include "tallow/error.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/pipeline.h"

namespace tallow {
namespace detail {
namespace {

constexpr std::pair<std::string_view, TextTruncation::Strategy> kStrategies[] = {
    {"LongestFirst", TextTruncation::Strategy::longest_first},
    {"OnlyFirst", TextTruncation::Strategy::only_first},
    {"OnlySecond", TextTruncation::Strategy::only_second}};

bool is_left(const Json& json, const char* what) {
  const std::string direction = text::string_or(json, "direction", "Right");
  if (direction != "Left" && direction != "Right") fail(what, ": the direction ", direction);
  return direction == "Left";
}

int64_t count_or(const Json& json, std::string_view key, int64_t otherwise) {
  const Json* value = json.find(key);
  if (!value || value->is_null()) return otherwise;
  const int64_t n = value->integer();
  if (n < 0 || n > INT32_MAX) fail(key, ": ", n, " is out of range");
  return n;
}

}  // namespace

std::optional<TextTruncation> read_truncation(const Json& json) {
  if (json.is_null()) return std::nullopt;
  TextTruncation made;
  made.left = is_left(json, "truncation");
  made.max_length = count_or(json, "max_length", made.max_length);
  made.stride = count_or(json, "stride", 0);
  const std::string strategy = text::string_or(json, "strategy", "LongestFirst");
  const auto* row = std::find_if(std::begin(kStrategies), std::end(kStrategies),
                                 [&](const auto& r) { return r.first == strategy; });
  if (row == std::end(kStrategies)) fail("truncation: the strategy ", strategy, " is not known");
  made.strategy = row->second;
  return made;
}

Json write_truncation(const std::optional<TextTruncation>& truncation) {
  if (!truncation) return {};
  const auto* row = std::find_if(std::begin(kStrategies), std::end(kStrategies),
                                 [&](const auto& r) { return r.second == truncation->strategy; });
  return Json::Object{{"direction", truncation->left ? "Left" : "Right"},
                      {"max_length", truncation->max_length},
                      {"strategy", row->first},
                      {"stride", truncation->stride}};
}

std::optional<TextPadding> read_padding(const Json& json) {
  if (json.is_null()) return std::nullopt;
  TextPadding made;
  made.left = is_left(json, "padding");
  if (const Json* strategy = json.find("strategy"); strategy && strategy->is_object()) {
    made.length = count_or(*strategy, "Fixed", 0);
  }
  made.multiple_of = count_or(json, "pad_to_multiple_of", 0);
  made.id = static_cast<int32_t>(count_or(json, "pad_id", 0));
  made.type_id = static_cast<int32_t>(count_or(json, "pad_type_id", 0));
  made.token = text::string_or(json, "pad_token", made.token);
  return made;
}

Json write_padding(const std::optional<TextPadding>& padding) {
  if (!padding) return {};
  Json strategy = "BatchLongest";
  if (padding->length) strategy = Json::Object{{"Fixed", *padding->length}};
  return Json::Object{
      {"strategy", std::move(strategy)},
      {"direction", padding->left ? "Left" : "Right"},
      {"pad_to_multiple_of", padding->multiple_of ? Json(padding->multiple_of) : Json()},
      {"pad_id", padding->id},
      {"pad_type_id", padding->type_id},
      {"pad_token", padding->token}};
}

}  // namespace detail

using detail::TokenizerPipeline;

void Tokenizer::set_truncation(std::optional<TextTruncation> truncation) {
  if (truncation && (truncation->max_length < 0 || truncation->stride < 0)) {
    fail("truncation: to ", truncation->max_length, " tokens with a stride of ",
         truncation->stride);
  }
  truncation_ = truncation;
}

void Tokenizer::set_padding(std::optional<TextPadding> padding) {
  constexpr int64_t kMost = INT32_MAX;
  if (padding && (padding->length.value_or(0) < 0 || padding->length.value_or(0) > kMost ||
                  padding->multiple_of < 0 || padding->multiple_of > kMost)) {
    fail("padding: to ", padding->length.value_or(0), " tokens, a multiple of ",
         padding->multiple_of);
  }
  padding_ = std::move(padding);
}

int64_t Tokenizer::special_tokens_added(bool pair) const {
  return static_cast<int64_t>(pipeline_->special_tokens_added(pair));
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return pipeline_->added.tokens(); }

bool Tokenizer::in_model(std::string_view token) const {
  return pipeline_->model->id(token).has_value();
}

int64_t Tokenizer::token_count(bool with_added_tokens) const {
  int64_t n = pipeline_->model->vocabulary().count();
  if (!with_added_tokens) return n;
  std::unordered_set<std::string_view> seen;
  for (const AddedToken& token : added_tokens()) {
    n += !pipeline_->model->id(token.content) && seen.insert(token.content).second;
  }
  return n;
}

int64_t Tokenizer::add_tokens(std::vector<AddedToken> tokens) {
  auto pipeline = std::make_shared<TokenizerPipeline>(*pipeline_);
  std::vector<AddedToken> all = added_tokens();
  const int64_t count = pipeline->model->vocabulary().count();
  int64_t next = count;
  for (const AddedToken& token : all) next = std::max<int64_t>(next, token.id + int64_t{1});
  int64_t added = 0;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    const auto known = std::find_if(all.begin(), all.end(), [&](const AddedToken& other) {
      return other.content == token.content;
    });
    if (known != all.end()) {
      token.id = known->id;
      if (token == *known) continue;
      *known = token;
    } else {
      const auto id = pipeline->model->id(token.content);
      if (next > INT32_MAX) fail("add_tokens: too many tokens");
      token.id = id ? *id : static_cast<int32_t>(next++);
      all.push_back(std::move(token));
    }
    ++added;
  }
  pipeline->added.build(std::move(all), pipeline->normalizer);
  pipeline->finish();
  pipeline_ = std::move(pipeline);
  return added;
}

std::string Tokenizer::to_json() const {
  std::vector<AddedToken> tokens = added_tokens();
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  Json::Array added;
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    added.push_back(text::written_added_token(token));
  }
  const auto& parts = pipeline_->parts;
  Json head = Json::Object{{"version", "1.0"},
                           {"truncation", detail::write_truncation(truncation_)},
                           {"padding", detail::write_padding(padding_)},
                           {"added_tokens", std::move(added)},
                           {"normalizer", parts.normalizer},
                           {"pre_tokenizer", parts.pre_tokenizer},
                           {"post_processor", parts.post_processor},
                           {"decoder", parts.decoder}};
  std::string json = head.dump();
  json.pop_back();
  json += ",\"model\":";
  pipeline_->model->save(json);
  return json += '}';
}

}  // namespace tallow
