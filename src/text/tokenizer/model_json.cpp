// The "model" member of a tokenizer.json, in one pass: it can hold half a million strings.
#include <algorithm>
#include <iterator>
#include <utility>

#include "core/huge_pages.h"
#include "tallow/parallel.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/sources.h"
#include "text/tokenizer/unigram.h"

namespace tallow::detail {
namespace {

using text::JsonCursor;

/// The model, with its large parts left as views.
struct ModelPart {
  Json options = Json::object();
  LargeVector<std::string_view> tokens;  // by id
  std::vector<double> scores;            // by id, where the vocabulary is a list
  LargeVector<std::pair<std::string_view, std::string_view>> merges;
  mutable text::Vocabulary vocabulary;  // of the tokens, once it is made
  bool has_vocabulary = false;
  bool has_merges = false;

  bool flag(std::string_view key) const { return text::boolean_or(options, key, false); }
  std::string text(std::string_view key, std::string_view otherwise = "") const {
    return text::string_or(options, key, otherwise);
  }
  text::Vocabulary take_vocabulary() const {
    if (vocabulary.size() == 0) return text::Vocabulary(tokens);
    return std::move(vocabulary);
  }
};

void read_vocabulary(JsonCursor& cursor, LargeVector<std::string_view>& tokens) {
  constexpr size_t kShortest = 48;  // bytes of text per token, its merges included
  LargeVector<std::pair<std::string_view, int64_t>> entries;
  entries.reserve(cursor.remaining() / kShortest);
  int64_t largest = -1;
  std::string_view token;
  cursor.enter('{');
  while (cursor.next_member(token)) {
    const int64_t id = cursor.integer();
    if (id < 0) cursor.fail_here("a negative token id");
    largest = std::max(largest, id);
    entries.emplace_back(token, id);
  }
  // Ids may have holes, but a small file must not ask for a huge table.
  if (largest >= static_cast<int64_t>(entries.size()) * 16 + 65536) {
    fail("model.vocab: the id ", largest, " is too large for ", entries.size(), " tokens");
  }
  tokens.assign(static_cast<size_t>(largest + 1), {});
  for (const auto& [text, id] : entries) tokens[static_cast<size_t>(id)] = text;
}

void read_merges(JsonCursor& cursor, ModelPart& part) {
  constexpr size_t kShortest = 32;  // bytes of a merge, written with indents
  cursor.enter('[');
  part.merges.reserve(cursor.remaining() / kShortest);
  while (cursor.next_item()) {
    if (cursor.peek() == '[') {
      std::string_view sides[2];
      size_t n = 0;
      cursor.enter('[');
      while (cursor.next_item()) {
        if (n == 2) cursor.fail_here("a merge joins two tokens");
        sides[n++] = cursor.string();
      }
      if (n != 2) cursor.fail_here("a merge joins two tokens");
      part.merges.emplace_back(sides[0], sides[1]);
      continue;
    }
    const std::string_view merge = cursor.string();
    if (merge.starts_with("#version")) continue;
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos) {
      cursor.fail_here("a merge is two tokens with one space between them");
    }
    part.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

/// Reads the merges while another thread makes the vocabulary, if there is one.
void read_merges_beside_vocabulary(JsonCursor& cursor, ModelPart& part) {
  tallow::parallel_team(2, [&](int thread, int threads) {
    if (thread == 0) read_merges(cursor, part);
    if (thread == threads - 1) part.vocabulary = text::Vocabulary(part.tokens);
  });
}

/// Unigram's list of [token, score].
void read_scored_vocabulary(JsonCursor& cursor, ModelPart& part) {
  cursor.enter('[');
  while (cursor.next_item()) {
    cursor.enter('[');
    if (!cursor.next_item()) cursor.fail_here("a token and its score are expected");
    part.tokens.push_back(cursor.string());
    if (!cursor.next_item()) cursor.fail_here("a token and its score are expected");
    part.scores.push_back(cursor.number());
    if (cursor.next_item()) cursor.fail_here("a token has one score");
  }
}

constexpr std::string_view kModelOptions[] = {"type",
                                              "unk_token",
                                              "continuing_subword_prefix",
                                              "end_of_word_suffix",
                                              "fuse_unk",
                                              "byte_fallback",
                                              "ignore_merges",
                                              "dropout",
                                              "unk_id",
                                              "max_input_chars_per_word"};

ModelPart read_parts(JsonCursor& cursor) {
  ModelPart part;
  std::string_view key;
  cursor.enter('{');
  while (cursor.next_member(key)) {
    const std::string name(key);
    if (name == "vocab" && !part.has_vocabulary && (cursor.peek() == '{' || cursor.peek() == '[')) {
      part.has_vocabulary = true;
      if (cursor.peek() == '{') {
        read_vocabulary(cursor, part.tokens);
      } else {
        read_scored_vocabulary(cursor, part);
      }
    } else if (name == "merges" && cursor.peek() == '[') {
      part.has_merges = true;
      read_merges_beside_vocabulary(cursor, part);
    } else if (std::find(std::begin(kModelOptions), std::end(kModelOptions), name) ==
               std::end(kModelOptions)) {
      cursor.value();
    } else {
      part.options.set(name, Json::parse(cursor.value(), "model." + name));
    }
  }
  if (!part.has_vocabulary) fail("model: has no vocab");
  return part;
}

using ModelPtr = std::shared_ptr<text::TokenModel>;

ModelPtr bpe(const ModelPart& part) {
  text::BpeOptions options;
  options.unk_token = part.text("unk_token");
  options.continuing_subword_prefix = part.text("continuing_subword_prefix");
  options.end_of_word_suffix = part.text("end_of_word_suffix");
  constexpr size_t kLongestAffix = 64;  // each character may carry one
  if (options.continuing_subword_prefix.size() > kLongestAffix ||
      options.end_of_word_suffix.size() > kLongestAffix) {
    fail("model: continuing_subword_prefix and end_of_word_suffix have at most ", kLongestAffix,
         " bytes");
  }
  options.fuse_unk = part.flag("fuse_unk");
  options.byte_fallback = part.flag("byte_fallback");
  options.ignore_merges = part.flag("ignore_merges");
  const Json* dropout = part.options.find("dropout");
  options.dropout = dropout && !dropout->is_null() ? dropout->number() : 0;
  if (!(options.dropout >= 0 && options.dropout <= 1)) {
    fail("model.dropout: ", options.dropout, " is not between 0 and 1");
  }
  return text::make_bpe(part.take_vocabulary(), part.merges, std::move(options));
}

ModelPtr unigram(const ModelPart& part) {
  text::UnigramOptions options;
  const Json* unk = part.options.find("unk_id");
  if (unk && !unk->is_null()) {
    const int64_t id = unk->integer();
    if (id < 0 || id >= static_cast<int64_t>(part.tokens.size())) {
      fail("model.unk_id: ", id, " is outside the vocabulary of ", part.tokens.size(), " tokens");
    }
    options.unk = static_cast<int32_t>(id);
  }
  options.byte_fallback = part.flag("byte_fallback");
  return text::make_unigram(part.take_vocabulary(), part.scores, options);
}

ModelPtr word_piece(const ModelPart& part) {
  text::WordPieceOptions options;
  options.unk_token = part.text("unk_token", options.unk_token);
  options.prefix = part.text("continuing_subword_prefix", options.prefix);
  const Json* longest = part.options.find("max_input_chars_per_word");
  if (longest && !longest->is_null()) options.longest = longest->integer();
  return text::make_word_piece(part.take_vocabulary(), std::move(options));
}

ModelPtr word_level(const ModelPart& part) {
  return text::make_word_level(part.take_vocabulary(), part.text("unk_token", "<unk>"));
}

struct Row {
  std::string_view type;
  ModelPtr (*make)(const ModelPart&);
};
constexpr Row kModels[] = {
    {"BPE", bpe}, {"Unigram", unigram}, {"WordPiece", word_piece}, {"WordLevel", word_level}};

/// Old files do not name the type; what they hold does.
std::string_view type_by_content(const ModelPart& part) {
  if (part.has_merges) return "BPE";
  if (!part.scores.empty()) return "Unigram";
  return part.options.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

}  // namespace

std::shared_ptr<text::TokenModel> read_model(JsonCursor& cursor) {
  const ModelPart part = read_parts(cursor);
  const std::string type = part.text("type", type_by_content(part));
  for (const Row& row : kModels) {
    if (row.type != type) continue;
    const bool listed = !part.scores.empty();
    if (!part.tokens.empty() && listed != (type == "Unigram")) {
      fail("model.vocab: is not what the type ", type, " has");
    }
    return row.make(part);
  }
  fail("model: the type ", type, " is not supported");
}

}  // namespace tallow::detail
