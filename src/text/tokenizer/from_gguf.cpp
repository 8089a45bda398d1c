// Builds a tokenizer from the tokenizer.ggml.* metadata of a GGUF file.
#include <charconv>
#include <utility>

#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/sources.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/unigram.h"

namespace tallow {
namespace {

using detail::TokenizerPipeline;

enum GgufTokenType { kUnknown = 2, kControl = 3, kUserDefined = 4 };

std::vector<std::pair<std::string_view, std::string_view>> split_merges(
    const std::vector<std::string_view>& lines) {
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  merges.reserve(lines.size());
  for (const std::string_view line : lines) {
    const size_t space = line.find(' ', 1);  // a token may itself be a space, never empty
    if (space == line.npos) fail("tokenizer.ggml.merges: \"", line, "\" is not two tokens");
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

/// The byte-level kind: a pattern by name, merges in order. Returns whether the name implies that
/// a begin token is added.
bool build_byte_level(const GgufVocabulary& from, TokenizerPipeline& to) {
  const text::GgufPreTokenizer pre = text::gguf_pre_tokenizer(from.pre);
  to.parts.pre_tokenizer = pre.json();
  if (pre.nfc) to.parts.normalizer = Json::Object{{"type", "NFC"}};
  text::BpeOptions options;
  options.ignore_merges = pre.ignore_merges;
  options.strict = false;
  to.model =
      text::make_bpe(text::Vocabulary(from.tokens), split_merges(from.merges), std::move(options));
  to.parts.decoder = text::byte_level_decoder();
  return pre.add_bos;
}

Json sequence(const char* key, Json::Array parts) {
  return Json::Object{{"type", "Sequence"}, {key, std::move(parts)}};
}

/// Spaces made visible, and one put in front where the file says so.
void show_spaces(bool prefix, TokenizerPipeline& to) {
  constexpr const char* kPrepend = R"({"type": "Prepend", "prepend": " "})";
  constexpr const char* kReplace =
      R"({"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})";
  constexpr const char* kDecoders = R"([
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    {"type": "ByteFallback"}, {"type": "Fuse"}])";
  constexpr const char* kStrip = R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})";
  Json::Array normalizers;
  if (prefix) normalizers.push_back(Json::parse(kPrepend, "normalizer"));
  normalizers.push_back(Json::parse(kReplace, "normalizer"));
  to.parts.normalizer = sequence("normalizers", std::move(normalizers));
  Json decoders = Json::parse(kDecoders, "decoder");
  if (prefix) decoders.items().push_back(Json::parse(kStrip, "decoder"));
  to.parts.decoder = sequence("decoders", std::move(decoders.items()));
}

/// The SentencePiece kind: merges by score.
void build_sentencepiece(const GgufVocabulary& from, TokenizerPipeline& to) {
  show_spaces(from.add_space_prefix.value_or(true), to);
  if (from.scores.size() != from.tokens.size()) {
    fail("tokenizer.ggml.scores: has ", from.scores.size(), " values for ", from.tokens.size(),
         " tokens");
  }
  const auto tokens = static_cast<int64_t>(from.tokens.size());
  const int64_t unk = from.unk.value_or(0);
  text::ScoredBpeOptions options;
  options.unk = unk >= 0 && unk < tokens ? static_cast<int32_t>(unk) : -1;
  to.model = text::make_scored_bpe(text::Vocabulary(from.tokens), from.scores, options);
}

/// Gemma 4's kind: the same text as SentencePiece's, and merges in order.
void build_byte_fallback(const GgufVocabulary& from, TokenizerPipeline& to) {
  show_spaces(from.add_space_prefix.value_or(false), to);
  text::BpeOptions options;
  options.byte_fallback = options.fuse_unk = true;
  options.strict = false;
  const int64_t unk = from.unk.value_or(-1);
  if (unk >= 0 && unk < static_cast<int64_t>(from.tokens.size())) {
    options.unk_token = from.tokens[static_cast<size_t>(unk)];
  }
  to.model =
      text::make_bpe(text::Vocabulary(from.tokens), split_merges(from.merges), std::move(options));
}

/// The types, checked: 1 where the file has none.
std::vector<uint8_t> types_of(const GgufVocabulary& from) {
  std::vector<uint8_t> types;
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    const int32_t type = id < from.types.size() ? from.types[id] : 1;
    types.push_back(type >= 1 && type <= 6 ? static_cast<uint8_t>(type) : uint8_t{1});
  }
  return types;
}

/// T5's kind: a SentencePiece Unigram, spelled out in metadata.
std::shared_ptr<TokenizerPipeline> build_unigram(const GgufVocabulary& from) {
  detail::SentencePieceModel model;
  model.pieces = from.tokens;
  model.scores.assign(from.scores.begin(), from.scores.end());
  model.scores.resize(model.pieces.size());
  model.types = types_of(from);
  model.charsmap = from.charsmap;
  model.dummy_prefix = from.add_space_prefix.value_or(true);
  model.squeeze = from.remove_extra_whitespaces.value_or(true);
  return detail::pipeline_from_sentencepiece(model);
}

/// BERT's kind. The file marks tokens that begin a word, where WordPiece marks the others.
void build_word_piece(const GgufVocabulary& from, TokenizerPipeline& to) {
  constexpr std::string_view kMark = "\xE2\x96\x81";
  std::vector<std::string> spelled;
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    const std::string_view token = from.tokens[id];
    const bool special = id < from.types.size() && from.types[id] != 1;
    if (token.starts_with(kMark)) {
      spelled.emplace_back(token.substr(kMark.size()));
    } else {
      spelled.push_back(special || token.empty() ? std::string(token) : str("##", token));
    }
  }
  text::WordPieceOptions options;
  const int64_t unk = from.unk.value_or(100);
  if (unk < 0 || unk >= static_cast<int64_t>(spelled.size())) {
    fail("tokenizer.ggml.unknown_token_id: id ", unk, " is outside the vocabulary");
  }
  options.unk_token = spelled[static_cast<size_t>(unk)];
  options.longest = INT32_MAX;
  to.model = text::make_word_piece(
      text::Vocabulary(std::vector<std::string_view>(spelled.begin(), spelled.end())), options);
  to.parts.normalizer = Json::Object{{"type", "BertNormalizer"},
                                     {"clean_text", true},
                                     {"handle_chinese_chars", true},
                                     {"strip_accents", true},
                                     {"lowercase", true}};
  to.parts.pre_tokenizer = Json::Object{{"type", "BertPreTokenizer"}};
  to.parts.decoder = Json::Object{{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
}

/// The bytes that a token of RWKV's stands for, which are written as Python writes bytes.
std::string unescape(std::string_view token) {
  constexpr std::string_view kNames = "tnr", kBytes = "\t\n\r";
  std::string bytes;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '\\' || i + 1 == token.size()) {
      bytes += token[i];
      continue;
    }
    const char escape = token[++i];
    const size_t known = kNames.find(escape);
    unsigned value = 0;
    const char* digits = token.data() + i + 1;
    if (known != kNames.npos) {
      bytes += kBytes[known];
    } else if (escape == 'x' && i + 2 < token.size() &&
               std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
      bytes += static_cast<char>(value);
      i += 2;
    } else {
      bytes += escape;
    }
  }
  return bytes;
}

/// RWKV's kind: always the longest token that the rest of the text begins with. That is WordPiece
/// without a prefix, over the bytes of the whole text.
void build_rwkv(const GgufVocabulary& from, TokenizerPipeline& to) {
  std::vector<std::string> spelled;
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    const bool special = id < from.types.size() && from.types[id] != 1;
    std::string& token = spelled.emplace_back();
    if (special) {
      token = from.tokens[id];
    } else {
      text::append_byte_level(token, unescape(from.tokens[id]));
    }
  }
  text::WordPieceOptions options;
  options.unk_token = spelled[0];
  options.prefix.clear();
  options.longest = INT32_MAX;
  to.model = text::make_word_piece(
      text::Vocabulary(std::vector<std::string_view>(spelled.begin(), spelled.end())), options);
  to.parts.pre_tokenizer = text::byte_level_pre_tokenizer({});
  to.parts.decoder = text::byte_level_decoder();
}

void add_tokens(const GgufVocabulary& from, TokenizerPipeline& to) {
  if (!from.types.empty() && from.types.size() != from.tokens.size()) {
    fail("tokenizer.ggml.token_type: has ", from.types.size(), " values for ", from.tokens.size(),
         " tokens");
  }
  std::vector<text::AddedToken> added;
  for (size_t id = 0; id < from.types.size(); ++id) {
    const int32_t type = from.types[id];
    if (type != kUnknown && type != kControl && type != kUserDefined) continue;
    if (from.tokens[id].empty()) continue;
    text::AddedToken token;
    token.content = from.tokens[id];
    token.id = static_cast<int32_t>(id);
    token.special = type != kUserDefined;
    added.push_back(std::move(token));
  }
  to.added.build(std::move(added), to.normalizer);
}

/// What is added around a text where the file does not say.
struct Surround {
  bool bos, eos;
};

std::optional<int32_t> checked(std::optional<int64_t> id, const TokenizerPipeline& pipeline,
                               const char* key) {
  if (!id || *id < 0 || *id == INT32_MAX || *id == UINT32_MAX) return std::nullopt;
  if (*id >= pipeline.model->vocabulary().size()) {
    fail("tokenizer.ggml.", key, ": id ", *id, " is outside the vocabulary of ",
         pipeline.model->vocabulary().size(), " tokens");
  }
  return static_cast<int32_t>(*id);
}

void add_special_ids(const GgufVocabulary& from, TokenizerPipeline& to, Surround defaults) {
  to.bos = checked(from.bos ? from.bos : from.cls, to, "bos_token_id");
  to.eos = checked(from.eos ? from.eos : from.sep, to, "eos_token_id");
  if (to.bos) to.bos_token = to.token(*to.bos);
  if (to.eos) to.eos_token = to.token(*to.eos);
  std::vector<int32_t> before, after;
  if (from.add_bos.value_or(defaults.bos) && to.bos) before.push_back(*to.bos);
  if (from.add_eos.value_or(defaults.eos) && to.eos) after.push_back(*to.eos);
  if (before.empty() && after.empty()) return;
  to.parts.post_processor = detail::surround_template(to, before, after);
  to.post_processor = text::make_post_processor(to.parts.post_processor);
}

std::shared_ptr<TokenizerPipeline> build(const GgufVocabulary& from) {
  if (from.tokens.empty()) fail("tokenizer.ggml.tokens: is missing or empty");
  auto pipeline = std::make_shared<TokenizerPipeline>();
  Surround defaults{true, false};
  if (from.model == "gpt2") {
    defaults.bos = build_byte_level(from, *pipeline);
  } else if (from.model == "llama") {
    build_sentencepiece(from, *pipeline);
  } else if (from.model == "gemma4") {
    build_byte_fallback(from, *pipeline);
  } else if (from.model == "bert") {
    build_word_piece(from, *pipeline);
    defaults.eos = true;
  } else if (from.model == "t5") {
    pipeline = build_unigram(from);
    defaults = {false, true};
  } else if (from.model == "rwkv") {
    build_rwkv(from, *pipeline);
    defaults.bos = false;
  } else {
    fail("tokenizer.ggml.model: the kind ", from.model,
         " is not supported; gpt2, llama, gemma4, bert, t5 and rwkv are");
  }
  if (from.model != "t5") pipeline->make_stages();
  add_tokens(from, *pipeline);
  add_special_ids(from, *pipeline, defaults);
  pipeline->finish();
  if (const auto eot = checked(from.eot, *pipeline, "eot_token_id")) {
    pipeline->end[static_cast<size_t>(*eot)] = 1;
  }
  return pipeline;
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufVocabulary& vocabulary, std::string_view what) {
  return detail::named(what, [&] { return Tokenizer(build(vocabulary)); });
}

}  // namespace tallow
