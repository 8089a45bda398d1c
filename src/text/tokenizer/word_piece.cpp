// WordPiece and WordLevel.
#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/unigram.h"
#include "text/tokenizer/word_cache.h"

namespace tallow::text {
namespace {

struct WordState final : ModelState {
  WordCache cache;
};

/// What both models share: words that are remembered, and a token for the unknown ones.
class WordModel : public TokenModel {
 public:
  WordModel(Vocabulary vocabulary, std::string unk_token)
      : TokenModel(std::move(vocabulary)),
        unk_token_(std::move(unk_token)),
        unk_(vocabulary_.find(unk_token_)) {}
  std::unique_ptr<ModelState> make_state() const override { return std::make_unique<WordState>(); }
  void encode(std::string_view piece, ModelState& state, const TokenSink& out) const override {
    if (out.spans) return word(piece, out);
    static_cast<WordState&>(state).cache.append(piece, out.ids, [&] { word(piece, out); });
  }

 protected:
  virtual void word(std::string_view piece, const TokenSink& out) const = 0;
  static void add(int32_t id, size_t begin, size_t end, const TokenSink& out) {
    out.ids.push_back(id);
    if (out.spans) out.spans->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }
  void add_unknown(std::string_view piece, const TokenSink& out) const {
    if (unk_ < 0) {
      fail("tokenizer: the unknown token ", unk_token_, " is not in the vocabulary");
    }
    add(unk_, 0, piece.size(), out);
  }

  const std::string unk_token_;
  const int32_t unk_;
};

class WordPiece final : public WordModel {
 public:
  WordPiece(Vocabulary vocabulary, WordPieceOptions options)
      : WordModel(std::move(vocabulary), options.unk_token), options_(std::move(options)) {
    std::vector<Trie::Entry> starts, continuations;
    for (int64_t id = 0; id < vocabulary_.size(); ++id) {
      std::string_view token = vocabulary_[id];
      if (vocabulary_.find(token) != id) continue;
      starts.push_back({token, static_cast<uint32_t>(id)});
      if (!token.starts_with(options_.prefix)) continue;
      token.remove_prefix(options_.prefix.size());
      if (!token.empty()) continuations.push_back({token, static_cast<uint32_t>(id)});
    }
    starts_.build(std::move(starts));
    continuations_.build(std::move(continuations));
  }

  void save(std::string& json) const override {
    json += "{\"type\":\"WordPiece\",\"unk_token\":";
    append_json_string(json, unk_token_);
    json += ",\"continuing_subword_prefix\":";
    append_json_string(json, options_.prefix);
    json += str(",\"max_input_chars_per_word\":", options_.longest, ",\"vocab\":");
    vocabulary_.save(json);
    json += '}';
  }

 private:
  void word(std::string_view piece, const TokenSink& out) const override {
    const auto longest = static_cast<size_t>(options_.longest);
    if (piece.size() > longest && count_code_points(piece) > longest) {
      return add_unknown(piece, out);
    }
    const size_t ids_before = out.ids.size();
    const size_t spans_before = out.spans ? out.spans->size() : 0;
    for (size_t begin = 0; begin < piece.size();) {
      size_t length = 0;
      uint32_t id = 0;
      (begin == 0 ? starts_ : continuations_)
          .for_each_prefix(piece.substr(begin), [&](size_t n, uint32_t value) {
            length = n;
            id = value;
          });
      if (length == 0) {
        out.ids.resize(ids_before);
        if (out.spans) out.spans->resize(spans_before);
        return add_unknown(piece, out);
      }
      add(static_cast<int32_t>(id), begin, begin + length, out);
      begin += length;
    }
  }

  const WordPieceOptions options_;
  Trie starts_, continuations_;
};

class WordLevel final : public WordModel {
 public:
  using WordModel::WordModel;
  void save(std::string& json) const override {
    json += "{\"type\":\"WordLevel\",\"vocab\":";
    vocabulary_.save(json);
    json += ",\"unk_token\":";
    append_json_string(json, unk_token_);
    json += '}';
  }

 private:
  void word(std::string_view piece, const TokenSink& out) const override {
    const int32_t id = vocabulary_.find(piece);
    if (id < 0) return add_unknown(piece, out);
    add(id, 0, piece.size(), out);
  }
};

}  // namespace

std::unique_ptr<TokenModel> make_word_piece(Vocabulary vocabulary, WordPieceOptions options) {
  if (options.longest < 0) fail("model.max_input_chars_per_word: is ", options.longest);
  return std::make_unique<WordPiece>(std::move(vocabulary), std::move(options));
}

std::unique_ptr<TokenModel> make_word_level(Vocabulary vocabulary, std::string unk_token) {
  return std::make_unique<WordLevel>(std::move(vocabulary), std::move(unk_token));
}

}  // namespace tallow::text
