// The normalizers of tokenizer.json.
#include <array>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/older_unicode.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/rewrite.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

/// A normalizer without options.
class Plain final : public Normalizer {
 public:
  explicit Plain(void (*rewrite)(AlignedText&, size_t)) : rewrite_(rewrite) {}
  void apply(AlignedText& text, size_t limit) const override { rewrite_(text, limit); }

 private:
  void (*rewrite_)(AlignedText&, size_t);
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(AlignedText& text, size_t limit) const override { prepend(text, prefix_, limit); }

 private:
  std::string prefix_;
};

class ReplaceText final : public Normalizer {
 public:
  ReplaceText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void apply(AlignedText& text, size_t limit) const override {
    if (!from_.empty()) replace_all(text, from_, to_, limit);
  }

 private:
  std::string from_, to_;
};

class ReplaceRegex final : public Normalizer {
 public:
  ReplaceRegex(const std::string& from, std::string to) : from_(from), to_(std::move(to)) {}
  void apply(AlignedText& text, size_t limit) const override {
    Edit edit(text, limit);
    for (Regex::Matcher match(from_, text.text()); match.next();) {
      edit.keep(match.begin);
      edit.drop(match.end);
      edit.insert(to_);
    }
    edit.commit();
  }

 private:
  Regex from_;
  std::string to_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(AlignedText& text, size_t limit) const override {
    const std::string_view all = text.text();
    size_t begin = 0;
    for (size_t i = 0; left_ && i < all.size() && is_space(next_code_point(all, i));) begin = i;
    size_t end = begin;
    for (size_t i = begin; i < all.size();) {
      if (!is_space(next_code_point(all, i)) || !right_) end = i;
    }
    if (begin == 0 && end == all.size()) return;
    Edit edit(text, limit);
    edit.drop(begin);
    edit.keep(end);
    edit.commit_here();
  }

 private:
  bool left_, right_;
};

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

char32_t clean(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return ' ';
  if (c == 0 || c == kReplacement || is_other(c)) return kNothing;
  return is_space(c) ? ' ' : c;
}

char32_t unaccented(char32_t c) { return was_nonspacing_mark(c) ? kNothing : c; }

char32_t unmarked(char32_t c) { return was_mark(c) ? kNothing : c; }

/// What SentencePiece's "nmt" rules drop or turn into a space.
char32_t nmt(char32_t c) {
  if (c == 0x0B || c == 0x7F || c == 0x8F || c == 0x9F) return kNothing;
  if (c == '\t' || c == '\n' || c == 0x0C || c == '\r') return ' ';
  if (c >= 1 && c < 0x20) return kNothing;
  const bool space = c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                     c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  return space ? ' ' : c;
}

class Bert final : public Normalizer {
 public:
  Bert(bool clean_text, bool chinese, bool accents, bool lower)
      : clean_(clean_text), chinese_(chinese), accents_(accents), lower_(lower) {}

  void apply(AlignedText& text, size_t limit) const override {
    if (clean_) map_characters(text, limit, clean);
    if (chinese_) space_chinese(text, limit);
    if (accents_) {
      normalize(text, NormalForm::nfd, limit);
      map_characters(text, limit, unaccented);
    }
    if (lower_) lowercase(text, limit);
  }

 private:
  static void space_chinese(AlignedText& text, size_t limit) {
    Edit edit(text, limit);
    const std::string_view all = text.text();
    for (size_t i = 0; (i = skip_ascii(all, i)) < all.size();) {
      const size_t begin = i;
      if (!is_chinese(next_code_point(all, i))) continue;
      edit.keep(begin);
      edit.replace(i, " ");
      edit.insert(all.substr(begin, i - begin));
      edit.insert(" ");
    }
    if (edit.at() > 0) edit.commit();
  }

  bool clean_, chinese_, accents_, lower_;
};

/// The rules that SentencePiece compiled, applied as `tokenizers` does: to whole graphemes of less
/// than six bytes, else to characters, by the shortest rule that matches.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(const std::string& base64) : rules_(Charsmap::from_base64(base64)) {
    for (size_t c = 0; c < 128; ++c) {
      const auto byte = static_cast<char>(c);
      plain_[c] = !rules_.shortest(std::string_view(&byte, 1)).found;
    }
    plain_['\r'] = false;  // may stand in a grapheme with what follows
  }

  void apply(AlignedText& text, size_t limit) const override {
    if (is_plain(text.text())) return;
    Edit edit(text, limit);
    Replay replay(edit);
    const std::string_view all = text.text();
    for (size_t i = 0; i < all.size();) {
      const size_t begin = i;
      i = next_grapheme(all, i);
      const std::string_view grapheme = all.substr(begin, i - begin);
      if (grapheme.size() < 6 && transform(grapheme, replay)) continue;
      for (size_t k = 0; k < grapheme.size();) {
        const size_t at = k;
        const char32_t c = next_code_point(grapheme, k);
        if (!transform(grapheme.substr(at, k - at), replay)) replay.put(c, 0);
      }
    }
    replay.finish();
  }

 private:
  bool is_plain(std::string_view text) const {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 128 || !plain_[byte]) return false;
    }
    return true;
  }

  /// An ASCII character that no rule touches is a grapheme by itself when ASCII follows it.
  size_t next_grapheme(std::string_view all, size_t i) const {
    const auto byte = static_cast<unsigned char>(all[i]);
    const bool ascii_next = i + 1 == all.size() || static_cast<unsigned char>(all[i + 1]) < 128;
    return byte < 128 && byte != '\r' && ascii_next ? i + 1 : grapheme_end(all, i);
  }

  bool transform(std::string_view part, Replay& replay) const {
    const Charsmap::Rule rule = rules_.shortest(part);
    if (!rule.found) return false;
    auto old = static_cast<int32_t>(count_code_points(part));
    for (size_t i = 0; i < rule.text.size(); --old) {
      replay.put(next_code_point(rule.text, i), old > 0 ? 0 : 1);
    }
    if (old > 0) replay.take(old);
    return true;
  }

  Charsmap rules_;
  std::array<bool, 128> plain_{};
};

void to_byte_level(AlignedText& text, size_t limit) { byte_level(text, limit); }

template <NormalForm form>
void unicode(AlignedText& text, size_t limit) {
  normalize(text, form, limit);
}

template <char32_t (*map)(char32_t)>
void mapped(AlignedText& text, size_t limit) {
  map_characters(text, limit, map);
}

template <void (*rewrite)(AlignedText&, size_t)>
std::unique_ptr<Normalizer> plain(const Json&) {
  return std::make_unique<Plain>(rewrite);
}

std::unique_ptr<Normalizer> prepended(const Json& json) {
  return std::make_unique<Prepend>(json.at("prepend").string());
}

std::unique_ptr<Normalizer> replace(const Json& json) {
  const Pattern pattern = read_pattern(json.at("pattern"));
  const std::string& content = json.at("content").string();
  if (pattern.regex) return std::make_unique<ReplaceRegex>(pattern.text, content);
  return std::make_unique<ReplaceText>(pattern.text, content);
}

std::unique_ptr<Normalizer> strip(const Json& json) {
  return std::make_unique<Strip>(boolean_or(json, "strip_left", true),
                                 boolean_or(json, "strip_right", true));
}

std::unique_ptr<Normalizer> bert(const Json& json) {
  const bool lower = boolean_or(json, "lowercase", true);
  return std::make_unique<Bert>(boolean_or(json, "clean_text", true),
                                boolean_or(json, "handle_chinese_chars", true),
                                boolean_or(json, "strip_accents", lower), lower);
}

std::unique_ptr<Normalizer> precompiled(const Json& json) {
  const std::string map = string_or(json, "precompiled_charsmap", "");
  if (map.empty()) return nullptr;
  return std::make_unique<Precompiled>(map);
}

struct Row {
  std::string_view type;
  std::unique_ptr<Normalizer> (*make)(const Json&);
};
constexpr Row kNormalizers[] = {
    {"NFC", plain<unicode<NormalForm::nfc>>},
    {"NFD", plain<unicode<NormalForm::nfd>>},
    {"NFKC", plain<unicode<NormalForm::nfkc>>},
    {"NFKD", plain<unicode<NormalForm::nfkd>>},
    {"Lowercase", plain<lowercase>},
    {"StripAccents", plain<mapped<unmarked>>},
    {"ByteLevel", plain<to_byte_level>},
    {"Nmt", plain<mapped<nmt>>},
    {"Prepend", prepended},
    {"Replace", replace},
    {"Strip", strip},
    {"BertNormalizer", bert},
    {"Precompiled", precompiled},
};

void append(const Json& json, NormalizerChain& chain) {
  const std::string& type = type_of(json, "normalizer");
  if (type == "Sequence") {
    for (const Json& part : json.at("normalizers").items()) append(part, chain);
    return;
  }
  for (const Row& row : kNormalizers) {
    if (row.type != type) continue;
    if (auto made = row.make(json)) chain.push_back(std::move(made));
    return;
  }
  fail("normalizer: the type ", type, " is not supported");
}

}  // namespace

void normalize(const NormalizerChain& chain, AlignedText& text) {
  const size_t limit = text.size() * 64 + 4096;
  for (const auto& step : chain) step->apply(text, limit);
}

std::string normalize(const NormalizerChain& chain, std::string_view text) {
  AlignedText rewritten;
  rewritten.assign(text, 0, /*tracked=*/false);
  normalize(chain, rewritten);
  return rewritten.text();
}

NormalizerChain make_normalizer(const Json& json) {
  NormalizerChain chain;
  if (!json.is_null()) append(json, chain);
  return chain;
}

}  // namespace tallow::text
