// BPE by a list of merges, as `tokenizers` defines it.
#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/parallel.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/word_cache.h"

namespace tallow::text {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

/// From a pair of ids to the rank and the result of joining them.
class MergeTable {
 public:
  MergeTable() = default;
  explicit MergeTable(size_t merges)
      : shift_(64 - std::countr_zero(std::bit_ceil(merges * 2 + 2))),
        slots_(1ull << (64 - shift_)) {}

  void set(int32_t left, int32_t right, Join join) {
    const uint64_t key = key_of(left, right);
    size_t at = key * kMix >> shift_;
    while (slots_[at].join.id >= 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {key, join};
  }
  void prefetch(int32_t left, int32_t right) const {
    __builtin_prefetch(&slots_[key_of(left, right) * kMix >> shift_], 1);
  }
  Join find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    size_t at = key * kMix >> shift_;
    for (; slots_[at].join.id >= 0; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at].key == key) return slots_[at].join;
    }
    return {};
  }

  /// Calls f(rank, left, right) for each merge, in no order.
  template <class F>
  void for_each(const F& f) const {
    for (const Slot& slot : slots_) {
      if (slot.join.id < 0) continue;
      f(slot.join.rank, static_cast<int32_t>(slot.key >> 32), static_cast<int32_t>(slot.key));
    }
  }

 private:
  static constexpr uint64_t kMix = 0x9E3779B97F4A7C15u;
  struct Slot {
    uint64_t key = 0;
    Join join;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  int shift_ = 63;
  LargeVector<Slot> slots_ = LargeVector<Slot>(2);
};

struct BpeState final : ModelState {
  WordCache cache;
  MergeBuffers buffers;
  std::vector<Symbol> symbols;
  std::string text;
  Chance chance;
};

class Bpe final : public TokenModel {
 public:
  Bpe(Vocabulary vocabulary, Merges merges, BpeOptions options)
      : TokenModel(std::move(vocabulary)), options_(std::move(options)), table_(merges.size()) {
    if (!options_.unk_token.empty()) unk_ = vocabulary_.find(options_.unk_token);
    read_merges(merges);
    for (size_t byte = 0; byte < 256; ++byte) {
      std::string name;
      append_utf8(name, byte_to_char(static_cast<uint8_t>(byte)));
      byte_ids_[byte] = vocabulary_.find(name);
      fallback_ids_[byte] = vocabulary_.find(byte_token(byte));
    }
  }

  std::unique_ptr<ModelState> make_state() const override { return std::make_unique<BpeState>(); }
  bool take_bytes() override {
    for (const int32_t id : byte_ids_) {
      if (id < 0) return false;
    }
    bytes_ = options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
    return bytes_;
  }

  void encode(std::string_view piece, ModelState& state, const TokenSink& out) const override {
    auto& mine = static_cast<BpeState&>(state);
    uint32_t at = 0;
    if (bytes_ || piece.size() <= kMark.size() || !words_) return word(piece, mine, out, at);
    for_each_word(piece, kMark, [&](std::string_view part) { word(part, mine, out, at); });
  }
  void save(std::string& json) const override;
  /// Called once the vocabulary's use is known: pieces of raw text may hold many words.
  void allow_words() {
    words_ = options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty() &&
             !options_.ignore_merges && vocabulary_.begins_words_with(kMark);
  }

 private:
  struct Resolved {
    int32_t left, right, whole;
  };

  void read_merges(Merges merges) {
    LargeVector<Resolved> resolved(merges.size());
    constexpr int64_t kGrain = 4096;
    const auto n = static_cast<int64_t>(merges.size());
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
      resolve(merges, static_cast<size_t>(begin), static_cast<size_t>(end), resolved);
    });
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < resolved.size(); ++i) {
      if (i + kAhead < resolved.size()) {
        table_.prefetch(resolved[i + kAhead].left, resolved[i + kAhead].right);
      }
      const Resolved& merge = resolved[i];
      if (merge.left >= 0 && merge.right >= 0 && merge.whole >= 0) {
        const auto rank =
            static_cast<uint32_t>(options_.rank_by_result ? static_cast<size_t>(merge.whole) : i);
        table_.set(merge.left, merge.right, {rank, merge.whole});
      } else if (options_.strict) {
        fail("model.merges: merge ", i, " (\"", merges[i].first, " ", merges[i].second,
             "\") uses a token that is not in the vocabulary");
      }
    }
  }

  /// Finds the ids of merges [begin, end).
  void resolve(Merges merges, size_t begin, size_t end, LargeVector<Resolved>& out) const {
    constexpr size_t kBlock = 64;
    std::string_view texts[2 * kBlock];
    int32_t ids[2 * kBlock];
    const size_t skip = options_.continuing_subword_prefix.size();
    int32_t whole = -1;
    for (size_t at = begin; at < end; at += kBlock) {
      const size_t n = std::min(kBlock, end - at);
      for (size_t k = 0; k < n; ++k) {
        texts[2 * k] = merges[at + k].first;
        texts[2 * k + 1] = merges[at + k].second;
      }
      vocabulary_.find(std::span(texts, 2 * n), std::span(ids, 2 * n));
      for (size_t k = 0; k < n; ++k) {
        const std::string_view right = texts[2 * k + 1];
        whole = find_joined(texts[2 * k], right.substr(std::min(skip, right.size())), whole);
        out[at + k] = {ids[2 * k], ids[2 * k + 1], whole};
      }
    }
  }

  /// The id of `left` and `right` joined. Merges are mostly listed in the order of their results,
  /// so the last one and the next are tried first.
  int32_t find_joined(std::string_view left, std::string_view right, int32_t last) const {
    for (const int32_t guess : {last, last + 1}) {
      const std::string_view guessed = vocabulary_[guess];
      if (guessed.size() == left.size() + right.size() && guessed.starts_with(left) &&
          guessed.ends_with(right) && !guessed.empty()) {
        return guess;
      }
    }
    return vocabulary_.find(str(left, right));
  }

  /// `at` is where the word's first token begins in the piece, and becomes where its last ends.
  void word(std::string_view piece, BpeState& state, const TokenSink& out, uint32_t& at) const {
    if (out.spans || options_.dropout > 0) return uncached(piece, state, out, at);
    state.cache.append(piece, out.ids, [&] { uncached(piece, state, out, at); });
  }

  void uncached(std::string_view piece, BpeState& state, const TokenSink& out, uint32_t& at) const {
    if (piece.size() > INT32_MAX) fail("tokenizer: a piece of ", piece.size(), " bytes; max 2 GiB");
    auto& symbols = state.symbols;
    symbols.clear();
    const int32_t whole = options_.ignore_merges ? find_whole(piece, state.text) : -1;
    if (whole >= 0) {
      symbols.push_back({0, static_cast<uint32_t>(piece.size()), whole});
    } else {
      split_and_merge(piece, state);
    }
    for (const Symbol& symbol : symbols) {
      out.ids.push_back(symbol.id);
      if (!out.spans) continue;
      const uint32_t end = at + (symbol.end - symbol.begin);
      out.spans->push_back({at, end});
      at = end;
    }
  }

  int32_t find_whole(std::string_view piece, std::string& buffer) const {
    if (!bytes_) return vocabulary_.find(piece);
    buffer.clear();
    append_byte_level(buffer, piece);
    return vocabulary_.find(buffer);
  }

  void split_and_merge(std::string_view piece, BpeState& state) const {
    auto& symbols = state.symbols;
    if (bytes_) {
      for (uint32_t i = 0; i < piece.size(); ++i) {
        symbols.push_back({i, i + 1, byte_ids_[static_cast<unsigned char>(piece[i])]});
      }
    } else {
      add_characters(piece, state);
    }
    const auto rank = [&](const Symbol& a, const Symbol& b) { return table_.find(a.id, b.id); };
    if (options_.dropout > 0) {
      merge_long(symbols, state.buffers, rank,
                 [&] { return state.chance.happens(options_.dropout); });
    } else {
      merge(symbols, state.buffers, rank);
    }
  }

  /// A symbol for each character; unknown ones become byte tokens or the unknown token. As in
  /// `tokenizers`, the unknown token waits for the next known character, and byte tokens pass it.
  void add_characters(std::string_view piece, BpeState& state) const {
    auto& symbols = state.symbols;
    Symbol waiting{0, 0, -1};
    const auto flush = [&] {
      if (waiting.id >= 0) symbols.push_back(waiting);
      waiting.id = -1;
    };
    for (size_t i = 0; i < piece.size();) {
      const auto begin = static_cast<uint32_t>(i);
      next_code_point(piece, i);
      const auto end = static_cast<uint32_t>(i);
      const std::string_view spelled = spell(piece, begin, end, state.text);
      const int32_t id = vocabulary_.find(spelled);
      if (id >= 0) {
        flush();
        symbols.push_back({begin, end, id});
      } else if (options_.byte_fallback && add_bytes(spelled, begin, end, symbols)) {
        continue;
      } else if (!options_.unk_token.empty()) {
        if (unk_ < 0) {
          fail("tokenizer: the unknown token ", options_.unk_token, " is not in the vocabulary");
        }
        if (!options_.fuse_unk) flush();
        const uint32_t fused = waiting.id >= 0 ? waiting.end - waiting.begin : 0;
        waiting = {begin, end + fused, unk_};  // only its length counts
      }
    }
    flush();
  }

  /// The character as the vocabulary spells it, with the prefix and the suffix of its place.
  std::string_view spell(std::string_view piece, uint32_t begin, uint32_t end,
                         std::string& buffer) const {
    const std::string_view character = piece.substr(begin, end - begin);
    const bool prefix = begin > 0 && !options_.continuing_subword_prefix.empty();
    const bool suffix = end == piece.size() && !options_.end_of_word_suffix.empty();
    if (!prefix && !suffix) return character;
    buffer.clear();
    if (prefix) buffer += options_.continuing_subword_prefix;
    buffer += character;
    if (suffix) buffer += options_.end_of_word_suffix;
    return buffer;
  }

  bool add_bytes(std::string_view spelled, uint32_t begin, uint32_t end,
                 std::vector<Symbol>& symbols) const {
    for (const char byte : spelled) {
      if (fallback_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    }
    // The stretches only have to be non-empty; a prefix or suffix can outnumber the bytes.
    for (size_t k = 0; k < spelled.size(); ++k) {
      const uint32_t at = std::min(begin + static_cast<uint32_t>(k), end - 1);
      symbols.push_back({at, at + 1, fallback_ids_[static_cast<unsigned char>(spelled[k])]});
    }
    return true;
  }

  BpeOptions options_;
  MergeTable table_;
  int32_t unk_ = -1;
  bool bytes_ = false;
  bool words_ = false;
  std::array<int32_t, 256> byte_ids_{};
  std::array<int32_t, 256> fallback_ids_{};
};

void Bpe::save(std::string& json) const {
  struct Listed {
    uint32_t rank;
    int32_t left, right;
  };
  std::vector<Listed> merges;
  table_.for_each([&](uint32_t rank, int32_t left, int32_t right) {
    merges.push_back({rank, left, right});
  });
  std::sort(merges.begin(), merges.end(),
            [](const Listed& a, const Listed& b) { return a.rank < b.rank; });
  const auto text_or_null = [&](std::string_view text) {
    if (text.empty()) {
      json += "null";
    } else {
      append_json_string(json, text);
    }
  };
  json += "{\"type\":\"BPE\",\"dropout\":";
  json += options_.dropout > 0 ? Json(options_.dropout).dump() : "null";
  json += ",\"unk_token\":";
  text_or_null(options_.unk_token);
  json += ",\"continuing_subword_prefix\":";
  text_or_null(options_.continuing_subword_prefix);
  json += ",\"end_of_word_suffix\":";
  text_or_null(options_.end_of_word_suffix);
  json += str(",\"fuse_unk\":", options_.fuse_unk ? "true" : "false",
              ",\"byte_fallback\":", options_.byte_fallback ? "true" : "false",
              ",\"ignore_merges\":", options_.ignore_merges ? "true" : "false", ",\"vocab\":");
  vocabulary_.save(json);
  json += ",\"merges\":[";
  for (const Listed& merge : merges) {
    json += &merge == merges.data() ? "[" : ",[";
    append_json_string(json, vocabulary_[merge.left]);
    json += ',';
    append_json_string(json, vocabulary_[merge.right]);
    json += ']';
  }
  json += "]}";
}

}  // namespace

Chance::Chance() {
  static std::atomic<uint64_t> seeds{0x853C49E6748FEA9B};
  state_ = seeds.fetch_add(0x9E3779B97F4A7C15);
}

std::unique_ptr<TokenModel> make_bpe(Vocabulary vocabulary, Merges merges, BpeOptions options) {
  auto model = std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
  model->allow_words();
  return model;
}

}  // namespace tallow::text
