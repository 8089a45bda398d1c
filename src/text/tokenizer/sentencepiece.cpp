// SentencePiece models: BPE and Unigram, with the rules by which they rewrite text.
#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/proto.h"
#include "text/tokenizer/rewrite.h"
#include "text/tokenizer/sources.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/unigram.h"

namespace tallow::detail {
namespace {

using text::ProtoReader;

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, the visible space

enum PieceType : uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

void read_piece(std::string_view bytes, SentencePieceModel& to) {
  ProtoReader in(bytes, "pieces");
  std::string_view piece;
  float score = 0;
  uint64_t type = kNormal;
  while (in.next()) {
    if (in.field() == 1) piece = in.bytes();
    if (in.field() == 2) score = in.real();
    if (in.field() == 3) type = in.integer();
  }
  if (type < kNormal || type > kByte) fail("pieces: a piece of type ", type);
  if (score != score) fail("pieces: the score of ", piece, " is not a number");
  to.pieces.push_back(piece);
  to.scores.push_back(score);
  to.types.push_back(static_cast<uint8_t>(type));
}

void read_trainer(std::string_view bytes, SentencePieceModel& to) {
  ProtoReader in(bytes, "trainer_spec");
  while (in.next()) {
    switch (in.field()) {
      case 3: to.model_type = in.integer(); break;
      case 24: to.suffix = in.integer() != 0; break;
      case 35: to.byte_fallback = in.integer() != 0; break;
      case 41: to.bos = static_cast<int32_t>(in.integer()); break;
      case 42: to.eos = static_cast<int32_t>(in.integer()); break;
      default: break;
    }
  }
}

void read_normalizer(std::string_view bytes, SentencePieceModel& to) {
  ProtoReader in(bytes, "normalizer_spec");
  while (in.next()) {
    switch (in.field()) {
      case 2: to.charsmap = in.bytes(); break;
      case 3: to.dummy_prefix = in.integer() != 0; break;
      case 4: to.squeeze = in.integer() != 0; break;
      case 5: to.escape = in.integer() != 0; break;
      default: break;
    }
  }
}

SentencePieceModel read_proto(std::string_view bytes) {
  SentencePieceModel proto;
  ProtoReader in(bytes, "SentencePiece model");
  while (in.next()) {
    if (in.field() == 1) read_piece(in.bytes(), proto);
    if (in.field() == 2) read_trainer(in.bytes(), proto);
    if (in.field() == 3) read_normalizer(in.bytes(), proto);
  }
  if (proto.pieces.empty()) fail("SentencePiece model: has no pieces");
  return proto;
}

/// SentencePiece's normalizer (normalizer.cc): rules by the longest match, user-defined symbols
/// untouched, spaces squeezed and made visible, one put in front.
class SpmNormalizer final : public text::Normalizer {
 public:
  explicit SpmNormalizer(const SentencePieceModel& from)
      : suffix_(from.suffix),
        dummy_(from.dummy_prefix),
        squeeze_(from.squeeze),
        space_(from.escape ? kMark : " ") {
    if (!from.charsmap.empty()) rules_ = text::Charsmap(from.charsmap);
    for (size_t i = 0; i < from.pieces.size(); ++i) {
      if (from.types[i] == kUserDefined) symbols_text_.emplace_back(from.pieces[i]);
    }
    std::vector<text::Trie::Entry> entries;
    for (const std::string& symbol : symbols_text_) entries.push_back({symbol, 0});
    symbols_.build(std::move(entries));
  }

  void apply(text::AlignedText& text, size_t limit) const override {
    text::Edit edit(text, limit);
    const std::string_view all = text.text();
    size_t at = 0;
    for (Prefix p; squeeze_ && at < all.size(); at += p.length) {
      p = prefix(all.substr(at));
      if (p.text != " ") break;
    }
    edit.drop(at);
    if (at == all.size()) return edit.commit_here();
    if (dummy_ && !suffix_ && !squeeze_) edit.put(space_, at);
    bool dummy = dummy_ && !suffix_ && squeeze_;  // it, too, waits for something to follow
    bool after_space = squeeze_;
    size_t pending = 0, pending_at = 0;  // squeezed spaces are written when something follows
    for (Prefix p; at < all.size(); at += p.length) {
      p = prefix(all.substr(at));
      while (after_space && p.text.starts_with(' ')) p.text.remove_prefix(1);
      for (const char& c : p.text) {
        if (c == ' ' && squeeze_) {
          ++pending;
          pending_at = at;
          continue;
        }
        if (std::exchange(dummy, false)) edit.put(space_, at);
        for (; pending > 0; --pending) edit.put(space_, pending_at);
        edit.put(c == ' ' ? std::string_view(space_) : std::string_view(&c, 1), at);
      }
      if (!p.text.empty()) after_space = squeeze_ && p.text.ends_with(' ');
    }
    edit.drop(at);
    if (dummy_ && suffix_) edit.insert(space_);
    edit.commit_here();
  }

 private:
  struct Prefix {
    std::string_view text;
    size_t length = 0;
  };

  /// What the beginning of `rest` becomes, and how much of it that is.
  Prefix prefix(std::string_view rest) const {
    size_t symbol = 0;
    symbols_.for_each_prefix(rest, [&](size_t length, uint32_t) { symbol = length; });
    if (symbol > 0) return {rest.substr(0, symbol), symbol};
    const text::Charsmap::Rule rule = rules_.longest(rest);
    if (rule.found) return {rule.text, rule.length};
    size_t one = 0;
    next_code_point(rest, one);
    return {rest.substr(0, one), one};
  }

  bool suffix_, dummy_, squeeze_;
  std::string space_;
  text::Charsmap rules_;
  std::vector<std::string> symbols_text_;
  text::Trie symbols_;
};

std::vector<uint8_t> hidden_pieces(const SentencePieceModel& from) {
  std::vector<uint8_t> hidden;
  for (const uint8_t type : from.types) {
    hidden.push_back(type != kNormal && type != kUserDefined);
  }
  return hidden;
}

std::shared_ptr<text::TokenModel> make_model(const SentencePieceModel& from, int32_t unk) {
  const std::vector<uint8_t> hidden = hidden_pieces(from);
  if (from.model_type == 2) {
    text::ScoredBpeOptions options;
    options.unk = unk;
    options.byte_fallback = from.byte_fallback;
    options.fuse_unk = true;
    options.hidden = hidden;
    std::vector<uint8_t> frozen;
    for (const uint8_t type : from.types) frozen.push_back(type == kUserDefined);
    options.frozen = frozen;
    return text::make_scored_bpe(text::Vocabulary(from.pieces), from.scores, options);
  }
  if (from.model_type != 1) fail("SentencePiece model: is neither Unigram nor BPE");
  float highest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < from.scores.size(); ++i) {
    if (from.types[i] == kNormal) highest = std::max(highest, from.scores[i]);
  }
  std::vector<double> scores(from.scores.begin(), from.scores.end());
  std::vector<uint8_t> bonus(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (from.types[i] != kUserDefined) continue;
    bonus[i] = 1;
    scores[i] = static_cast<float>(
        static_cast<double>(static_cast<float>(from.pieces[i].size()) * highest) - 0.1);
  }
  text::UnigramOptions options;
  options.unk = unk;
  options.byte_fallback = from.byte_fallback;
  options.single_precision = true;
  options.hidden = hidden;
  options.bonus = bonus;
  return text::make_unigram(text::Vocabulary(from.pieces), scores, options);
}

/// The stages as transformers writes them for such a model, for to_json().
void describe(const SentencePieceModel& from, TokenizerParts& parts) {
  Json::Array normalizers;
  if (!from.charsmap.empty()) {
    normalizers.emplace_back(Json::Object{
        {"type", "Precompiled"}, {"precompiled_charsmap", text::encode_base64(from.charsmap)}});
  }
  if (from.squeeze) {
    normalizers.emplace_back(
        Json::Object{{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
    normalizers.emplace_back(Json::Object{
        {"type", "Replace"}, {"pattern", Json::Object{{"Regex", " {2,}"}}}, {"content", " "}});
  }
  if (!normalizers.empty()) {
    parts.normalizer = Json::Object{{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  }
  parts.pre_tokenizer = Json::Object{{"type", "Metaspace"},
                                     {"replacement", kMark},
                                     {"prepend_scheme", from.dummy_prefix ? "always" : "never"},
                                     {"split", from.model_type == 1}};
  Json::Array decoders;
  decoders.emplace_back(Json::Object{
      {"type", "Replace"}, {"pattern", Json::Object{{"String", kMark}}}, {"content", " "}});
  decoders.emplace_back(Json::Object{{"type", "ByteFallback"}});
  decoders.emplace_back(Json::Object{{"type", "Fuse"}});
  if (from.dummy_prefix) {
    decoders.emplace_back(
        Json::Object{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  parts.decoder = Json::Object{{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

}  // namespace

PipelinePtr pipeline_from_sentencepiece(std::string_view bytes) {
  return pipeline_from_sentencepiece(read_proto(bytes));
}

PipelinePtr pipeline_from_sentencepiece(const SentencePieceModel& proto) {
  const auto unk = std::find(proto.types.begin(), proto.types.end(), uint8_t{kUnknown});
  if (unk == proto.types.end()) fail("SentencePiece model: has no unknown piece");
  auto pipeline = std::make_shared<TokenizerPipeline>();
  pipeline->model = make_model(proto, static_cast<int32_t>(unk - proto.types.begin()));
  describe(proto, pipeline->parts);
  pipeline->decoder = text::make_decoder(pipeline->parts.decoder);
  pipeline->normalizer.push_back(std::make_shared<SpmNormalizer>(proto));
  // Control symbols are no text, but decoding may leave them out.
  std::vector<AddedToken> control;
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    if (proto.types[id] != kControl && proto.types[id] != kUnknown) continue;
    if (proto.pieces[id].empty()) continue;
    AddedToken& token = control.emplace_back();
    token.content = proto.pieces[id];
    token.id = static_cast<int32_t>(id);
    token.special = true;
  }
  pipeline->added.build(std::move(control), {}, /*searched=*/false);
  const auto size = static_cast<int64_t>(proto.pieces.size());
  if (proto.bos >= 0 && proto.bos < size) pipeline->bos = static_cast<int32_t>(proto.bos);
  if (proto.eos >= 0 && proto.eos < size) pipeline->eos = static_cast<int32_t>(proto.eos);
  if (pipeline->bos) pipeline->bos_token = pipeline->token(*pipeline->bos);
  if (pipeline->eos) pipeline->eos_token = pipeline->token(*pipeline->eos);
  return pipeline;
}

}  // namespace tallow::detail
