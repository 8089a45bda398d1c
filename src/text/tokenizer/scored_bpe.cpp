// BPE by the scores of the tokens: SentencePiece's algorithm, which merges the neighbours whose
// text is the best-scored token (Kudo and Richardson 2018).
#include <algorithm>
#include <array>
#include <bit>
#include <compare>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/trie.h"
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
  ScoredBpe(Vocabulary vocabulary, std::span<const float> scores, const ScoredBpeOptions& options)
      : TokenModel(std::move(vocabulary)),
        unk_(options.unk),
        fuse_unk_(options.fuse_unk),
        words_(vocabulary_.begins_words_with(kMark)),
        frozen_(options.frozen.begin(), options.frozen.end()) {
    if (scores.size() != static_cast<size_t>(vocabulary_.size())) {
      fail("tokenizer: ", scores.size(), " scores for ", vocabulary_.size(), " tokens");
    }
    ranks_.reserve(scores.size());
    std::vector<Trie::Entry> symbols;
    for (size_t id = 0; id < scores.size(); ++id) {
      const bool hidden = !options.hidden.empty() && options.hidden[id];
      ranks_.push_back(hidden ? Join::kNone : rank_of(scores[id]));
      if (!frozen_.empty() && frozen_[id]) {
        symbols.push_back({vocabulary_[static_cast<int64_t>(id)], static_cast<uint32_t>(id)});
      }
    }
    symbols_.build(std::move(symbols));
    for (size_t byte = 0; byte < 256; ++byte) {
      byte_ids_[byte] = options.byte_fallback ? vocabulary_.find(byte_token(byte)) : -1;
    }
  }

  std::unique_ptr<ModelState> make_state() const override {
    return std::make_unique<ScoredState>();
  }
  void encode(std::string_view piece, ModelState& state, const TokenSink& out) const override {
    auto& mine = static_cast<ScoredState&>(state);
    if (!words_) return word(piece, 0, mine, out);
    for_each_word(piece, kMark, [&](std::string_view part) {
      word(part, static_cast<uint32_t>(part.data() - piece.data()), mine, out);
    });
  }
  bool reads_as_text(int32_t id) const override { return id == unk_; }
  void save(std::string& json) const override;

 private:
  void word(std::string_view piece, uint32_t at, ScoredState& state, const TokenSink& out) const {
    if (out.spans) return uncached(piece, at, state, out);
    state.cache.append(piece, out.ids, [&] { uncached(piece, at, state, out); });
  }

  void uncached(std::string_view piece, uint32_t at, ScoredState& state,
                const TokenSink& out) const {
    if (piece.size() > INT32_MAX) fail("tokenizer: a piece of ", piece.size(), " bytes; max 2 GiB");
    auto& symbols = state.symbols;
    symbols.clear();
    for (size_t i = 0; i < piece.size();) {
      Symbol symbol{static_cast<uint32_t>(i), 0, -1};
      symbols_.for_each_prefix(piece.substr(i), [&](size_t length, uint32_t id) {
        symbol.end = symbol.begin + static_cast<uint32_t>(length);
        symbol.id = static_cast<int32_t>(id);
      });
      next_code_point(piece, i);
      if (symbol.end == 0) symbol.end = static_cast<uint32_t>(i);
      i = symbol.end;
      symbols.push_back(symbol);
    }
    merge(symbols, state.buffers, [&](const Symbol& a, const Symbol& b) {
      if (is_frozen(a.id) || is_frozen(b.id)) return Join{};
      const int32_t id = find(piece.substr(a.begin, b.end - a.begin));
      return id < 0 ? Join{} : Join{ranks_[static_cast<size_t>(id)], id};
    });
    for (const Symbol& symbol : symbols) {
      const ByteSpan span{at + symbol.begin, at + symbol.end};
      const std::string_view text = piece.substr(symbol.begin, symbol.end - symbol.begin);
      const int32_t id = symbol.id >= 0 ? symbol.id : find(text);
      if (id >= 0) {
        add(id, span, out);
      } else {
        add_unknown(text, span, out);
      }
    }
  }

  static void add(int32_t id, ByteSpan span, const TokenSink& out) {
    out.ids.push_back(id);
    if (out.spans) out.spans->push_back(span);
  }

  void add_unknown(std::string_view text, ByteSpan span, const TokenSink& out) const {
    for (const char byte : text) {
      const int32_t fallback = byte_ids_[static_cast<unsigned char>(byte)];
      if (fallback >= 0) {
        add(fallback, span, out);
        continue;
      }
      if (unk_ >= 0) add_unk(span, out);
      return;
    }
  }

  void add_unk(ByteSpan span, const TokenSink& out) const {
    if (!fuse_unk_ || span.begin == 0 || out.ids.empty() || out.ids.back() != unk_) {
      return add(unk_, span, out);
    }
    if (out.spans) out.spans->back().end = span.end;
  }

  bool is_frozen(int32_t id) const {
    return id >= 0 && !frozen_.empty() && frozen_[static_cast<size_t>(id)];
  }

  /// The id of a token that text may become, or -1.
  int32_t find(std::string_view text) const {
    const int32_t id = vocabulary_.find(text);
    return id >= 0 && ranks_[static_cast<size_t>(id)] == Join::kNone ? -1 : id;
  }

  std::vector<uint32_t> ranks_;
  std::array<int32_t, 256> byte_ids_{};
  int32_t unk_;
  bool fuse_unk_;
  bool words_;
  std::vector<uint8_t> frozen_;
  Trie symbols_;
};

/// As a list of merges: every way to join two tokens into one, the best result first. That is what
/// transformers makes of such a model.
void ScoredBpe::save(std::string& json) const {
  struct Listed {
    uint32_t rank;
    int32_t whole, left, right;
    auto operator<=>(const Listed&) const = default;
  };
  std::vector<Listed> all;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_[id];
    for (size_t i = 0; i < token.size();) {
      next_code_point(token, i);
      const int32_t left = find(token.substr(0, i));
      const int32_t right = find(token.substr(i));
      if (left >= 0 && right >= 0) {
        all.push_back({ranks_[static_cast<size_t>(id)], id, left, right});
      }
    }
  }
  std::sort(all.begin(), all.end());
  std::vector<std::pair<std::string_view, std::string_view>> merges;
  merges.reserve(all.size());
  for (const Listed& one : all) merges.emplace_back(vocabulary_[one.left], vocabulary_[one.right]);
  BpeOptions options;
  if (unk_ >= 0) options.unk_token = vocabulary_[unk_];
  options.fuse_unk = true;
  options.byte_fallback = byte_ids_[0] >= 0;
  options.strict = false;
  make_bpe(vocabulary_, merges, options)->save(json);
}

}  // namespace

std::unique_ptr<TokenModel> make_scored_bpe(Vocabulary vocabulary, std::span<const float> scores,
                                            const ScoredBpeOptions& options) {
  return std::make_unique<ScoredBpe>(std::move(vocabulary), scores, options);
}

}  // namespace tallow::text
