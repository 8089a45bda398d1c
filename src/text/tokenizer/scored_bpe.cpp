// BPE by the scores of the tokens: SentencePiece's algorithm, which merges the neighbours whose
// text is the best-scored token (Kudo and Richardson 2018).
#include <array>
#include <bit>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/word_cache.h"

namespace tallow::text {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, the visible space

/// Higher scores as lower ranks, in the same order.
uint32_t rank_of(float score) {
  if (score != score) return Join::kNone - 1;
  if (score == 0) score = 0;  // one rank for both zeros
  const auto bits = std::bit_cast<uint32_t>(score);
  const uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

struct ScoredState final : ModelState {
  WordCache cache;
  MergeBuffers buffers;
  std::vector<Symbol> symbols;
};

class ScoredBpe final : public TokenModel {
 public:
  ScoredBpe(Vocabulary vocabulary, std::span<const float> scores, int32_t unk)
      : vocabulary_(std::move(vocabulary)),
        unk_(unk),
        words_(vocabulary_.begins_words_with(kMark)) {
    if (scores.size() != static_cast<size_t>(vocabulary_.size())) {
      fail("tokenizer: ", scores.size(), " scores for ", vocabulary_.size(), " tokens");
    }
    ranks_.reserve(scores.size());
    for (const float score : scores) ranks_.push_back(rank_of(score));
    for (size_t byte = 0; byte < 256; ++byte) {
      constexpr char kHex[] = "0123456789ABCDEF";
      byte_ids_[byte] = vocabulary_.find(str("<0x", kHex[byte >> 4], kHex[byte & 15], ">"));
    }
  }

  std::unique_ptr<ModelState> make_state() const override {
    return std::make_unique<ScoredState>();
  }
  std::optional<int32_t> id(std::string_view token) const override {
    const int32_t found = vocabulary_.find(token);
    return found < 0 ? std::nullopt : std::optional(found);
  }
  std::string_view token(int64_t id) const override { return vocabulary_[id]; }
  int64_t size() const override { return vocabulary_.size(); }
  int64_t count() const override { return vocabulary_.count(); }

  void encode(std::string_view piece, ModelState& state, std::vector<int32_t>& ids) const override {
    auto& mine = static_cast<ScoredState&>(state);
    if (!words_) return word(piece, mine, ids);
    for_each_word(piece, kMark, [&](std::string_view part) { word(part, mine, ids); });
  }

 private:
  void word(std::string_view piece, ScoredState& state, std::vector<int32_t>& ids) const {
    state.cache.append(piece, ids, [&] { uncached(piece, state, ids); });
  }

  void uncached(std::string_view piece, ScoredState& state, std::vector<int32_t>& ids) const {
    if (piece.size() > INT32_MAX) fail("tokenizer: a piece of ", piece.size(), " bytes; max 2 GiB");
    auto& symbols = state.symbols;
    symbols.clear();
    for (size_t i = 0; i < piece.size();) {
      const auto begin = static_cast<uint32_t>(i);
      next_code_point(piece, i);
      symbols.push_back({begin, static_cast<uint32_t>(i), -1});
    }
    merge(symbols, state.buffers, [&](const Symbol& a, const Symbol& b) {
      const int32_t id = vocabulary_.find(piece.substr(a.begin, b.end - a.begin));
      return id < 0 ? Join{} : Join{ranks_[static_cast<size_t>(id)], id};
    });
    for (const Symbol& symbol : symbols) {
      const std::string_view text = piece.substr(symbol.begin, symbol.end - symbol.begin);
      const int32_t id = symbol.id >= 0 ? symbol.id : vocabulary_.find(text);
      if (id >= 0) {
        ids.push_back(id);
        continue;
      }
      for (const char byte : text) {
        const int32_t fallback = byte_ids_[static_cast<unsigned char>(byte)];
        if (fallback >= 0) {
          ids.push_back(fallback);
        } else if (unk_ >= 0) {
          ids.push_back(unk_);
          break;
        }
      }
    }
  }

  Vocabulary vocabulary_;
  std::vector<uint32_t> ranks_;
  std::array<int32_t, 256> byte_ids_{};
  int32_t unk_;
  bool words_;
};

}  // namespace

std::unique_ptr<TokenModel> make_scored_bpe(Vocabulary vocabulary, std::span<const float> scores,
                                            int32_t unk) {
  return std::make_unique<ScoredBpe>(std::move(vocabulary), scores, unk);
}

}  // namespace tallow::text
