// Opens tokenizers by what a folder or a file holds.
#include "text/tokenizer/sources.h"

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

Tokenizer Tokenizer::from_folder(const std::string& path) {
  const std::string file = path + "/tokenizer.json";
  const std::string json = read_file(file);
  auto pipeline = detail::named(file, [&] { return detail::pipeline_from_json(json); });
  // What these say of add_bos_token is not read: the post-processor decides, as in transformers.
  for (const char* name : {"/tokenizer_config.json", "/special_tokens_map.json"}) {
    if (file_exists(path + name)) detail::set_special_tokens(*pipeline, Json::read(path + name));
  }
  pipeline->finish();
  return Tokenizer(std::move(pipeline));
}

Tokenizer Tokenizer::from_file(const std::string& path) {
  const std::string json = read_file(path);
  return from_json(json, nullptr, path);
}

}  // namespace tallow
