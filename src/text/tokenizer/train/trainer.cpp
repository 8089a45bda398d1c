// TokenizerTrainer: splits texts into words, counts them, and makes a tokenizer of what the
// algorithms find.
#include <algorithm>
#include <mutex>

#include "tallow/error.h"
#include "tallow/parallel.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/train/line_blocks.h"
#include "text/tokenizer/train/train.h"
#include "text/tokenizer/train/word_counts.h"
#include "text/tokenizer/unicode.h"

namespace tallow {
namespace {

using text::TrainedModel;

struct Row {
  std::string_view type;
  TrainedModel (*train)(const text::CountedWords&, const TokenizerTraining&);
};
constexpr Row kTrainers[] = {{"BPE", text::train_bpe},
                             {"WordPiece", text::train_word_piece},
                             {"Unigram", text::train_unigram},
                             {"WordLevel", text::train_word_level}};

const Row& trainer_of(const Json& model) {
  const std::string& type = text::type_of(model, "model");
  const auto* row = std::find_if(std::begin(kTrainers), std::end(kTrainers),
                                 [&](const Row& r) { return r.type == type; });
  if (row == std::end(kTrainers)) {
    fail("training: the model ", type, " is not known; BPE, WordPiece, Unigram and WordLevel are");
  }
  return *row;
}

void check(const TokenizerTraining& o) {
  const auto in = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      fail("training: ", name, " is ", value, ", not between ", low, " and ", high);
    }
  };
  constexpr int64_t kMostTokens = INT32_MAX / 8, kLongestPiece = 1024;
  in("vocab_size", o.vocab_size.value_or(1), 0, kMostTokens);
  in("min_frequency", o.min_frequency, 0, INT64_MAX);
  in("limit_alphabet", o.limit_alphabet.value_or(0), 0, INT64_MAX);
  in("max_token_length", o.max_token_length.value_or(0), 0, INT64_MAX);
  in("max_piece_length", o.max_piece_length, 1, kLongestPiece);
  in("n_sub_iterations", o.n_sub_iterations, 0, 1000);
  if (!(o.shrinking_factor >= 0 && o.shrinking_factor < 1)) {
    fail("training: shrinking_factor is ", o.shrinking_factor, ", not in [0, 1)");
  }
  for (const AddedToken& token : o.special_tokens) {
    if (token.content.empty()) fail("training: a special token is empty");
  }
}

bool is_byte_level(const Json* pre_tokenizer) {
  if (!pre_tokenizer || !pre_tokenizer->is_object()) return false;
  if (text::type_of(*pre_tokenizer, "pre_tokenizer") == "ByteLevel") return true;
  const Json* parts = pre_tokenizer->find("pretokenizers");
  if (!parts || !parts->is_array()) return false;
  return std::any_of(parts->items().begin(), parts->items().end(),
                     [](const Json& part) { return is_byte_level(&part); });
}

std::vector<std::string> byte_alphabet() {
  std::vector<std::string> characters;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    text::append_byte_level(characters.emplace_back(), {&c, 1});
  }
  return characters;
}

/// The options with what the untrained tokenizer says for them.
TokenizerTraining completed(TokenizerTraining options, const Json& untrained) {
  const Json& model = untrained.at("model");
  std::vector<AddedToken> special;
  const Json* added = untrained.find("added_tokens");
  if (added && !added->is_null()) {
    for (const Json& item : added->items()) special.push_back(text::read_added_token(item));
  }
  special.insert(special.end(), options.special_tokens.begin(), options.special_tokens.end());
  for (AddedToken& token : special) token.special = true;
  options.special_tokens = std::move(special);

  const auto take = [&](const char* name, std::optional<std::string>& option) {
    const Json* value = model.find(name);
    if (!option && value && value->is_string()) option = value->string();
  };
  take("continuing_subword_prefix", options.continuing_subword_prefix);
  take("end_of_word_suffix", options.end_of_word_suffix);
  take("unk_token", options.unk_token);
  const Json* pre_tokenizer = untrained.find("pre_tokenizer");
  if (!options.initial_alphabet && is_byte_level(pre_tokenizer)) {
    options.initial_alphabet = byte_alphabet();
  }
  return options;
}

}  // namespace

struct TokenizerTrainer::State {
  Json untrained;
  TokenizerTraining options;
  text::NormalizerChain normalizer;
  text::PreTokenizerChain pre_tokenizer;
  bool byte_level = false;  // the words are bytes, and spelled in the alphabet at the end
  std::vector<text::WordCounts> counts;
  std::mutex mutex;

  State(Json json, TokenizerTraining given)
      : untrained(std::move(json)), options(completed(std::move(given), untrained)) {
    check(options);
    trainer_of(untrained.at("model"));
    const auto part = [&](const char* name) {
      const Json* found = untrained.find(name);
      return found ? *found : Json();
    };
    normalizer = text::make_normalizer(part("normalizer"));
    pre_tokenizer = text::make_pre_tokenizer(part("pre_tokenizer"));
    if (pre_tokenizer.ends_in_byte_level) {
      pre_tokenizer.steps.pop_back();
      byte_level = true;
    }
  }

  void count(std::string_view text, text::WordCounts& into) const {
    std::string repaired;
    if (text::valid_utf8_prefix(text) != text.size()) {
      repaired = text::repair_utf8(text);
      text = repaired;
    }
    text::AlignedText rewritten;
    text::Piece piece{text, nullptr, true};
    if (!normalizer.empty()) {
      rewritten.assign(piece);
      text::normalize(normalizer, rewritten);
      piece = rewritten.piece();
    }
    pre_tokenizer.run(piece, [&](const text::Piece& word) { into.add(word.text); });
  }

  void count(std::span<const std::string_view> texts) {
    constexpr int64_t kGrain = 64;
    counts.resize(std::max(counts.size(), static_cast<size_t>(num_threads())));
    parallel_for(static_cast<int64_t>(texts.size()), kGrain,
                 [&](int64_t begin, int64_t end, int thread) {
                   for (int64_t i = begin; i < end; ++i) {
                     count(texts[static_cast<size_t>(i)], counts[static_cast<size_t>(thread)]);
                   }
                 });
  }

  /// All counts in one table.
  text::WordCounts& merged() {
    if (counts.empty()) counts.resize(1);
    for (size_t i = 1; i < counts.size(); ++i) {
      counts[0].merge(counts[i]);
      counts[i] = {};
    }
    return counts[0];
  }
};

TokenizerTrainer::TokenizerTrainer(Json untrained, TokenizerTraining options)
    : state_(std::make_unique<State>(std::move(untrained), std::move(options))) {}
TokenizerTrainer::TokenizerTrainer(TokenizerTrainer&&) noexcept = default;
TokenizerTrainer& TokenizerTrainer::operator=(TokenizerTrainer&&) noexcept = default;
TokenizerTrainer::~TokenizerTrainer() = default;

void TokenizerTrainer::add(std::span<const std::string_view> texts) { state_->count(texts); }

int64_t TokenizerTrainer::word_count() const {
  return static_cast<int64_t>(state_->merged().size());
}

void TokenizerTrainer::add_file(const std::string& path) {
  text::LineBlocks blocks(path);
  while (true) {
    const auto& lines = blocks.next();
    if (lines.empty()) break;
    state_->count(lines);
    text::report(state_->options, "reading", blocks.done(), blocks.size());
  }
}

Tokenizer TokenizerTrainer::train() const {
  const text::WordCounts& counts = state_->merged();
  std::vector<std::string> spelled;
  text::CountedWords words;
  words.reserve(counts.size());
  if (state_->byte_level) spelled.resize(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    std::string_view word = counts.word(i);
    if (state_->byte_level) {
      text::append_byte_level(spelled[i], word);
      word = spelled[i];
    }
    words.push_back({word, counts.count(i)});
  }
  std::sort(words.begin(), words.end(),
            [](const text::CountedWord& a, const text::CountedWord& b) { return a.text < b.text; });

  const Row& row = trainer_of(state_->untrained.at("model"));
  return text::assemble(state_->untrained, state_->options.special_tokens,
                        row.train(words, state_->options));
}

}  // namespace tallow
