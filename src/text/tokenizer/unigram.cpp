// Unigram: the most probable tokens of a piece, by dynamic programming over its bytes.
#include "text/tokenizer/unigram.h"

#include <array>
#include <cmath>
#include <limits>

#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/word_cache.h"

namespace tallow::text {
namespace {

constexpr double kUnknownPenalty = 10;

/// The best way to reach a place in the text.
template <class Score>
struct Best {
  Score score = 0;
  uint32_t from = UINT32_MAX;  // where its last token begins; UINT32_MAX: not reached
  int32_t id = -1;             // -1: unknown
};

template <class Score>
struct UnigramState final : ModelState {
  WordCache cache;
  std::vector<Best<Score>> best;
  std::vector<ByteSpan> path;
  std::vector<int32_t> path_ids;
};

template <class Score>
class Unigram final : public TokenModel {
 public:
  using State = UnigramState<Score>;

  Unigram(Vocabulary vocabulary, std::span<const double> scores, const UnigramOptions& options)
      : TokenModel(std::move(vocabulary)),
        unk_(options.unk),
        byte_fallback_(options.byte_fallback),
        scores_(scores.begin(), scores.end()) {
    if (scores.size() != static_cast<size_t>(vocabulary_.size())) {
      fail("model: ", scores.size(), " scores for ", vocabulary_.size(), " tokens");
    }
    if (unk_ >= vocabulary_.size()) {
      fail("model.unk_id: ", unk_, " is outside the vocabulary of ", vocabulary_.size());
    }
    std::vector<Trie::Entry> entries;
    entries.reserve(scores.size());
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t id = 0; id < scores.size(); ++id) {
      if (std::isnan(scores[id])) fail("model.vocab: the score of token ", id, " is not a number");
      if (!options.hidden.empty() && options.hidden[id]) continue;
      if (options.bonus.empty() || !options.bonus[id]) lowest = std::min(lowest, scores[id]);
      const std::string_view token = vocabulary_[static_cast<int64_t>(id)];
      if (!token.empty()) entries.push_back({token, static_cast<uint32_t>(id)});
    }
    unknown_score_ = static_cast<Score>(static_cast<Score>(lowest) - Score{kUnknownPenalty});
    trie_.build(std::move(entries));
    for (size_t byte = 0; byte < 256; ++byte) byte_ids_[byte] = vocabulary_.find(byte_token(byte));
  }

  std::unique_ptr<ModelState> make_state() const override { return std::make_unique<State>(); }
  bool reads_as_text(int32_t id) const override { return id == unk_; }

  void encode(std::string_view piece, ModelState& state, const TokenSink& out) const override {
    auto& mine = static_cast<State&>(state);
    if (out.spans) return uncached(piece, mine, out);
    mine.cache.append(piece, out.ids, [&] { uncached(piece, mine, out); });
  }

  void save(std::string& json) const override {
    json += str("{\"type\":\"Unigram\",\"unk_id\":", unk_ < 0 ? "null" : str(unk_), ",\"vocab\":[");
    for (int64_t id = 0; id < vocabulary_.size(); ++id) {
      json += id > 0 ? ",[" : "[";
      append_json_string(json, vocabulary_[id]);
      json += ',';
      json += Json(static_cast<double>(scores_[static_cast<size_t>(id)])).dump();
      json += ']';
    }
    json += str("],\"byte_fallback\":", byte_fallback_ ? "true" : "false", "}");
  }

 private:
  void uncached(std::string_view piece, State& state, const TokenSink& out) const {
    if (piece.size() > INT32_MAX) fail("tokenizer: a piece of ", piece.size(), " bytes; max 2 GiB");
    find_best(piece, state.best);
    state.path.clear();
    state.path_ids.clear();
    for (auto end = static_cast<uint32_t>(piece.size()); end > 0;) {
      const Best<Score>& last = state.best[end];
      // Unknown characters in a row are one token.
      if (last.id == unk_ && !state.path.empty() && state.path_ids.back() == unk_) {
        state.path.back().begin = last.from;
      } else {
        state.path.push_back({last.from, end});
        state.path_ids.push_back(last.id);
      }
      end = last.from;
    }
    for (size_t i = state.path.size(); i-- > 0;) {
      const ByteSpan span = state.path[i];
      if (state.path_ids[i] == unk_) {
        add_unknown(piece.substr(span.begin, span.end - span.begin), span, out);
      } else {
        add(state.path_ids[i], span, out);
      }
    }
  }

  void find_best(std::string_view piece, std::vector<Best<Score>>& best) const {
    best.assign(piece.size() + 1, {});
    const auto reach = [&](size_t from, size_t to, Score score, int32_t id) {
      Best<Score>& there = best[to];
      if (there.from != UINT32_MAX && !(score > there.score)) return;
      there = {score, static_cast<uint32_t>(from), id};
    };
    for (size_t i = 0; i < piece.size();) {
      const size_t begin = i;
      next_code_point(piece, i);
      const size_t character = i - begin;
      const Score here = best[begin].score;
      bool single = false;
      trie_.for_each_prefix(piece.substr(begin), [&](size_t length, uint32_t id) {
        single |= length == character;
        reach(begin, begin + length, scores_[id] + here, static_cast<int32_t>(id));
      });
      if (single) continue;
      if (unk_ < 0) fail("tokenizer: an unknown character, and the model has no unk_id");
      reach(begin, i, unknown_score_ + here, unk_);
    }
  }

  static void add(int32_t id, ByteSpan span, const TokenSink& out) {
    out.ids.push_back(id);
    if (out.spans) out.spans->push_back(span);
  }

  void add_unknown(std::string_view text, ByteSpan span, const TokenSink& out) const {
    const int32_t known = vocabulary_.find(text);
    if (known >= 0) return add(known, span, out);
    bool bytes = byte_fallback_;
    for (const char c : text) bytes = bytes && byte_ids_[static_cast<unsigned char>(c)] >= 0;
    if (!bytes) return add(unk_, span, out);
    for (const char c : text) add(byte_ids_[static_cast<unsigned char>(c)], span, out);
  }

  int32_t unk_;
  bool byte_fallback_;
  std::vector<Score> scores_;
  Score unknown_score_ = 0;
  Trie trie_;
  std::array<int32_t, 256> byte_ids_{};
};

}  // namespace

std::unique_ptr<TokenModel> make_unigram(Vocabulary vocabulary, std::span<const double> scores,
                                         const UnigramOptions& options) {
  if (options.single_precision) {
    return std::make_unique<Unigram<float>>(std::move(vocabulary), scores, options);
  }
  return std::make_unique<Unigram<double>>(std::move(vocabulary), scores, options);
}

}  // namespace tallow::text
