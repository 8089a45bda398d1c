// The stages that usually go with each model.
#include "tallow/error.h"
#include "tallow/tokenizer_training.h"
#include "text/tokenizer/json_cursor.h"
#include "text/tokenizer/stages.h"

namespace tallow {
namespace {

constexpr std::string_view kByteLevel = R"({
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                    "use_regex": true},
  "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false,
                     "use_regex": true},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
              "use_regex": true},
  "model": {"type": "BPE"}
})";

constexpr std::string_view kBert = R"({
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                 "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]"}
})";

constexpr std::string_view kSentencePiece = R"({
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
  "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                    "split": true},
  "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
  "model": {"type": "Unigram", "unk_token": "<unk>"}
})";

constexpr std::string_view kWords = R"({
  "pre_tokenizer": {"type": "WhitespaceSplit"},
  "model": {"type": "WordLevel", "unk_token": "[UNK]"}
})";

struct Row {
  std::string_view type, json;
};
constexpr Row kRows[] = {
    {"bpe", kByteLevel}, {"wordpiece", kBert}, {"unigram", kSentencePiece}, {"wordlevel", kWords}};

/// A tokenizer.json without its vocabulary, read from the text of a whole one: a vocabulary may
/// have half a million entries.
Json without_vocabulary(std::string_view tokenizer_json) {
  Json tokenizer = Json::object();
  text::JsonCursor cursor(tokenizer_json);
  std::string_view key;
  cursor.enter('{');
  while (cursor.next_member(key)) {
    const std::string name(key);
    if (name != "model") {
      tokenizer.set(name, Json::parse(cursor.value(), name));
      continue;
    }
    Json model = Json::object();
    cursor.enter('{');
    while (cursor.next_member(key)) {
      const std::string option(key);
      const std::string_view value = cursor.value();
      if (option != "vocab" && option != "merges") model.set(option, Json::parse(value, option));
    }
    tokenizer.set(name, std::move(model));
  }
  return tokenizer;
}

}  // namespace

Json untrained_tokenizer(std::string_view model) {
  for (const Row& row : kRows) {
    if (row.type == model) return Json::parse(row.json, "untrained_tokenizer");
  }
  fail("training: the model ", model, " is not known; bpe, wordpiece, unigram and wordlevel are");
}

Json untrained_tokenizer(const Tokenizer& like) {
  Json json = without_vocabulary(like.to_json());
  Json model = json.at("model");
  const bool unigram = text::type_of(model, "model") == "Unigram";
  const Json* unk = model.find("unk_id");
  if (unk && unk->is_integer()) {
    model.set("unk_token", like.token(static_cast<int32_t>(unk->integer())));
  }
  json.set("model", std::move(model));
  // As in transformers: the others are words that the text decides about.
  Json tokens = json.at("added_tokens");
  std::erase_if(tokens.items(), [&](const Json& token) {
    return !unigram && !text::boolean_or(token, "special", false);
  });
  json.set("added_tokens", std::move(tokens));
  return json;
}

}  // namespace tallow
