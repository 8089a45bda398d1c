// A folder's tokenizer and chat template as tokenizer.* metadata of GGUF.
#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "convert/plan.h"
#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "tallow/chat_template.h"
#include "tallow/error.h"
#include "tallow/tokenizer.h"
#include "text/tokenizer/stages.h"

namespace tallow::converting {
namespace {

// llama.cpp's token types.
enum TokenType : int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

/// Names of tokenizer.ggml.pre that are tried, in this order, for the one that splits alike.
constexpr const char* kPreTokenizers[] = {
    "llama-bpe", "smaug-bpe", "smollm",      "gpt-2",  "qwen2",          "stablelm2",
    "tekken",    "gpt-4o",    "deepseek-v3", "falcon", "deepseek-coder", "default",
};

/// Text on which different pre-tokenizers differ: llama.cpp tells them apart in this way, too.
constexpr std::string_view kProbe =
    "Hello World, it's 3.14159 \n\n\t\t x=1234567890; don't WON'T I'LL  a  b   c\r\n\r\n"
    "CamelCaseWords and snake_case /* ~!@#$%^&*()_+|{}:\"<>?`-=[]\\;',./ */ 12 345 6789 12345\n \n "
    " \n"
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u4f60\u597d\uff0c\u4e16\u754c\uff01 "
    "\u3053\u3093\u306b\u3061\u306f \u30ab\u30bf \uc548\ub155 \u041f\u0440\u0438\u0432\u0435\u0442 "
    "\u0645\u0631\u062d\u0628\u0627 \U0001f600\U0001f44d\U0001f3fd e\u0301 \u00bd \u2167 "
    "\u0e01\u0e33 "
    "3\u00d74=12 we'Ve \u2019s 'S ''' ...... ///// \u2014 \u201cquoted\u201d abc123def 1 22 333 "
    "4444 55555";

std::vector<std::string> pieces(const text::PreTokenizerChain& chain) {
  std::vector<std::string> result;
  chain.run({kProbe, nullptr, true},
            [&](const text::Piece& piece) { result.emplace_back(piece.text); });
  return result;
}

/// The parts of tokenizer.json and of the files beside it.
struct Source {
  std::string path;
  Json tokenizer, config = Json::object();
  const Json* model;

  explicit Source(const std::string& folder)
      : path(folder + "/tokenizer.json"), tokenizer(Json::read(path)) {
    model = &tokenizer.at("model");
    for (const char* name : {"/special_tokens_map.json", "/tokenizer_config.json"}) {
      if (!file_exists(folder + name)) continue;
      const Json beside = Json::read(folder + name);
      if (!beside.is_object()) continue;
      for (const auto& [key, value] : beside.members()) config.set(key, value);
    }
  }
  std::string type() const {
    const Json* found = model->find("type");
    return found && found->is_string() ? found->string() : "BPE";
  }
  /// Whether a stage, or a step of it, has the type.
  static bool has(const Json* stage, std::string_view type) {
    if (!stage || !stage->is_object()) return false;
    const Json* own = stage->find("type");
    if (own && own->is_string() && own->string() == type) return true;
    for (const char* list : {"pretokenizers", "normalizers", "decoders", "processors"}) {
      const Json* steps = stage->find(list);
      if (!steps || !steps->is_array()) continue;
      for (const Json& step : steps->items()) {
        if (has(&step, type)) return true;
      }
    }
    return false;
  }
  bool has(const char* stage, std::string_view type) const {
    return has(tokenizer.find(stage), type);
  }
};

/// tokens, types and scores by id.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;

  Vocabulary(const Source& from, int64_t rows) {
    for (const auto& [token, id] : from.model->at("vocab").members()) {
      put(from, id.integer(), token, kNormal);
    }
    if (const Json* added = from.tokenizer.find("added_tokens"); added && added->is_array()) {
      for (const Json& item : added->items()) {
        const Json* special = item.find("special");
        const bool control = special && special->boolean();
        put(from, item.at("id").integer(), item.at("content").string(),
            control ? kControl : kUserDefined);
      }
    }
    const auto used = static_cast<int64_t>(tokens.size());
    if (used > rows) {
      fail(from.path, ": has ids up to ", used - 1, ", but the embedding has ", rows, " rows");
    }
    tokens.resize(static_cast<size_t>(rows));
    types.resize(tokens.size(), kUnused);
    for (size_t id = 0; id < tokens.size(); ++id) {
      if (types[id] == kUnused) tokens[id] = str("[PAD", static_cast<int64_t>(id), "]");
    }
  }

 private:
  void put(const Source& from, int64_t id, const std::string& token, int32_t type) {
    constexpr int64_t kMost = 1 << 24;
    if (id < 0 || id >= kMost) fail(from.path, ": token ", quoted(token), " has the id ", id);
    const auto at = static_cast<size_t>(id);
    if (at >= tokens.size()) {
      tokens.resize(at + 1);
      types.resize(at + 1, kUnused);
    }
    tokens[at] = token;
    types[at] = type;
  }
};

/// The two sides of each merge.
std::vector<std::pair<std::string, std::string>> merges_of(const Source& from) {
  std::vector<std::pair<std::string, std::string>> result;
  const Json* merges = from.model->find("merges");
  if (!merges) return result;
  for (const Json& merge : merges->items()) {
    if (merge.is_array() && merge.items().size() == 2) {
      result.emplace_back(merge.items()[0].string(), merge.items()[1].string());
      continue;
    }
    const std::string& line = merge.string();
    const size_t space = line.find(' ', 1);
    if (space == line.npos) fail(from.path, ": merge ", quoted(line), " is not two tokens");
    result.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return result;
}

std::vector<std::string> merge_lines(const Source& from) {
  std::vector<std::string> lines;
  for (const auto& [left, right] : merges_of(from)) lines.push_back(left + " " + right);
  return lines;
}

/// llama.cpp's name of the pre-tokenizer that splits as this one does.
std::string pre_tokenizer_name(const Source& from) {
  const Json* json = from.tokenizer.find("pre_tokenizer");
  const text::PreTokenizerChain own = text::make_pre_tokenizer(json ? *json : Json());
  const std::vector<std::string> wanted = pieces(own);
  const bool ignore_merges = text::boolean_or(*from.model, "ignore_merges", false);
  const bool nfc = from.has("normalizer", "NFC");
  const char* best = nullptr;
  int best_score = -1;
  for (const char* name : kPreTokenizers) {
    const text::GgufPreTokenizer candidate = text::gguf_pre_tokenizer(name);
    if (pieces(text::make_pre_tokenizer(candidate.json())) != wanted) continue;
    const int score = 2 * (candidate.ignore_merges == ignore_merges) + (candidate.nfc == nfc);
    if (score > best_score) best = name, best_score = score;
  }
  if (!best) {
    fail(from.path, ": no pre-tokenizer of GGUF splits text as this one does: ",
         json ? json->dump().substr(0, 300) : "null");
  }
  return best;
}

void add_byte_level(const Source& from, const Vocabulary& vocabulary, GgufMetadata& out) {
  out.set_string("tokenizer.ggml.model", "gpt2");
  out.set_string("tokenizer.ggml.pre", pre_tokenizer_name(from));
  out.set_strings("tokenizer.ggml.tokens", vocabulary.tokens);
  out.set_integers("tokenizer.ggml.token_type", vocabulary.types);
  out.set_strings("tokenizer.ggml.merges", merge_lines(from));
}

using TokenIds = std::unordered_map<std::string_view, size_t>;

/// The score of a token is how early it is merged: SentencePiece merges the best score first.
std::vector<float> scores_of(const Source& from, const Vocabulary& vocabulary,
                             const TokenIds& ids) {
  std::vector<float> scores(vocabulary.tokens.size());
  float rank = 0;
  for (const auto& [left, right] : merges_of(from)) {
    const auto found = ids.find(left + right);
    if (found == ids.end()) continue;
    float& score = scores[found->second];
    if (score == 0) score = -(rank += 1);
  }
  return scores;
}

/// Gemma 4's control tokens that llama.cpp's chat parser wants to see in the text.
constexpr std::string_view kVisible[] = {"<|channel>",   "<channel|>",       "<|tool_call>",
                                         "<tool_call|>", "<|tool_response>", "<tool_response|>",
                                         "<|\"|>"};

/// Kinds "llama", of scores, and "gemma4", of merges.
void add_byte_fallback(const Source& from, const std::string& model, Vocabulary& vocabulary,
                       GgufMetadata& out) {
  const bool by_merges = model == "gemma4";
  TokenIds ids;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    ids.emplace(token, id);
    if (token.size() == 6 && token.starts_with("<0x") && token.back() == '>') {
      vocabulary.types[id] = kByte;
    }
    if (by_merges && std::ranges::find(kVisible, token) != std::end(kVisible)) {
      vocabulary.types[id] = kUserDefined;
    }
  }
  if (const Json* unk = from.model->find("unk_token"); unk && unk->is_string()) {
    if (const auto found = ids.find(unk->string()); found != ids.end()) {
      vocabulary.types[found->second] = kUnknown;
    }
  }
  out.set_string("tokenizer.ggml.model", model);
  out.set_string("tokenizer.ggml.pre", by_merges ? model : "default");
  out.set_strings("tokenizer.ggml.tokens", vocabulary.tokens);
  constexpr float kNoScore = -1000;
  out.set_floats("tokenizer.ggml.scores",
                 by_merges ? std::vector<float>(vocabulary.tokens.size(), kNoScore)
                           : scores_of(from, vocabulary, ids));
  out.set_integers("tokenizer.ggml.token_type", vocabulary.types);
  if (by_merges) out.set_strings("tokenizer.ggml.merges", merge_lines(from));
  const bool prefix =
      from.has("normalizer", "Prepend") ||
      (from.has("pre_tokenizer", "Metaspace") &&
       text::string_or(from.tokenizer.at("pre_tokenizer"), "prepend_scheme", "always") != "never");
  out.set_boolean("tokenizer.ggml.add_space_prefix", prefix);
}

void add_special_tokens(const Source& from, const Tokenizer& tokenizer, GgufMetadata& out) {
  constexpr std::pair<const char*, const char*> kSpecial[] = {
      {"bos_token", "bos"},       {"eos_token", "eos"},     {"unk_token", "unknown"},
      {"sep_token", "seperator"}, {"pad_token", "padding"}, {"mask_token", "mask"},
  };
  std::optional<int64_t> bos, eos;
  for (const auto& [key, name] : kSpecial) {
    const Json* token = from.config.find(key);
    if (token && token->is_object()) token = token->find("content");
    if (!token || !token->is_string()) continue;
    const auto id = tokenizer.token_id(token->string());
    if (!id) continue;
    out.set_u32(str("tokenizer.ggml.", name, "_token_id"), static_cast<uint32_t>(*id));
    if (std::strcmp(name, "bos") == 0) bos = *id;
    if (std::strcmp(name, "eos") == 0) eos = *id;
  }
  // What the post-processor puts around a text.
  const std::vector<int32_t> ids = tokenizer.encode("a", true);
  const auto plain = tokenizer.encode("a", false);
  const bool longer = ids.size() > plain.size();
  out.set_boolean("tokenizer.ggml.add_bos_token", longer && bos && ids.front() == *bos);
  out.set_boolean("tokenizer.ggml.add_eos_token", longer && eos && ids.back() == *eos);
}

}  // namespace

void add_tokenizer(const std::string& folder, int64_t rows, const std::string& model,
                   GgufMetadata& out) {
  if (!file_exists(folder + "/tokenizer.json")) {
    fail(folder,
         ": holds no tokenizer.json; transformers writes one with "
         "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
  }
  const Source from(folder);
  if (from.type() != "BPE") {
    fail(from.path, ": a ", from.type(), " model has no GGUF form for this architecture");
  }
  Vocabulary vocabulary(from, rows);
  if (from.has("pre_tokenizer", "ByteLevel") || from.has("decoder", "ByteLevel")) {
    add_byte_level(from, vocabulary, out);
  } else if (text::boolean_or(*from.model, "byte_fallback", false)) {
    add_byte_fallback(from, model, vocabulary, out);
  } else {
    fail(from.path, ": BPE with neither byte-level text nor byte_fallback has no GGUF form");
  }
  add_special_tokens(from, Tokenizer::from_folder(folder), out);
  if (const auto chat = ChatTemplate::from_folder(folder)) {
    out.set_string("tokenizer.chat_template", chat->source());
  }
}

}  // namespace tallow::converting
