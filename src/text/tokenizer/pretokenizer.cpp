// The pre-tokenizers of tokenizer.json, and those that GGUF names.
#include <array>
#include <memory>
#include <vector>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/older_unicode.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/rewrite.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The scripts of Unicode 9, which `tokenizers` knows, but Common and those that it counts as Han.
constexpr std::string_view kScripts =
    "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak "
    "Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian "
    "Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Cyrillic Deseret "
    "Devanagari Duployan Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic Gothic "
    "Grantha Greek Gujarati Gurmukhi Hangul Hanunoo Hatran Hebrew Imperial_Aramaic Inherited "
    "Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li Kharoshthi "
    "Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian "
    "Mahajani Malayalam Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui "
    "Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean "
    "New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian "
    "Old_Permic Old_Persian Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong "
    "Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan "
    "Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng Sundanese "
    "Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu "
    "Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi";

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

Behavior behavior_from(std::string_view name) {
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  fail("pre_tokenizer: the split behavior ", name, " is not supported");
}

/// A stretch of text, and whether it counts as a delimiter.
struct Span {
  size_t begin, end;
  bool delimiter;
};

/// Joins neighbours as the behavior says. Only the flags of adjacent spans decide, as in
/// `tokenizers`, where a delimiter after a delimiter starts a piece of its own.
void join(std::vector<Span>& spans, Behavior behavior) {
  std::vector<Span> out;
  bool previous = false;
  const bool backwards = behavior == Behavior::merged_with_next;
  for (size_t k = 0; k < spans.size(); ++k) {
    const Span& span = spans[backwards ? spans.size() - 1 - k : k];
    const bool merge =
        behavior == Behavior::contiguous ? span.delimiter == previous : span.delimiter && !previous;
    previous = span.delimiter;
    if (!merge || out.empty()) {
      out.push_back(span);
    } else if (backwards) {
      out.back().begin = span.begin;
    } else {
      out.back().end = span.end;
    }
  }
  if (backwards) {
    spans.assign(out.rbegin(), out.rend());
  } else {
    spans = std::move(out);
  }
}

/// The pattern of one character that `is` accepts: a Matcher like that of Regex.
class CharacterPattern {
 public:
  explicit CharacterPattern(bool (*is)(char32_t)) : is_(is) {
    for (char32_t c = 0; c < 128; ++c) ascii_[c] = is(c);
  }
  class Matcher {
   public:
    Matcher(const CharacterPattern& pattern, std::string_view text)
        : pattern_(pattern), text_(text) {}
    bool next() {
      while (at_ < text_.size()) {
        begin = at_;
        const bool matches = pattern_.matches(next_code_point(text_, at_));
        end = at_;
        if (matches) return true;
      }
      return false;
    }
    size_t begin = 0, end = 0;

   private:
    const CharacterPattern& pattern_;
    std::string_view text_;
    size_t at_ = 0;
  };

 private:
  bool matches(char32_t c) const { return c < 128 ? ascii_[c] : is_(c); }
  bool (*is_)(char32_t);
  std::array<bool, 128> ascii_{};
};

/// Splits where a pattern matches.
template <class Pattern>
class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(const Piece& text, const PieceSink& sink) const override {
    const auto emit = [&](size_t begin, size_t end) {
      if (begin < end) sink(text.part(begin, end));
    };
    const bool keep_gaps = behavior_ != Behavior::removed || !invert_;
    const bool keep_matches = behavior_ != Behavior::removed || invert_;
    size_t done = 0;
    typename Pattern::Matcher match(pattern_, text.text);
    if (behavior_ == Behavior::isolated || behavior_ == Behavior::removed) {
      for (; match.next(); done = match.end) {
        if (keep_gaps) emit(done, match.begin);
        if (keep_matches) emit(match.begin, match.end);
      }
      if (keep_gaps) emit(done, text.text.size());
      return;
    }
    std::vector<Span> spans;
    for (; match.next(); done = match.end) {
      if (done != match.begin) spans.push_back({done, match.begin, invert_});
      spans.push_back({match.begin, match.end, !invert_});
    }
    if (done != text.text.size()) spans.push_back({done, text.text.size(), invert_});
    join(spans, behavior_);
    for (const Span& span : spans) emit(span.begin, span.end);
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

bool is_punctuation_or_symbol(char32_t c) {
  if (c >= 128) return was_punctuation(c);
  return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') ||
         (c > 'z' && c < 0x7F);
}

/// BERT's words: white space goes, each punctuation mark is a word.
class BertWords final : public PreTokenizer {
 public:
  BertWords() {
    for (char32_t c = 0; c < 128; ++c) ascii_[c] = kind_of(c);
  }
  void split(const Piece& text, const PieceSink& sink) const override {
    size_t begin = 0;
    for (size_t i = 0; i < text.text.size();) {
      const size_t at = i;
      const char32_t c = next_code_point(text.text, i);
      const Kind kind = c < 128 ? ascii_[c] : kind_of(c);
      if (kind == Kind::word) continue;
      if (begin < at) sink(text.part(begin, at));
      if (kind == Kind::mark) sink(text.part(at, i));
      begin = i;
    }
    if (begin < text.text.size()) sink(text.part(begin, text.text.size()));
  }

 private:
  enum class Kind : uint8_t { word, mark, space };
  static Kind kind_of(char32_t c) {
    if (is_space(c)) return Kind::space;
    return is_punctuation_or_symbol(c) ? Kind::mark : Kind::word;
  }
  std::array<Kind, 128> ascii_{};
};

/// Pieces of so many characters.
class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void split(const Piece& text, const PieceSink& sink) const override {
    for (size_t i = 0; i < text.text.size();) {
      const size_t begin = i;
      for (size_t n = 0; n < length_ && i < text.text.size(); ++n) next_code_point(text.text, i);
      sink(text.part(begin, i));
    }
  }

 private:
  size_t length_;
};

/// ByteLevel's add_prefix_space.
class PrefixSpace final : public PreTokenizer {
 public:
  void split(const Piece& text, const PieceSink& sink) const override {
    if (text.text.starts_with(' ')) return sink(text);
    AlignedText longer(text);
    prepend(longer, " ", text.text.size() + 1);
    sink(longer.piece());
  }
};

/// ByteLevel's rewriting of bytes as printable characters.
class ByteAlphabet final : public PreTokenizer {
 public:
  void split(const Piece& text, const PieceSink& sink) const override {
    AlignedText rewritten(text);
    byte_level(rewritten, text.text.size() * 2);
    sink(rewritten.piece());
  }
};

/// Spaces become a visible character, which also starts every word.
class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { always, first, never };
  Metaspace(std::string mark, Prepend prepend, bool split)
      : mark_(std::move(mark)), prepend_(prepend), split_(split) {}

  void split(const Piece& text, const PieceSink& sink) const override {
    const size_t limit = text.text.size() * mark_.size() + mark_.size();
    AlignedText marked(text);
    replace_all(marked, " ", mark_, limit);
    const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && text.first);
    if (wanted && !marked.text().starts_with(mark_)) prepend(marked, mark_, limit);
    const Piece all = marked.piece();
    if (!split_) return sink(all);
    for (size_t begin = 0; begin < all.text.size();) {
      size_t end = all.text.find(mark_, begin + 1);
      if (end == all.text.npos) end = all.text.size();
      sink(all.part(begin, end));
      begin = end;
    }
  }

 private:
  std::string mark_;
  Prepend prepend_;
  bool split_;
};

template <class Pattern>
void add_split(PreTokenizerChain& chain, Pattern pattern, Behavior behavior, bool invert = false) {
  chain.steps.push_back(std::make_shared<Split<Pattern>>(std::move(pattern), behavior, invert));
  chain.ends_in_byte_level = false;
}

void add_byte_alphabet(PreTokenizerChain& chain) {
  chain.steps.push_back(std::make_shared<ByteAlphabet>());
  chain.ends_in_byte_level = true;
}

void byte_level(const Json& json, PreTokenizerChain& chain) {
  if (boolean_or(json, "add_prefix_space", true)) {
    chain.steps.push_back(std::make_shared<PrefixSpace>());
  }
  if (boolean_or(json, "use_regex", true)) add_split(chain, Regex(kGpt2), Behavior::isolated);
  add_byte_alphabet(chain);
}

void split(const Json& json, PreTokenizerChain& chain) {
  const Pattern pattern = read_pattern(json.at("pattern"));
  const Behavior behavior = behavior_from(json.at("behavior").string());
  const bool invert = boolean_or(json, "invert", false);
  if (!pattern.regex && pattern.text.empty()) return;
  add_split(chain, pattern.regex ? Regex(pattern.text) : Regex::literal(pattern.text), behavior,
            invert);
}

void digits(const Json& json, PreTokenizerChain& chain) {
  const bool individual = boolean_or(json, "individual_digits", false);
  add_split(chain, CharacterPattern(is_numeric),
            individual ? Behavior::isolated : Behavior::contiguous);
}

void punctuation(const Json& json, PreTokenizerChain& chain) {
  add_split(chain, CharacterPattern(is_punctuation_or_symbol),
            behavior_from(string_or(json, "behavior", "Isolated")));
}

void whitespace(const Json&, PreTokenizerChain& chain) {
  // Rust's \w and \W: not quite Oniguruma's, which the other patterns mean.
  add_split(chain,
            Regex(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)"
                  R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+)"),
            Behavior::removed, /*invert=*/true);
}

void whitespace_split(const Json&, PreTokenizerChain& chain) {
  add_split(chain, CharacterPattern(is_space), Behavior::removed);
}

void bert(const Json&, PreTokenizerChain& chain) {
  chain.steps.push_back(std::make_shared<BertWords>());
}

void fixed_length(const Json& json, PreTokenizerChain& chain) {
  const Json* length = json.find("length");
  const int64_t n = length ? length->integer() : 5;
  if (n <= 0) fail("pre_tokenizer: FixedLength has a length of ", n);
  chain.steps.push_back(std::make_shared<FixedLength>(static_cast<size_t>(n)));
}

void char_delimiter(const Json& json, PreTokenizerChain& chain) {
  const std::string& delimiter = json.at("delimiter").string();
  if (delimiter.empty()) fail("pre_tokenizer: CharDelimiterSplit has no delimiter");
  add_split(chain, Regex::literal(delimiter), Behavior::removed);
}

/// Runs of one script. Spaces and characters without a script go with what stands before them;
/// those that open the text are dropped, as in `tokenizers`.
void unicode_scripts(const Json&, PreTokenizerChain& chain) {
  std::string pattern;
  const auto add = [&](std::string_view letter) {
    pattern += str(pattern.empty() ? "" : "|", letter, "(?:", letter, R"(|[ \p{sc:Unknown}])*)");
  };
  add(R"([\p{sc:Han}\p{sc:Hiragana}\p{sc:Katakana}\x{30FC}])");
  add(R"((?![ \x{30FC}])\p{sc:Common})");
  for_each_name(kScripts, [&](std::string_view name) { add(str("\\p{sc:", name, "}")); });
  add_split(chain, Regex(pattern), Behavior::removed, /*invert=*/true);
}

void metaspace(const Json& json, PreTokenizerChain& chain) {
  std::string mark = string_or(json, "replacement", "\xE2\x96\x81");
  if (count_code_points(mark) != 1) fail("pre_tokenizer: Metaspace replaces by one character");
  const std::string scheme = string_or(json, "prepend_scheme", "always");
  auto prepend = Metaspace::Prepend::always;
  if (scheme == "first") prepend = Metaspace::Prepend::first;
  if (scheme == "never" || !boolean_or(json, "add_prefix_space", true)) {
    prepend = Metaspace::Prepend::never;
  }
  chain.steps.push_back(
      std::make_shared<Metaspace>(std::move(mark), prepend, boolean_or(json, "split", true)));
}

struct Row {
  std::string_view type;
  void (*add)(const Json&, PreTokenizerChain&);
};
constexpr Row kPreTokenizers[] = {
    {"ByteLevel", byte_level},
    {"Split", split},
    {"Digits", digits},
    {"Punctuation", punctuation},
    {"Whitespace", whitespace},
    {"WhitespaceSplit", whitespace_split},
    {"Metaspace", metaspace},
    {"CharDelimiterSplit", char_delimiter},
    {"BertPreTokenizer", bert},
    {"UnicodeScripts", unicode_scripts},
    {"FixedLength", fixed_length},
};

void append(const Json& json, PreTokenizerChain& chain) {
  const std::string& type = type_of(json, "pre_tokenizer");
  if (type == "Sequence") {
    for (const Json& part : json.at("pretokenizers").items()) append(part, chain);
    return;
  }
  for (const Row& row : kPreTokenizers) {
    if (row.type != type) continue;
    chain.ends_in_byte_level = false;
    return row.add(json, chain);
  }
  fail("pre_tokenizer: the type ", type, " is not supported");
}

void run_from(const PreTokenizerChain& chain, size_t step, const Piece& text,
              const PieceSink& sink) {
  if (text.text.empty()) return;
  if (step == chain.steps.size()) return sink(text);
  chain.steps[step]->split(text,
                           [&](const Piece& piece) { run_from(chain, step + 1, piece, sink); });
}

}  // namespace

void PreTokenizerChain::run(const Piece& text, const PieceSink& sink) const {
  run_from(*this, 0, text, sink);
}

PreTokenizerChain make_pre_tokenizer(const Json& json) {
  PreTokenizerChain chain;
  if (!json.is_null()) append(json, chain);
  return chain;
}

}  // namespace tallow::text
