// The post-processors of tokenizer.json, as far as ids go, and small readers that all stages share.
#include "tallow/error.h"
#include "text/tokenizer/stages.h"

namespace tallow::text {
namespace {

/// Ids around a sequence: all that a template for a single sequence can say.
class Surround final : public PostProcessor {
 public:
  Surround(std::vector<int32_t> before, std::vector<int32_t> after)
      : before_(std::move(before)), after_(std::move(after)) {}
  void apply(std::vector<int32_t>& ids, bool add_special_tokens) const override {
    if (!add_special_tokens) return;
    ids.insert(ids.begin(), before_.begin(), before_.end());
    ids.insert(ids.end(), after_.begin(), after_.end());
  }

 private:
  std::vector<int32_t> before_, after_;
};

int32_t id_of(const Json& json) {
  const int64_t id = json.integer();
  if (id < 0 || id > INT32_MAX) fail("post_processor: the id ", id, " is out of range");
  return static_cast<int32_t>(id);
}

std::unique_ptr<PostProcessor> template_processing(const Json& json) {
  const Json& known = json.at("special_tokens");
  std::vector<int32_t> before, after;
  bool seen = false;
  for (const Json& piece : json.at("single").items()) {
    if (piece.find("Sequence")) {
      if (seen) fail("post_processor: the template for one sequence names it twice");
      seen = true;
      continue;
    }
    const std::string& name = piece.at("SpecialToken").at("id").string();
    for (const Json& id : known.at(name).at("ids").items()) {
      (seen ? after : before).push_back(id_of(id));
    }
  }
  if (!seen) fail("post_processor: the template for one sequence does not contain it");
  return make_surround(std::move(before), std::move(after));
}

/// BERT's and RoBERTa's: a token before and one after.
std::unique_ptr<PostProcessor> classifier(const Json& json) {
  const auto& first = json.at("cls").items();
  const auto& last = json.at("sep").items();
  if (first.size() != 2 || last.size() != 2) fail("post_processor: cls and sep are [token, id]");
  return make_surround({id_of(first[1])}, {id_of(last[1])});
}

/// ByteLevel trims offsets, and leaves ids alone.
std::unique_ptr<PostProcessor> nothing(const Json&) { return nullptr; }

struct Row {
  std::string_view type;
  std::unique_ptr<PostProcessor> (*make)(const Json&);
};
constexpr Row kPostProcessors[] = {
    {"TemplateProcessing", template_processing},
    {"BertProcessing", classifier},
    {"RobertaProcessing", classifier},
    {"ByteLevel", nothing},
};

void append(const Json& json, PostProcessorChain& chain) {
  const std::string& type = type_of(json, "post_processor");
  if (type == "Sequence") {
    for (const Json& part : json.at("processors").items()) append(part, chain);
    return;
  }
  for (const Row& row : kPostProcessors) {
    if (row.type != type) continue;
    if (auto processor = row.make(json)) chain.push_back(std::move(processor));
    return;
  }
  fail("post_processor: the type ", type, " is not supported");
}

}  // namespace

std::unique_ptr<PostProcessor> make_surround(std::vector<int32_t> before,
                                             std::vector<int32_t> after) {
  return std::make_unique<Surround>(std::move(before), std::move(after));
}

PostProcessorChain make_post_processor(const Json& json) {
  PostProcessorChain chain;
  if (!json.is_null()) append(json, chain);
  return chain;
}

bool boolean_or(const Json& json, std::string_view key, bool otherwise) {
  const Json* value = json.find(key);
  return value && !value->is_null() ? value->boolean() : otherwise;
}

std::string string_or(const Json& json, std::string_view key, std::string_view otherwise) {
  const Json* value = json.find(key);
  return value && !value->is_null() ? value->string() : std::string(otherwise);
}

Pattern read_pattern(const Json& json) {
  if (const Json* regex = json.find("Regex")) return {regex->string(), true};
  if (const Json* text = json.find("String")) return {text->string(), false};
  return {json.string(), false};
}

const std::string& type_of(const Json& json, const char* stage) {
  const Json* type = json.find("type");
  if (!type || !type->is_string()) fail(stage, ": has no type");
  return type->string();
}

}  // namespace tallow::text
