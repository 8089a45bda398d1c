// The post-processors of tokenizer.json, and small readers that all stages share.
#include <algorithm>

#include "tallow/error.h"
#include "text/tokenizer/stages.h"

namespace tallow::text {
namespace {

using Special = std::shared_ptr<const SpecialPiece>;

Draft special_draft(const Special& special, int32_t type) {
  Draft draft;
  Run run;
  run.special = special;
  run.type = type;
  draft.runs.push_back(std::move(run));
  return draft;
}

/// A piece of a template: a sequence (0 or 1), or special tokens.
struct TemplatePiece {
  int32_t sequence = -1;
  Special special;
  int32_t type = 0;
};
using Template = std::vector<TemplatePiece>;

class TemplateProcessing final : public PostProcessor {
 public:
  TemplateProcessing(Template single, Template pair)
      : single_(std::move(single)), pair_(std::move(pair)) {}

  size_t added(bool pair) const override {
    size_t n = 0;
    for (const TemplatePiece& piece : pair ? pair_ : single_) {
      if (piece.special) n += piece.special->ids.size();
    }
    return n;
  }

  void apply(std::vector<Draft>& parts, bool add_special_tokens) const override {
    if (parts.size() > 2) fail("post_processor: two templates in a row");
    std::vector<Draft> out;
    for (const TemplatePiece& piece : parts.size() == 2 ? pair_ : single_) {
      if (piece.special) {
        if (add_special_tokens) out.push_back(special_draft(piece.special, piece.type));
        continue;
      }
      if (static_cast<size_t>(piece.sequence) >= parts.size()) {
        fail("post_processor: the template for one sequence names a second");
      }
      Draft& part = parts[static_cast<size_t>(piece.sequence)];
      part.set_type(piece.type);
      out.push_back(part);
    }
    parts = std::move(out);
  }

 private:
  Template single_, pair_;
};

void trim(Draft& draft, Run::Trim how) {
  for (size_t i = 0; i < draft.runs.size(); ++i) {
    draft.runs[i].trim = how;
    draft.runs[i].leads = i == 0;
  }
  for (Draft& other : draft.overflowing) trim(other, how);
}

Run::Trim trim_of(const Json& json) {
  if (!boolean_or(json, "trim_offsets", true)) return Run::Trim::none;
  return boolean_or(json, "add_prefix_space", true) ? Run::Trim::all_but_prefix : Run::Trim::all;
}

class ByteLevel final : public PostProcessor {
 public:
  explicit ByteLevel(Run::Trim how) : trim_(how) {}
  size_t added(bool) const override { return 0; }
  void apply(std::vector<Draft>& parts, bool) const override {
    if (trim_ == Run::Trim::none) return;
    for (Draft& part : parts) trim(part, trim_);
  }

 private:
  Run::Trim trim_;
};

/// BERT's and RoBERTa's: a token before and one after each sequence, but for BERT's second.
class Classifier final : public PostProcessor {
 public:
  Classifier(Special cls, Special sep, bool roberta, Run::Trim how)
      : cls_(std::move(cls)), sep_(std::move(sep)), roberta_(roberta), trim_(how) {}

  size_t added(bool pair) const override { return pair ? (roberta_ ? 4 : 3) : 2; }

  void apply(std::vector<Draft>& parts, bool add_special_tokens) const override {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (trim_ != Run::Trim::none) trim(parts[i], trim_);
      if (roberta_) parts[i].set_type(0);
      if (!add_special_tokens) continue;
      surround(parts[i], i);
      for (Draft& other : parts[i].overflowing) {
        if (roberta_) other.set_type(0);
        surround(other, i);
      }
    }
  }

 private:
  void surround(Draft& draft, size_t i) const {
    const int32_t type = roberta_ ? 0 : static_cast<int32_t>(i);
    if (i == 0 || roberta_) {
      const Draft before = special_draft(i == 0 ? cls_ : sep_, type);
      draft.runs.insert(draft.runs.begin(), before.runs[0]);
    }
    draft.runs.push_back(special_draft(sep_, type).runs[0]);
  }

  Special cls_, sep_;
  bool roberta_;
  Run::Trim trim_;
};

int32_t integer_in_range(const Json& json) {
  const int64_t id = json.integer();
  if (id < 0 || id > INT32_MAX) fail("post_processor: the id ", id, " is out of range");
  return static_cast<int32_t>(id);
}

Template read_template(const Json& json, const Json& known) {
  constexpr size_t kMostPieces = 1024;
  Template pieces;
  for (const Json& item : json.items()) {
    if (pieces.size() == kMostPieces) fail("post_processor: a template is too long");
    const Json* sequence = item.find("Sequence");
    const Json& piece = sequence ? *sequence : item.at("SpecialToken");
    TemplatePiece& made = pieces.emplace_back();
    const Json* type = piece.find("type_id");
    made.type = type ? integer_in_range(*type) : 0;
    const std::string& name = piece.at("id").string();
    if (sequence) {
      if (name != "A" && name != "B") fail("post_processor: a template names sequence ", name);
      made.sequence = name == "B";
      continue;
    }
    SpecialPiece special;
    const Json& token = known.at(name);
    for (const Json& id : token.at("ids").items()) special.ids.push_back(integer_in_range(id));
    if (special.ids.size() > kMostPieces) fail("post_processor: a special token is too long");
    if (const Json* texts = token.find("tokens")) {
      for (const Json& text : texts->items()) special.tokens.push_back(text.string());
    }
    special.tokens.resize(special.ids.size(), name);
    made.special = std::make_shared<const SpecialPiece>(std::move(special));
  }
  return pieces;
}

std::unique_ptr<PostProcessor> template_processing(const Json& json) {
  const Json& known = json.at("special_tokens");
  const Json* pair = json.find("pair");
  Template single = read_template(json.at("single"), known);
  const auto holds = [](const Template& pieces, int32_t sequence) {
    return std::any_of(pieces.begin(), pieces.end(),
                       [&](const TemplatePiece& p) { return p.sequence == sequence; });
  };
  if (holds(single, 1)) fail("post_processor: the template for one sequence names a second");
  Template both = pair ? read_template(*pair, known) : Template{{0, nullptr, 0}, {1, nullptr, 1}};
  return std::make_unique<TemplateProcessing>(std::move(single), std::move(both));
}

std::unique_ptr<PostProcessor> classifier(const Json& json, bool roberta) {
  const auto read = [&](const char* key) {
    const auto& pair = json.at(key).items();
    if (pair.size() != 2) fail("post_processor: ", key, " is not [token, id]");
    return std::make_shared<const SpecialPiece>(
        SpecialPiece{{integer_in_range(pair[1])}, {pair[0].string()}});
  };
  return std::make_unique<Classifier>(read("cls"), read("sep"), roberta,
                                      roberta ? trim_of(json) : Run::Trim::none);
}

std::unique_ptr<PostProcessor> bert(const Json& json) { return classifier(json, false); }
std::unique_ptr<PostProcessor> roberta(const Json& json) { return classifier(json, true); }

std::unique_ptr<PostProcessor> byte_level(const Json& json) {
  return std::make_unique<ByteLevel>(trim_of(json));
}

struct Row {
  std::string_view type;
  std::unique_ptr<PostProcessor> (*make)(const Json&);
};
constexpr Row kPostProcessors[] = {
    {"TemplateProcessing", template_processing},
    {"BertProcessing", bert},
    {"RobertaProcessing", roberta},
    {"ByteLevel", byte_level},
};

void append(const Json& json, PostProcessorChain& chain) {
  const std::string& type = type_of(json, "post_processor");
  if (type == "Sequence") {
    for (const Json& part : json.at("processors").items()) append(part, chain);
    return;
  }
  constexpr size_t kMostSteps = 16;
  if (chain.size() == kMostSteps) fail("post_processor: more than ", kMostSteps, " in a row");
  for (const Row& row : kPostProcessors) {
    if (row.type == type) return chain.push_back(row.make(json));
  }
  fail("post_processor: the type ", type, " is not supported");
}

}  // namespace

size_t Draft::size() const {
  size_t n = 0;
  for (const Run& run : runs) n += run.size();
  return n;
}

void Draft::set_type(int32_t type) {
  for (Run& run : runs) run.type = type;
}

void Draft::merge(const Draft& other) {
  std::vector<Draft> all;
  const auto joined = [](const Draft& a, const Draft& b) {
    Draft both{a.runs, {}};
    both.runs.insert(both.runs.end(), b.runs.begin(), b.runs.end());
    return both;
  };
  constexpr size_t kMost = 1 << 20;
  if ((overflowing.size() + 1) * (other.overflowing.size() + 1) > kMost) {
    fail("tokenizer: more than ", kMost, " overflowing encodings; truncate to more tokens");
  }
  for (const Draft& mine : overflowing) {
    all.push_back(joined(mine, other));
    for (const Draft& theirs : other.overflowing) all.push_back(joined(mine, theirs));
  }
  for (const Draft& theirs : other.overflowing) all.push_back(joined(*this, theirs));
  runs.insert(runs.end(), other.runs.begin(), other.runs.end());
  overflowing = std::move(all);
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
