// Vocabularies by rank: tiktoken's files and Mistral's tekken.json. A token is bytes, and the pair
// of neighbours that joins to the token of the lowest rank is merged first.
#include <algorithm>
#include <charconv>

#include "core/utf8.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/sources.h"
#include "text/tokenizer/unicode.h"

namespace tallow::detail {
namespace {

constexpr std::string_view kGpt2 =
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)";
constexpr std::string_view kCl100k =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)";
constexpr std::string_view kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// An encoding: its pattern and its special tokens, from the first id after the ranks.
struct Encoding {
  std::string_view name;  // a part of the file's name
  size_t ranks;           // how many the file has; 0: any number
  std::string_view pattern;
  std::pair<std::string_view, int32_t> special[5];
};
constexpr Encoding kEncodings[] = {
    {"cl100k",
     100256,
     kCl100k,
     {{"<|endoftext|>", 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
    {"o200k", 199998, kO200k, {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
    {"p50k", 50280, kGpt2, {{"<|endoftext|>", 50256}}},
    {"r50k", 50256, kGpt2, {{"<|endoftext|>", 50256}}},
    {"gpt2", 50256, kGpt2, {{"<|endoftext|>", 50256}}},
    {"qwen",
     151643,
     kQwen,
     {{"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}}},
    {"llama",
     128000,
     kLlama3,
     {{"<|begin_of_text|>", 128000}, {"<|end_of_text|>", 128001}, {"<|eot_id|>", 128009}}},
};

const Encoding& encoding_of(std::string_view name, size_t ranks) {
  for (const Encoding& row : kEncodings) {
    if (!name.empty() && name.find(row.name) != name.npos) return row;
  }
  for (const Encoding& row : kEncodings) {
    if (row.ranks == ranks) return row;
  }
  std::string known;
  for (const Encoding& row : kEncodings) known += str(known.empty() ? "" : ", ", row.name);
  fail("the encoding of ", ranks, " ranks is not known; put a name into the file's: ", known);
}

/// BPE by ranks as BPE by merges: every way to join two tokens into a third has its rank.
std::shared_ptr<text::TokenModel> make_model(const std::vector<std::string>& tokens) {
  std::vector<std::string> spelled(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) text::append_byte_level(spelled[i], tokens[i]);
  const text::Vocabulary vocabulary(std::vector<std::string_view>(spelled.begin(), spelled.end()));
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  for (const std::string_view token : spelled) {
    for (size_t i = 0; i < token.size();) {
      next_code_point(token, i);
      const std::string_view left = token.substr(0, i), right = token.substr(i);
      if (vocabulary.find(left) >= 0 && vocabulary.find(right) >= 0) {
        merges.emplace_back(left, right);
      }
    }
  }
  text::BpeOptions options;
  options.ignore_merges = true;
  options.rank_by_result = true;
  return text::make_bpe(vocabulary, merges, options);
}

void set_pattern(TokenizerParts& parts, std::string_view pattern) {
  parts.pre_tokenizer = text::byte_level_pre_tokenizer({&pattern, 1});
  parts.decoder = text::byte_level_decoder();
}

AddedToken special_token(std::string content, int64_t id) {
  if (id < 0 || id > INT32_MAX) fail("special tokens: the id ", id, " of ", content);
  AddedToken token;
  token.content = std::move(content);
  token.id = static_cast<int32_t>(id);
  token.special = true;
  return token;
}

}  // namespace

PipelinePtr pipeline_from_tiktoken(std::string_view lines, std::string_view name, const Json*) {
  std::vector<std::string> tokens;
  size_t count = 0;
  for (size_t number = 1; !lines.empty(); ++number) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    size_t rank = 0;
    const char* end = line.data() + line.size();
    if (space == line.npos || space == 0 ||
        std::from_chars(line.data() + space + 1, end, rank).ec != std::errc()) {
      fail("line ", number, ": is not a token in base64 and its rank");
    }
    // Ranks may have holes, but a small file must not ask for a huge table.
    if (rank > count + 65536) fail("line ", number, ": the rank ", rank, " is too large");
    if (rank >= tokens.size()) tokens.resize(rank + 1);
    tokens[rank] = text::decode_base64(line.substr(0, space));
    ++count;
  }
  if (count == 0) fail("has no ranks");
  const Encoding& encoding = encoding_of(name, count);
  auto pipeline = std::make_shared<TokenizerPipeline>();
  pipeline->model = make_model(tokens);
  set_pattern(pipeline->parts, encoding.pattern);
  pipeline->make_stages();
  std::vector<AddedToken> special;
  for (const auto& [content, id] : encoding.special) {
    if (!content.empty()) special.push_back(special_token(std::string(content), id));
  }
  pipeline->added.build(std::move(special), {});
  return pipeline;
}

PipelinePtr pipeline_from_tekken(std::string_view text) {
  const Json json = Json::parse(text, "tekken");
  const Json& config = json.at("config");
  const int64_t special_count = config.at("default_num_special_tokens").integer();
  const int64_t size = config.at("default_vocab_size").integer();
  const auto& vocab = json.at("vocab").items();
  if (special_count < 0 || special_count > 65536) {
    fail("config.default_num_special_tokens: is ", special_count);
  }
  const auto specials = static_cast<size_t>(special_count);
  if (size < special_count || static_cast<size_t>(size) - specials > vocab.size()) {
    fail("config.default_vocab_size: is ", size, ", for ", vocab.size(), " tokens and ",
         special_count, " special ones");
  }
  std::vector<std::string> tokens(static_cast<size_t>(size) - specials);
  for (const Json& entry : vocab) {
    const int64_t rank = entry.at("rank").integer();
    if (rank < 0) fail("vocab: a rank is ", rank);
    if (static_cast<size_t>(rank) >= tokens.size()) continue;
    tokens[static_cast<size_t>(rank)] = text::decode_base64(entry.at("token_bytes").string());
  }
  // Special tokens have the first ids.
  std::vector<AddedToken> special;
  for (int64_t id = 0; id < special_count; ++id) {
    special.push_back(special_token(str("<SPECIAL_", id, ">"), id));
  }
  if (const Json* listed = json.find("special_tokens"); listed && listed->is_array()) {
    for (const Json& entry : listed->items()) {
      const int64_t id = entry.at("rank").integer();
      if (id < 0 || id >= special_count) fail("special_tokens: the rank ", id);
      special[static_cast<size_t>(id)].content = entry.at("token_str").string();
    }
  } else {
    constexpr const char* kFirst[] = {"<unk>",
                                      "<s>",
                                      "</s>",
                                      "[INST]",
                                      "[/INST]",
                                      "[AVAILABLE_TOOLS]",
                                      "[/AVAILABLE_TOOLS]",
                                      "[TOOL_RESULTS]",
                                      "[/TOOL_RESULTS]",
                                      "[TOOL_CALLS]"};
    for (size_t id = 0; id < std::min(std::size(kFirst), special.size()); ++id) {
      special[id].content = kFirst[id];
    }
  }
  std::vector<std::string> all(specials);
  all.insert(all.end(), std::make_move_iterator(tokens.begin()),
             std::make_move_iterator(tokens.end()));
  auto pipeline = std::make_shared<TokenizerPipeline>();
  pipeline->model = make_model(all);
  set_pattern(pipeline->parts, config.at("pattern").string());
  pipeline->make_stages();
  pipeline->added.build(std::move(special), {});
  if (specials > 2) {
    pipeline->bos = 1;
    pipeline->eos = 2;
    pipeline->bos_token = pipeline->token(1);
    pipeline->eos_token = pipeline->token(2);
    pipeline->parts.post_processor = surround_template(*pipeline, {1}, {});
    pipeline->post_processor = text::make_post_processor(pipeline->parts.post_processor);
  }
  return pipeline;
}

}  // namespace tallow::detail
