// What a training came to, as a tokenizer.json.
#include <algorithm>

#include "tallow/error.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/train/train.h"

namespace tallow::text {
namespace {

/// The ids that tokens of a post-processor have now.
void renumber(Json& part, const Tokenizer& tokenizer) {
  const auto id_of = [&](const std::string& token) {
    const auto id = tokenizer.token_id(token);
    if (!id) {
      fail("training: the post_processor names ", token,
           ", which is no token; give it as a special token");
    }
    return *id;
  };
  if (part.is_array()) {
    for (Json& item : part.items()) renumber(item, tokenizer);
  }
  if (!part.is_object()) return;
  for (auto& [name, value] : part.members()) {
    if (name == "processors") renumber(value, tokenizer);
    if ((name == "cls" || name == "sep") && value.is_array() && !value.items().empty()) {
      const std::string token = value.items()[0].string();
      value = Json::Array{Json(token), Json(int64_t{id_of(token)})};
    }
    if (name != "special_tokens" || !value.is_object()) continue;
    for (auto& [key, entry] : value.members()) {
      Json::Array ids;
      for (const Json& token : entry.at("tokens").items()) {
        ids.emplace_back(int64_t{id_of(token.string())});
      }
      entry.set("ids", std::move(ids));
    }
  }
}

void append_model(std::string& json, Json model, const TrainedModel& trained) {
  for (const auto& [name, value] : trained.options.members()) model.set(name, value);
  model.set("vocab", Json());
  model.set("merges", Json());
  std::erase_if(model.members(), [](const auto& member) {
    return member.first == "vocab" || member.first == "merges";
  });
  const bool scored = !trained.scores.empty() || model.at("type").string() == "Unigram";
  json += model.dump();
  json.pop_back();
  json += scored ? ",\"vocab\":[" : ",\"vocab\":{";
  bool first = true;
  for (size_t id = 0; id < trained.tokens.size(); ++id) {
    if (trained.tokens[id].empty()) continue;
    json += first ? "" : ",";
    first = false;
    json += scored ? "[" : "";
    append_json_string(json, trained.tokens[id]);
    json += scored ? str(',', Json(trained.scores[id]).dump(), ']') : str(':', id);
  }
  json += scored ? ']' : '}';
  if (model.at("type").string() == "BPE") {
    json += ",\"merges\":[";
    for (const auto& [left, right] : trained.merges) {
      json += json.back() == '[' ? "[" : ",[";
      append_json_string(json, left);
      json += ',';
      append_json_string(json, right);
      json += ']';
    }
    json += ']';
  }
  json += '}';
}

/// Of tokens of the same text the last, where the first stands.
Json added_tokens(const std::vector<AddedToken>& tokens) {
  std::vector<AddedToken> distinct;
  for (const AddedToken& token : tokens) {
    const auto known = std::find_if(distinct.begin(), distinct.end(), [&](const AddedToken& other) {
      return other.content == token.content;
    });
    if (known == distinct.end()) {
      distinct.push_back(token);
    } else {
      *known = token;
    }
  }
  Json::Array list;
  for (AddedToken& token : distinct) {
    token.id = 0;
    list.push_back(written_added_token(token));
  }
  return list;
}

}  // namespace

Tokenizer assemble(const Json& untrained, const std::vector<AddedToken>& special,
                   const TrainedModel& trained) {
  Json head = Json::object();
  for (const char* part : {"truncation", "padding", "normalizer", "pre_tokenizer", "decoder"}) {
    const Json* found = untrained.find(part);
    head.set(part, found ? *found : Json());
  }
  head.set("added_tokens", added_tokens(special));
  const auto build = [&] {
    std::string json = head.dump();
    json.back() = ',';
    json += "\"model\":";
    append_model(json, untrained.at("model"), trained);
    return Tokenizer::from_json(json + '}', nullptr, "training");
  };
  Tokenizer tokenizer = build();
  const Json* post = untrained.find("post_processor");
  if (!post || post->is_null()) return tokenizer;
  Json renumbered = *post;
  renumber(renumbered, tokenizer);
  head.set("post_processor", std::move(renumbered));
  return build();
}

}  // namespace tallow::text
