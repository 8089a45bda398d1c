// Builds a tokenizer from tokenizer.json and the files beside it.
#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "core/read_file.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/json_cursor.h"
#include "text/tokenizer/pipeline.h"

namespace tallow {
namespace {

using detail::TokenizerPipeline;
using text::JsonCursor;

/// The "model" member, with its large parts left as views.
struct ModelPart {
  std::string type;
  std::vector<std::string_view> tokens;  // by id
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  text::BpeOptions options;
  bool vocabulary_is_map = false;
};

void read_vocabulary(JsonCursor& cursor, std::vector<std::string_view>& tokens) {
  std::vector<std::pair<std::string_view, int64_t>> entries;
  int64_t largest = -1;
  std::string_view token;
  cursor.enter('{');
  while (cursor.next_member(token)) {
    const int64_t id = cursor.integer();
    if (id < 0) cursor.fail_here("a negative token id");
    largest = std::max(largest, id);
    entries.emplace_back(token, id);
  }
  // Ids may have holes, but a small file must not ask for a huge table.
  if (largest >= static_cast<int64_t>(entries.size()) * 16 + 65536) {
    fail("model.vocab: the id ", largest, " is too large for ", entries.size(), " tokens");
  }
  tokens.assign(static_cast<size_t>(largest + 1), {});
  for (const auto& [text, id] : entries) tokens[static_cast<size_t>(id)] = text;
}

void read_merges(JsonCursor& cursor, ModelPart& part) {
  cursor.enter('[');
  while (cursor.next_item()) {
    if (cursor.peek() == '[') {
      std::string_view sides[2];
      size_t n = 0;
      cursor.enter('[');
      while (cursor.next_item()) {
        if (n == 2) cursor.fail_here("a merge joins two tokens");
        sides[n++] = cursor.string();
      }
      if (n != 2) cursor.fail_here("a merge joins two tokens");
      part.merges.emplace_back(sides[0], sides[1]);
      continue;
    }
    const std::string_view merge = cursor.string();
    if (merge.starts_with("#version")) continue;
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos) {
      cursor.fail_here("a merge is two tokens with one space between them");
    }
    part.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

constexpr std::string_view kModelOptions[] = {
    "type",          "unk_token",    "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
    "byte_fallback", "ignore_merges"};

ModelPart read_model(JsonCursor& cursor) {
  ModelPart part;
  std::string_view key;
  Json options = Json::object();
  cursor.enter('{');
  while (cursor.next_member(key)) {
    const std::string name(key);
    if (name == "vocab" && cursor.peek() == '{') {
      part.vocabulary_is_map = true;
      read_vocabulary(cursor, part.tokens);
    } else if (name == "merges" && cursor.peek() == '[') {
      read_merges(cursor, part);
    } else if (std::find(std::begin(kModelOptions), std::end(kModelOptions), name) ==
               std::end(kModelOptions)) {
      cursor.value();
    } else {
      options.set(name, Json::parse(cursor.value(), "model." + name));
    }
  }
  part.type = text::string_or(options, "type", "BPE");
  part.options.unk_token = text::string_or(options, "unk_token", "");
  part.options.continuing_subword_prefix =
      text::string_or(options, "continuing_subword_prefix", "");
  part.options.end_of_word_suffix = text::string_or(options, "end_of_word_suffix", "");
  constexpr size_t kLongestAffix = 64;  // each character may carry one
  if (part.options.continuing_subword_prefix.size() > kLongestAffix ||
      part.options.end_of_word_suffix.size() > kLongestAffix) {
    fail("model: continuing_subword_prefix and end_of_word_suffix have at most ", kLongestAffix,
         " bytes");
  }
  part.options.fuse_unk = text::boolean_or(options, "fuse_unk", false);
  part.options.byte_fallback = text::boolean_or(options, "byte_fallback", false);
  part.options.ignore_merges = text::boolean_or(options, "ignore_merges", false);
  return part;
}

std::unique_ptr<text::TokenModel> make_model(const ModelPart& part) {
  if (part.type != "BPE") fail("model: the type ", part.type, " is not supported; BPE is");
  if (!part.vocabulary_is_map) fail("model: has no vocab");
  return text::make_bpe(text::Vocabulary(part.tokens), part.merges, part.options);
}

/// The added tokens with the ids that `tokenizers` gives them: the model's id of the same text,
/// else the next free one, whatever the file says.
std::vector<text::AddedToken> read_added_tokens(const Json& json, const text::TokenModel& model) {
  std::vector<text::AddedToken> tokens;
  std::unordered_map<std::string, int32_t> ids;
  int64_t next = model.count();
  for (const Json& item : json.items()) {
    text::AddedToken token;
    token.content = item.at("content").string();
    if (token.content.empty()) continue;
    token.single_word = text::boolean_or(item, "single_word", false);
    token.lstrip = text::boolean_or(item, "lstrip", false);
    token.rstrip = text::boolean_or(item, "rstrip", false);
    token.special = text::boolean_or(item, "special", false);
    token.normalized = text::boolean_or(item, "normalized", !token.special);
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

/// The stages of a tokenizer.json but the model, as JSON.
struct Parts {
  Json added_tokens = Json::array();
  Json normalizer, pre_tokenizer, post_processor, decoder;

  Json* find(std::string_view name) {
    if (name == "added_tokens") return &added_tokens;
    if (name == "normalizer") return &normalizer;
    if (name == "pre_tokenizer") return &pre_tokenizer;
    if (name == "post_processor") return &post_processor;
    if (name == "decoder") return &decoder;
    return nullptr;
  }
};

/// bos_token and eos_token of a configuration: a string, or an object with its content.
std::string special_token(const Json& config, std::string_view key) {
  const Json* token = config.find(key);
  if (token && token->is_object()) token = token->find("content");
  return token && token->is_string() ? token->string() : std::string();
}

void set_special_tokens(TokenizerPipeline& pipeline, const Json& config) {
  if (pipeline.bos_token.empty()) pipeline.bos_token = special_token(config, "bos_token");
  if (pipeline.eos_token.empty()) pipeline.eos_token = special_token(config, "eos_token");
  if (!pipeline.bos_token.empty()) pipeline.bos = pipeline.id(pipeline.bos_token);
  if (!pipeline.eos_token.empty()) pipeline.eos = pipeline.id(pipeline.eos_token);
}

std::shared_ptr<TokenizerPipeline> build(std::string_view tokenizer_json) {
  auto pipeline = std::make_shared<TokenizerPipeline>();
  Parts parts;
  JsonCursor cursor(tokenizer_json);
  std::string_view key;
  cursor.enter('{');
  while (cursor.next_member(key)) {
    if (key == "model" && cursor.peek() == '{') {
      pipeline->model = make_model(read_model(cursor));
    } else if (Json* part = parts.find(key)) {
      const std::string name(key);
      const std::string_view value = cursor.value();
      if (value != "null") *part = Json::parse(value, name);
    } else {
      cursor.value();
    }
  }
  cursor.end();
  if (!pipeline->model) fail("has no model; it is not a tokenizer.json");
  pipeline->normalizer = text::make_normalizer(parts.normalizer);
  pipeline->pre_tokenizer = text::make_pre_tokenizer(parts.pre_tokenizer);
  pipeline->post_processor = text::make_post_processor(parts.post_processor);
  pipeline->decoder = text::make_decoder(parts.decoder);
  pipeline->added.build(read_added_tokens(parts.added_tokens, *pipeline->model),
                        pipeline->normalizer);
  return pipeline;
}

template <class F>
auto named(std::string_view what, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    fail(what, ": ", std::string_view(error.what()));
  }
}

}  // namespace

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const Json* config,
                               std::string_view what) {
  return named(what, [&] {
    auto pipeline = build(tokenizer_json);
    if (config) set_special_tokens(*pipeline, *config);
    pipeline->finish();
    return Tokenizer(std::move(pipeline));
  });
}

Tokenizer Tokenizer::from_folder(const std::string& path) {
  const std::string file = path + "/tokenizer.json";
  const std::string json = read_file(file);
  auto pipeline = named(file, [&] { return build(json); });
  // What these say of add_bos_token is not read: the post-processor decides, as in transformers.
  for (const char* name : {"/tokenizer_config.json", "/special_tokens_map.json"}) {
    if (file_exists(path + name)) set_special_tokens(*pipeline, Json::read(path + name));
  }
  pipeline->finish();
  return Tokenizer(std::move(pipeline));
}

}  // namespace tallow
