// The pre-tokenizers of tokenizer.json, and those that GGUF names.
#include <vector>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

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

/// Splits where a pattern matches.
class Split final : public PreTokenizer {
 public:
  Split(Regex pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, bool first, const PieceSink& sink) const override {
    const auto emit = [&](size_t begin, size_t end) {
      if (begin < end) sink(text.substr(begin, end - begin), first && begin == 0);
    };
    const bool keep_gaps = behavior_ != Behavior::removed || !invert_;
    const bool keep_matches = behavior_ != Behavior::removed || invert_;
    size_t done = 0;
    Regex::Matcher match(pattern_, text);
    if (behavior_ == Behavior::isolated || behavior_ == Behavior::removed) {
      for (; match.next(); done = match.end) {
        if (keep_gaps) emit(done, match.begin);
        if (keep_matches) emit(match.begin, match.end);
      }
      if (keep_gaps) emit(done, text.size());
      return;
    }
    std::vector<Span> spans;
    for (; match.next(); done = match.end) {
      if (done != match.begin) spans.push_back({done, match.begin, invert_});
      spans.push_back({match.begin, match.end, !invert_});
    }
    if (done != text.size()) spans.push_back({done, text.size(), invert_});
    join(spans, behavior_);
    for (const Span& span : spans) emit(span.begin, span.end);
  }

 private:
  Regex pattern_;
  Behavior behavior_;
  bool invert_;
};

/// ByteLevel's add_prefix_space.
class PrefixSpace final : public PreTokenizer {
 public:
  void split(std::string_view text, bool first, const PieceSink& sink) const override {
    if (text.starts_with(' ')) return sink(text, first);
    std::string longer;
    longer.reserve(text.size() + 1);
    longer += ' ';
    longer += text;
    sink(longer, first);
  }
};

/// ByteLevel's rewriting of bytes as printable characters.
class ByteAlphabet final : public PreTokenizer {
 public:
  void split(std::string_view text, bool first, const PieceSink& sink) const override {
    std::string rewritten;
    append_byte_level(rewritten, text);
    sink(rewritten, first);
  }
};

/// Spaces become a visible character, which also starts every word.
class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { always, first, never };
  Metaspace(std::string mark, Prepend prepend, bool split)
      : mark_(std::move(mark)), prepend_(prepend), split_(split) {}

  void split(std::string_view text, bool first, const PieceSink& sink) const override {
    std::string marked;
    marked.reserve(text.size() + text.size() / 4 + mark_.size());
    const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && first);
    if (wanted && !text.starts_with(' ') && !text.starts_with(mark_)) marked += mark_;
    for (const char c : text) {
      if (c == ' ') {
        marked += mark_;
      } else {
        marked += c;
      }
    }
    if (!split_) return sink(marked, first);
    for (size_t begin = 0; begin < marked.size();) {
      size_t end = marked.find(mark_, begin + 1);
      if (end == marked.npos) end = marked.size();
      sink(std::string_view(marked).substr(begin, end - begin), first && begin == 0);
      begin = end;
    }
  }

 private:
  std::string mark_;
  Prepend prepend_;
  bool split_;
};

void add_split(PreTokenizerChain& chain, std::string_view pattern,
               Behavior behavior = Behavior::isolated, bool invert = false) {
  chain.steps.push_back(std::make_unique<Split>(Regex(pattern), behavior, invert));
  chain.ends_in_byte_level = false;
}

void add_byte_alphabet(PreTokenizerChain& chain) {
  chain.steps.push_back(std::make_unique<ByteAlphabet>());
  chain.ends_in_byte_level = true;
}

void byte_level(const Json& json, PreTokenizerChain& chain) {
  if (boolean_or(json, "add_prefix_space", true)) {
    chain.steps.push_back(std::make_unique<PrefixSpace>());
  }
  if (boolean_or(json, "use_regex", true)) add_split(chain, kGpt2);
  add_byte_alphabet(chain);
}

void split(const Json& json, PreTokenizerChain& chain) {
  const Pattern pattern = read_pattern(json.at("pattern"));
  const Behavior behavior = behavior_from(json.at("behavior").string());
  const bool invert = boolean_or(json, "invert", false);
  if (!pattern.regex && pattern.text.empty()) return;
  Regex regex = pattern.regex ? Regex(pattern.text) : Regex::literal(pattern.text);
  chain.steps.push_back(std::make_unique<Split>(std::move(regex), behavior, invert));
}

void digits(const Json& json, PreTokenizerChain& chain) {
  const bool individual = boolean_or(json, "individual_digits", false);
  add_split(chain, R"(\p{N})", individual ? Behavior::isolated : Behavior::contiguous);
}

void punctuation(const Json& json, PreTokenizerChain& chain) {
  add_split(chain, R"([!-/:-@\[-`{-~\p{P}])",
            behavior_from(string_or(json, "behavior", "Isolated")));
}

void whitespace(const Json&, PreTokenizerChain& chain) {
  // Rust's \w and \W: not quite Oniguruma's, which the other patterns mean.
  add_split(chain,
            R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)"
            R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+)",
            Behavior::removed, true);
}

void whitespace_split(const Json&, PreTokenizerChain& chain) {
  add_split(chain, R"(\s)", Behavior::removed);
}

void char_delimiter(const Json& json, PreTokenizerChain& chain) {
  chain.steps.push_back(std::make_unique<Split>(Regex::literal(json.at("delimiter").string()),
                                                Behavior::removed, false));
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
      std::make_unique<Metaspace>(std::move(mark), prepend, boolean_or(json, "split", true)));
}

struct Row {
  std::string_view type;
  void (*add)(const Json&, PreTokenizerChain&);
};
constexpr Row kPreTokenizers[] = {
    {"ByteLevel", byte_level},  {"Split", split},
    {"Digits", digits},         {"Punctuation", punctuation},
    {"Whitespace", whitespace}, {"WhitespaceSplit", whitespace_split},
    {"Metaspace", metaspace},   {"CharDelimiterSplit", char_delimiter},
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

void run_from(const PreTokenizerChain& chain, size_t step, std::string_view text, bool first,
              const PieceSink& sink) {
  if (text.empty()) return;
  if (step == chain.steps.size()) return sink(text, first);
  chain.steps[step]->split(text, first, [&](std::string_view piece, bool piece_first) {
    run_from(chain, step + 1, piece, piece_first, sink);
  });
}

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3Han = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kCoderHan = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
constexpr std::string_view kDefaultPunctuation = R"([\p{P}\$\+<=>\^~\|]+)";
constexpr std::string_view kFalconPunctuation = R"([\p{P}\$\+<=>\^~\|`]+)";

/// What a GGUF pre-tokenizer name stands for: the patterns that isolate pieces, in order.
struct GgufRow {
  std::string_view names;  // separated by spaces
  std::string_view patterns[5];
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};
constexpr GgufRow kGguf[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     {kLlama3},
     false,
     true,
     true},
    {"dbrx smaug-bpe chatglm-bpe glm4", {kLlama3}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {kDigit, kGpt2}},
    {"gpt-2 phi-2 mpt olmo jais mellum modern-bert exaone4 trillion gigachat a.x-4.0 "
     "granite-docling jina-es jina-de jina-v2-es jina-v2-de",
     {kGpt2}},
    {"qwen2 deepseek-r1-qwen megrez", {kQwen2}, true},
    {"stablelm2 hunyuan grok-2 solar-open", {kQwen2}},
    {"tekken", {kTekken}, false, true, true},
    {"gpt-4o llama4 kanana2 minimax-m2", {kGpt4o}},
    {"deepseek-v3 hunyuan-dense", {kThreeDigits, kDeepseek3Han, kDeepseek3}},
    {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCoderHan, kDigit}},
    {"falcon", {kFalconPunctuation, kGpt2, "[0-9][0-9][0-9]"}},
    {"default", {kDefaultPunctuation, kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
};

bool lists(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const size_t space = names.find(' ');
    if (names.substr(0, space) == name) return true;
    if (space == names.npos) break;
    names.remove_prefix(space + 1);
  }
  return false;
}

}  // namespace

void PreTokenizerChain::run(std::string_view text, bool first, const PieceSink& sink) const {
  run_from(*this, 0, text, first, sink);
}

PreTokenizerChain make_pre_tokenizer(const Json& json) {
  PreTokenizerChain chain;
  if (!json.is_null()) append(json, chain);
  return chain;
}

GgufPreTokenizer gguf_pre_tokenizer(std::string_view pre) {
  const std::string_view name = pre.empty() ? "default" : pre;
  for (const GgufRow& row : kGguf) {
    if (!lists(row.names, name)) continue;
    GgufPreTokenizer result{{}, row.nfc, row.ignore_merges, row.add_bos};
    for (const std::string_view pattern : row.patterns) {
      if (!pattern.empty()) add_split(result.chain, pattern);
    }
    add_byte_alphabet(result.chain);
    return result;
  }
  std::string known;
  for (const GgufRow& row : kGguf) known += str(known.empty() ? "" : " ", row.names);
  fail("tokenizer.ggml.pre: the pre-tokenizer ", name, " is not known; known are ", known);
}

}  // namespace tallow::text
