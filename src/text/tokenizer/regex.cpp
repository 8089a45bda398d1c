// PCRE2 behind Regex: the dialect's differences, just-in-time code where it can be had, and limits.
#include "text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/utf8.h"
#include "tallow/error.h"

namespace tallow::text {
namespace {

constexpr size_t kMaxPattern = 1 << 16;
// A match may take this many steps; a pattern that needs more backtracks without end.
constexpr size_t kSteps = 200'000;
constexpr size_t kStepsPerByte = 16;
constexpr size_t kShortText = 16384;
constexpr uint32_t kHeapLimitKb = 64 * 1024;

// Oniguruma counts these superscripts and fractions as word characters.
#define TALLOW_WORD R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})"

/// What differs between the dialects, in a form that means the same in both.
struct Spelling {
  std::string_view theirs;
  std::string_view ours;            // outside of brackets
  std::string_view ours_bracketed;  // inside of brackets; empty: not supported there
};
constexpr Spelling kSpellings[] = {
    {R"(\s)", R"(\p{White_Space})", R"(\p{White_Space})"},
    {R"(\S)", R"(\P{White_Space})", R"(\P{White_Space})"},
    {R"(\w)", "[" TALLOW_WORD "]", TALLOW_WORD},
    {R"(\W)", "[^" TALLOW_WORD "]", ""},
    {R"(\h)", "[0-9A-Fa-f]", "0-9A-Fa-f"},
    {R"(\H)", "[^0-9A-Fa-f]", ""},
    {"[:alpha:]", "", R"(\p{Alphabetic})"},
    {"[:alnum:]", "", R"(\p{Alphabetic}\p{Nd})"},
    {"[:punct:]", "", R"(\p{P}\p{S})"},
    {"[:space:]", "", R"(\p{White_Space})"},
    {"[:word:]", "", TALLOW_WORD},
};

// PCRE2 reads a bare script name as "used in that script" too; Oniguruma as "of that script".
constexpr std::string_view kScripts[] = {
    "Han",        "Hiragana", "Katakana", "Hangul",   "Latin",    "Greek",     "Cyrillic",
    "Arabic",     "Hebrew",   "Thai",     "Lao",      "Khmer",    "Myanmar",   "Tibetan",
    "Devanagari", "Bengali",  "Tamil",    "Telugu",   "Kannada",  "Malayalam", "Gujarati",
    "Gurmukhi",   "Sinhala",  "Bopomofo", "Armenian", "Georgian", "Ethiopic",  "Mongolian",
};

std::string shown(std::string_view pattern) {
  return pattern.size() <= 80 ? std::string(pattern) : str(pattern.substr(0, 77), "...");
}

/// Appends our spelling of what `rest` begins with, and returns how much of it that was (0: none).
size_t respell(std::string_view rest, bool in_brackets, std::string& out) {
  for (const Spelling& spelling : kSpellings) {
    if (!rest.starts_with(spelling.theirs)) continue;
    const std::string_view ours = in_brackets ? spelling.ours_bracketed : spelling.ours;
    if (ours.empty()) return 0;
    out += ours;
    return spelling.theirs.size();
  }
  for (const std::string_view script : kScripts) {
    const size_t name = rest.starts_with("\\p{^") ? 4 : 3;
    if (!rest.starts_with("\\p{") && !rest.starts_with("\\P{")) break;
    if (!rest.substr(name).starts_with(script) || rest.substr(name + script.size(), 1) != "}") {
      continue;
    }
    out += str(rest.substr(0, name), "sc:", script, "}");
    return name + script.size() + 1;
  }
  return 0;
}

/// Oniguruma's pattern as PCRE2 reads it.
std::string translate(std::string_view pattern) {
  std::string out;
  bool in_brackets = false;
  for (size_t i = 0; i < pattern.size();) {
    const std::string_view rest = pattern.substr(i);
    if (const size_t taken = respell(rest, in_brackets, out)) {
      i += taken;
      continue;
    }
    if (in_brackets && (rest.starts_with("&&") || (rest.starts_with('[') && rest[1] != ':'))) {
      fail("tokenizer: the pattern ", shown(pattern), " has a class inside a class; not supported");
    }
    size_t taken = rest[0] == '\\' ? 2 : 1;
    if (rest[0] == ']') in_brackets = false;
    if (rest[0] == '[' && !in_brackets) {
      in_brackets = true;
      if (rest.substr(taken).starts_with('^')) ++taken;
      if (rest.substr(taken).starts_with(']')) ++taken;  // the first one stands for itself
    }
    out += rest.substr(0, taken);
    i += taken;
  }
  return out;
}

#undef TALLOW_WORD

std::string message_of(int code) {
  PCRE2_UCHAR text[160];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;  // those for short texts
  bool jit = false;
  ~Code() {
    pcre2_code_free(code);
    pcre2_match_context_free(limits);
  }
  static pcre2_match_context* limits_for(size_t text) {
    pcre2_match_context* limits = pcre2_match_context_create(nullptr);
    if (!limits) fail("tokenizer: out of memory");
    const size_t steps = kSteps + kStepsPerByte * text;
    pcre2_set_match_limit(limits, static_cast<uint32_t>(std::min<size_t>(steps, UINT32_MAX)));
    pcre2_set_heap_limit(limits, kHeapLimitKb);
    return limits;
  }
};

Regex::Regex(std::string_view pattern) : code_(std::make_unique<Code>()), pattern_(pattern) {
  if (pattern.size() > kMaxPattern) {
    fail("tokenizer: a pattern of ", pattern.size(), " bytes; the limit is ", kMaxPattern);
  }
  const std::string ours = translate(pattern);
  const std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> options(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(options.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(options.get(), 100);
  int error = 0;
  size_t offset = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(ours.data()), ours.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                              &error, &offset, options.get());
  if (!code_->code) {
    fail("tokenizer: the pattern ", shown(pattern), " is malformed: ", message_of(error));
  }
  code_->jit = pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE) == 0;
  code_->limits = Code::limits_for(kShortText);
}

Regex Regex::literal(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (std::strchr("\\^$.|?*+()[]{}#-&~", c) && c != 0) quoted += '\\';
    if (c == 0) {
      quoted += "\\x00";
    } else {
      quoted += c;
    }
  }
  return Regex(quoted);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

struct Regex::Matcher::Run {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* limits = nullptr;  // null: the pattern's own
  ~Run() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
  }
};

Regex::Matcher::Matcher(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), run_(std::make_unique<Run>()) {
  if (!run_->data) fail("tokenizer: out of memory");
  if (text.size() > kShortText) run_->limits = Code::limits_for(text.size());
}

Regex::Matcher::~Matcher() = default;

int Regex::Matcher::match(size_t from, unsigned options) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  pcre2_match_data* data = run_->data;
  const Code& code = *regex_.code_;
  pcre2_match_context* limits = run_->limits ? run_->limits : code.limits;
  int result = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code.jit) {
    result = pcre2_jit_match(code.code, subject, text_.size(), from, options, data, limits);
  }
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    result = pcre2_match(code.code, subject, text_.size(), from,
                         options | PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, limits);
  }
  return result;
}

bool Regex::Matcher::next() {
  while (from_ <= text_.size()) {
    const int result = match(from_, 0);
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      fail("tokenizer: the pattern ", shown(regex_.pattern_), " failed on a text of ", text_.size(),
           " bytes: ", message_of(result));
    }
    const size_t* span = pcre2_get_ovector_pointer(run_->data);
    const bool repeated = span[0] == span[1] && matched_ && span[1] == end;
    const size_t was = from_;
    begin = span[0];
    end = span[1];
    from_ = end;
    if (begin == end || end < was) {  // an empty match, or \K: move on by one character
      from_ = begin < was ? was : end;
      if (from_ < text_.size()) {
        next_code_point(text_, from_);
      } else {
        ++from_;
      }
    }
    if (repeated) continue;  // empty, and right where the last match ended
    matched_ = true;
    return true;
  }
  return false;
}

}  // namespace tallow::text
