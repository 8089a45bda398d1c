// The files of tokenizers from before tokenizer.json: vocab.txt, and vocab.json with merges.txt.
// What they leave open, tokenizer_config.json says.
#include <algorithm>

#include "text/tokenizer/bpe.h"
#include "text/tokenizer/sources.h"
#include "text/tokenizer/unigram.h"

namespace tallow::detail {
namespace {

Json parsed(const char* json) { return Json::parse(json, "built in"); }

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

bool names(const Json* config, std::string_view part) {
  return config && text::string_or(*config, "tokenizer_class", "").find(part) != std::string::npos;
}

std::string special_or(const Json* config, const char* key, const char* otherwise) {
  const Json* token = config ? config->find(key) : nullptr;
  if (token && token->is_object()) token = token->find("content");
  return token && token->is_string() ? token->string() : otherwise;
}

/// Registers those of the tokens that the model has.
void add_special(TokenizerPipeline& to, const std::vector<std::string>& contents) {
  std::vector<AddedToken> tokens;
  for (const std::string& content : contents) {
    const auto id = to.model->id(content);
    if (!id) continue;
    AddedToken token;
    token.content = content;
    token.id = *id;
    token.special = true;
    tokens.push_back(std::move(token));
  }
  to.added.build(std::move(tokens), to.normalizer);
}

}  // namespace

PipelinePtr pipeline_from_vocab_txt(std::string_view text, const Json* config) {
  const std::vector<std::string_view> tokens = lines_of(text);
  if (tokens.empty()) fail("has no tokens");
  const auto flag = [&](const char* key, bool otherwise) {
    return config ? text::boolean_or(*config, key, otherwise) : otherwise;
  };
  const std::string unk = special_or(config, "unk_token", "[UNK]");
  const std::string cls = special_or(config, "cls_token", "[CLS]");
  const std::string sep = special_or(config, "sep_token", "[SEP]");
  const bool lower = flag("do_lower_case", true);
  auto pipeline = std::make_shared<TokenizerPipeline>();
  text::WordPieceOptions options;
  options.unk_token = unk;
  pipeline->model = text::make_word_piece(text::Vocabulary(tokens), options);
  pipeline->parts.normalizer =
      Json::Object{{"type", "BertNormalizer"},
                   {"clean_text", true},
                   {"handle_chinese_chars", flag("tokenize_chinese_chars", true)},
                   {"strip_accents", flag("strip_accents", lower)},
                   {"lowercase", lower}};
  pipeline->parts.pre_tokenizer = parsed(R"({"type": "BertPreTokenizer"})");
  pipeline->parts.decoder = parsed(R"({"type": "WordPiece", "prefix": "##", "cleanup": true})");
  pipeline->make_stages();
  add_special(*pipeline, {special_or(config, "pad_token", "[PAD]"), unk, cls, sep,
                          special_or(config, "mask_token", "[MASK]")});
  const auto first = pipeline->id(cls), last = pipeline->id(sep);
  if (first && last) {
    Json both = surround_template(*pipeline, {*first}, {*last});
    // The second sequence has no token before it.
    auto& pair = both.members()[2].second.items();
    pair.erase(pair.begin() + 3);
    pipeline->parts.post_processor = std::move(both);
    pipeline->post_processor = text::make_post_processor(pipeline->parts.post_processor);
  }
  return pipeline;
}

PipelinePtr pipeline_from_vocab_and_merges(std::string_view vocab_json, std::string_view merges,
                                           const Json* config) {
  // The model's member of a tokenizer.json, but for the merges.
  const std::string member = str(R"({"type": "BPE", "merges": [], "vocab": )", vocab_json, "}");
  text::JsonCursor cursor(member);
  const auto vocabulary = read_model(cursor);
  cursor.end();
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (const std::string_view line : lines_of(merges)) {
    if (line.empty() || (pairs.empty() && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ', 1);
    if (space == line.npos) fail("merges.txt: \"", line, "\" is not two tokens");
    pairs.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  const bool prefix = config && text::boolean_or(*config, "add_prefix_space", false);
  auto pipeline = std::make_shared<TokenizerPipeline>();
  pipeline->model = text::make_bpe(vocabulary->vocabulary(), pairs, {});
  pipeline->parts.decoder = parsed(
      R"({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})");
  if (names(config, "Qwen2")) {
    pipeline->parts.normalizer = parsed(R"({"type": "NFC"})");
    pipeline->parts.pre_tokenizer = text::gguf_pre_tokenizer("qwen2").json();
  } else {
    pipeline->parts.pre_tokenizer = Json::Object{{"type", "ByteLevel"},
                                                 {"add_prefix_space", prefix},
                                                 {"trim_offsets", true},
                                                 {"use_regex", true}};
  }
  pipeline->make_stages();
  add_special(*pipeline, {"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>",
                          "<|im_start|>", "<|im_end|>"});
  const auto bos = pipeline->id("<s>"), eos = pipeline->id("</s>");
  const bool roberta = names(config, "Roberta") || names(config, "Bart") || (!config && bos && eos);
  if (roberta && bos && eos) {
    const auto side = [](const char* token, int32_t id) {
      return Json::Array{Json(token), Json(id)};
    };
    pipeline->parts.post_processor = Json::Object{{"type", "RobertaProcessing"},
                                                  {"sep", side("</s>", *eos)},
                                                  {"cls", side("<s>", *bos)},
                                                  {"trim_offsets", true},
                                                  {"add_prefix_space", prefix}};
    pipeline->post_processor = text::make_post_processor(pipeline->parts.post_processor);
  }
  return pipeline;
}

}  // namespace tallow::detail
