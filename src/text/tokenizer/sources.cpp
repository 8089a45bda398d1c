// Opens tokenizers by what a folder or a file holds.
#include "text/tokenizer/sources.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/read_file.h"

namespace tallow {
namespace detail {

Json surround_template(const TokenizerPipeline& pipeline, const std::vector<int32_t>& before,
                       const std::vector<int32_t>& after) {
  Json::Object special;
  const auto side = [&](const std::vector<int32_t>& ids, int type, Json::Array& pieces) {
    for (const int32_t id : ids) {
      const std::string token(pipeline.token(id));
      Json entry = Json::Object{
          {"id", token}, {"ids", Json::Array{Json(id)}}, {"tokens", Json::Array{Json(token)}}};
      bool known = false;
      for (const auto& [name, value] : special) known |= name == token;
      if (!known) special.emplace_back(token, std::move(entry));
      pieces.emplace_back(
          Json::Object{{"SpecialToken", Json::Object{{"id", token}, {"type_id", type}}}});
    }
  };
  Json::Array single, pair;
  for (int type = 0; type < 2; ++type) {
    side(before, type, pair);
    pair.emplace_back(
        Json::Object{{"Sequence", Json::Object{{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}});
    side(after, type, pair);
    if (type == 0) single = pair;
  }
  return Json::Object{{"type", "TemplateProcessing"},
                      {"single", std::move(single)},
                      {"pair", std::move(pair)},
                      {"special_tokens", std::move(special)}};
}

}  // namespace detail

namespace {

using detail::PipelinePtr;

/// Two ends of a path: the folder with its slash, and the name.
std::pair<std::string, std::string> split_path(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash + 1), path.substr(slash + 1)};
}

bool is_json_object(std::string_view bytes) {
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != bytes.npos && bytes[first] == '{';
}

bool is_folder(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// Whether the first line is a token in base64 and a number.
bool is_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t space = line.find(' ');
  constexpr std::string_view kBase64 =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return space != line.npos && space > 0 && space + 1 < line.size() &&
         line.substr(0, space).find_first_not_of(kBase64) == line.npos &&
         line.substr(space + 1).find_first_not_of("0123456789") == line.npos;
}

/// Reads a file by what it holds, `config` being the tokenizer_config.json beside it, or null.
PipelinePtr open_file(const std::string& path, const Json* config) {
  const auto [folder, name] = split_path(path);
  const std::string bytes = read_file(path);
  return detail::named(path, [&, folder = folder, name = name]() -> PipelinePtr {
    if (is_json_object(bytes)) {
      const std::string merges = folder + "merges.txt";
      if (name == "vocab.json" && file_exists(merges)) {
        return detail::pipeline_from_vocab_and_merges(bytes, read_file(merges), config);
      }
      if (name.starts_with("tekken")) return detail::pipeline_from_tekken(bytes);
      return detail::pipeline_from_json(bytes);
    }
    if (is_tiktoken(bytes)) return detail::pipeline_from_tiktoken(bytes, name, config);
    if (name.ends_with(".txt")) return detail::pipeline_from_vocab_txt(bytes, config);
    return detail::pipeline_from_sentencepiece(bytes);
  });
}

/// Files that hold a tokenizer, the one that says most first.
constexpr const char* kFiles[] = {
    "tokenizer.json",          "tekken.json",   "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "qwen.tiktoken", "vocab.json",      "vocab.txt"};

}  // namespace

Tokenizer Tokenizer::from_folder(const std::string& path) {
  const auto* found = std::find_if(std::begin(kFiles), std::end(kFiles), [&](const char* name) {
    return file_exists(str(path, "/", name));
  });
  if (found == std::end(kFiles)) found = kFiles;  // the error names tokenizer.json
  Json config;
  const std::string config_path = path + "/tokenizer_config.json";
  if (file_exists(config_path)) config = Json::read(config_path);
  auto pipeline = open_file(str(path, "/", *found), config.is_object() ? &config : nullptr);
  // What these say of add_bos_token is not read: the post-processor decides, as in transformers.
  if (config.is_object()) detail::set_special_tokens(*pipeline, config);
  const std::string map = path + "/special_tokens_map.json";
  if (file_exists(map)) detail::set_special_tokens(*pipeline, Json::read(map));
  pipeline->finish();
  return Tokenizer(std::move(pipeline));
}

Tokenizer Tokenizer::from_sentencepiece(std::string_view model, std::string_view what) {
  return detail::named(what, [&] {
    auto pipeline = detail::pipeline_from_sentencepiece(model);
    pipeline->finish();
    return Tokenizer(std::move(pipeline));
  });
}

Tokenizer Tokenizer::from_file(const std::string& path) {
  if (is_folder(path)) return from_folder(path);
  const std::string config_path = split_path(path).first + "tokenizer_config.json";
  Json config;
  const bool beside = !path.ends_with("tokenizer.json") && file_exists(config_path);
  if (beside) config = Json::read(config_path);
  auto pipeline = open_file(path, config.is_object() ? &config : nullptr);
  pipeline->finish();
  return Tokenizer(std::move(pipeline));
}

}  // namespace tallow
