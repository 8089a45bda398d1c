// `tallow tokenizer train`: text files to a tokenizer.json.
#include "formats/output_file.h"
#include "options.h"
#include "progress.h"
#include "tallow/error.h"
#include "tallow/language_model.h"
#include "tallow/parallel.h"
#include "tallow/tokenizer_training.h"

namespace tallow::app {
namespace {

/// The untrained tokenizer that the options describe.
Json untrained(const TrainTokenizerOptions& o) {
  Json json = untrained_tokenizer(o.type);
  if (!o.like.empty()) {
    json = untrained_tokenizer(o.like.ends_with(".gguf") ? TextModel::open(o.like).tokenizer
                                                         : Tokenizer::from_file(o.like));
  }
  if (o.stages.empty()) return json;
  const Json stages = Json::read(o.stages);
  if (!stages.is_object()) fail(o.stages, ": is not an object as in tokenizer.json");
  for (const auto& [name, value] : stages.members()) {
    if (name != "model") {
      json.set(name, value);
      continue;
    }
    Json model = json.at("model");
    for (const auto& [option, setting] : value.members()) {
      if (option != "vocab" && option != "merges") model.set(option, setting);
    }
    json.set("model", std::move(model));
  }
  return json;
}

TokenizerTraining training(const TrainTokenizerOptions& o, const Json& untrained) {
  TokenizerTraining t;
  t.vocab_size = o.vocab_size;
  t.min_frequency = o.min_frequency;
  t.limit_alphabet = o.limit_alphabet;
  t.max_token_length = o.max_token_length;
  t.continuing_subword_prefix = o.prefix;
  t.end_of_word_suffix = o.suffix;
  t.unk_token = o.unk;
  t.max_piece_length = o.max_piece_length;
  t.n_sub_iterations = o.sub_iterations;
  t.shrinking_factor = o.shrinking_factor;
  for (const std::string& content : o.special) {
    AddedToken token;
    token.content = content;
    t.special_tokens.push_back(std::move(token));
  }
  // Unigram puts its unknown token into the vocabulary itself.
  const Json* unk = untrained.at("model").find("unk_token");
  const bool needed = unk && unk->is_string() && o.like.empty() && o.special.empty();
  if (needed && untrained.at("model").at("type").string() != "Unigram") {
    AddedToken token;
    token.content = unk->string();
    t.special_tokens.push_back(std::move(token));
  }
  return t;
}

}  // namespace

int train_tokenizer(const TrainTokenizerOptions& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  Bar bar("training");
  const Json json = untrained(options);
  TokenizerTraining with = training(options, json);
  with.progress = [&](std::string_view stage, int64_t done, int64_t total) {
    stage == "reading" ? bar.update(stage, done, total) : bar.count(stage, done, total);
  };
  TokenizerTrainer trainer(json, std::move(with));
  for (const std::string& file : options.files) trainer.add_file(file);
  const Tokenizer tokenizer = trainer.train();
  const std::string text = tokenizer.to_json();
  OutputFile out(options.out);
  out.write(text.data(), text.size());
  out.commit();
  return 0;
}

}  // namespace tallow::app
