// The decoders of tokenizer.json, as streams: what decode() runs over all ids at once,
// StreamDecoder runs id by id.
#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

/// A stream that needs its tokens whole.
class WholeTokens : public TokenStream {
 public:
  explicit WholeTokens(TokenStream& next) : next_(next) {}
  void text(std::string_view part) final { token_ += part; }
  void end_token() final {
    token(token_);
    token_.clear();
    ++index_;
  }
  void finish() override { next_.finish(); }

 protected:
  virtual void token(std::string_view text) = 0;
  void emit(std::string_view text) {
    next_.text(text);
    next_.end_token();
  }
  TokenStream& next_;
  size_t index_ = 0;

 private:
  std::string token_;
};

/// A decoder whose stream needs nothing but the decoder's options.
template <class Stream, class Options>
class With final : public Decoder {
 public:
  explicit With(Options options) : options_(std::move(options)) {}
  std::unique_ptr<TokenStream> open(TokenStream& next) const override {
    return std::make_unique<Stream>(next, options_);
  }

 private:
  Options options_;
};

struct None {};

/// Bytes of all tokens in a row, as one token of valid UTF-8.
class ByteLevel final : public WholeTokens {
 public:
  ByteLevel(TokenStream& next, const None&) : WholeTokens(next) {}
  void finish() override {
    next_.text(repair_utf8(bytes_));
    bytes_.clear();
    next_.end_token();
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    append_bytes(bytes_, text);
    const size_t whole = bytes_.size() - incomplete_utf8_suffix(bytes_);
    if (whole == 0) return;
    next_.text(repair_utf8(std::string_view(bytes_).substr(0, whole)));
    bytes_.erase(0, whole);
  }
  std::string bytes_;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// The byte that a token such as <0x0A> names, or -1.
int byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int low = hex_digit(token[4]);
  if (token[3] == '+') return low;  // Rust's from_str_radix allows a sign
  const int high = hex_digit(token[3]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/// Runs of byte tokens become text; a run that is not UTF-8 becomes one U+FFFD per byte.
class ByteFallback final : public WholeTokens {
 public:
  ByteFallback(TokenStream& next, const None&) : WholeTokens(next) {}
  void finish() override {
    flush();
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    const int byte = byte_token(text);
    if (byte >= 0) {
      bytes_ += static_cast<char>(byte);
      return;
    }
    flush();
    emit(text);
  }
  void flush() {
    if (bytes_.empty()) return;
    if (valid_utf8_prefix(bytes_) == bytes_.size()) {
      emit(bytes_);
    } else {
      for (size_t i = 0; i < bytes_.size(); ++i) emit("\uFFFD");
    }
    bytes_.clear();
  }
  std::string bytes_;
};

/// All tokens as one.
class Fuse final : public TokenStream {
 public:
  Fuse(TokenStream& next, const None&) : next_(next) {}
  void text(std::string_view part) override { next_.text(part); }
  void end_token() override {}
  void finish() override {
    next_.end_token();
    next_.finish();
  }

 private:
  TokenStream& next_;
};

struct StripOptions {
  std::string content;  // one character
  size_t start, stop;
};

/// Removes up to `start` characters at the front of each token and up to `stop` at its end.
class Strip final : public TokenStream {
 public:
  Strip(TokenStream& next, const StripOptions& options)
      : next_(next), options_(options), left_(options.start) {}
  void text(std::string_view part) override {
    while (left_ > 0 && part.starts_with(options_.content)) {
      part.remove_prefix(options_.content.size());
      --left_;
    }
    if (part.empty()) return;
    left_ = 0;
    if (options_.stop == 0) return next_.text(part);
    held_ += part;
    size_t tail = held_.size();
    for (size_t n = 0; n < options_.stop; ++n) {
      if (!std::string_view(held_).substr(0, tail).ends_with(options_.content)) break;
      tail -= options_.content.size();
    }
    next_.text(std::string_view(held_).substr(0, tail));
    held_.erase(0, tail);
  }
  void end_token() override {
    held_.clear();
    left_ = options_.start;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  const StripOptions options_;
  size_t left_;
  std::string held_;
};

struct MetaspaceOptions {
  std::string mark;
  bool prepended;
};

/// The visible space back to a space; in the first token it vanishes if it was prepended.
class Metaspace final : public WholeTokens {
 public:
  Metaspace(TokenStream& next, const MetaspaceOptions& options)
      : WholeTokens(next), options_(options) {}

 private:
  void token(std::string_view text) override {
    const std::string_view space = index_ == 0 && options_.prepended ? "" : " ";
    std::string out;
    for (size_t at; (at = text.find(options_.mark)) != text.npos;) {
      out += text.substr(0, at);
      out += space;
      text.remove_prefix(at + options_.mark.size());
    }
    out += text;
    emit(out);
  }
  const MetaspaceOptions options_;
};

/// Tokens with a space between them: what `tokenizers` does without a decoder.
class Join final : public TokenStream {
 public:
  Join(TokenStream& next, const None&) : next_(next) {}
  void text(std::string_view part) override {
    if (between_) next_.text(" ");
    between_ = false;
    next_.text(part);
  }
  void end_token() override {
    between_ = true;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  bool between_ = false;
};

struct ReplaceOptions {
  std::shared_ptr<const Regex> pattern;
  std::string content;
};

class Replace final : public WholeTokens {
 public:
  Replace(TokenStream& next, const ReplaceOptions& options)
      : WholeTokens(next), options_(options) {}

 private:
  void token(std::string_view text) override {
    const std::string valid = repair_utf8(text);
    std::string out;
    size_t done = 0;
    for (Regex::Matcher match(*options_.pattern, valid); match.next(); done = match.end) {
      out.append(valid, done, match.begin - done);
      out += options_.content;
      if (out.size() > valid.size() * 4 + 256) fail("decoder: Replace makes a token too long");
    }
    out.append(valid, done);
    emit(out);
  }
  const ReplaceOptions options_;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == text.npos) return;
  std::string out;
  size_t done = 0;
  for (size_t at; (at = text.find(from, done)) != text.npos; done = at + from.size()) {
    out.append(text, done, at - done);
    out += to;
  }
  text = out.append(text, done);
}

/// The English clean-up that WordPiece and CTC do in each token.
void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

struct WordPieceOptions {
  std::string prefix;
  bool cleanup;
};

/// Spaces before tokens that begin a word; the others lose their prefix.
class WordPiece final : public WholeTokens {
 public:
  WordPiece(TokenStream& next, const WordPieceOptions& options)
      : WholeTokens(next), options_(options) {}

 private:
  void token(std::string_view text) override {
    std::string out(text);
    if (index_ > 0) {
      if (text.starts_with(options_.prefix)) {
        out.erase(0, options_.prefix.size());
      } else {
        out.insert(0, " ");
      }
    }
    if (options_.cleanup) clean_up(out);
    emit(out);
  }
  const WordPieceOptions options_;
};

struct SuffixOptions {
  std::string suffix;
};

/// What ends a word becomes a space, but not in the last token, which is why one is held back.
class WordSuffix final : public WholeTokens {
 public:
  WordSuffix(TokenStream& next, const SuffixOptions& options)
      : WholeTokens(next), options_(options) {}
  void finish() override {
    flush("");
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    flush(" ");
    held_ = text;
    holds_ = true;
  }
  void flush(std::string_view space) {
    if (!holds_) return;
    replace_all(held_, options_.suffix, space);
    emit(held_);
    holds_ = false;
  }
  const SuffixOptions options_;
  std::string held_;
  bool holds_ = false;
};

struct CtcOptions {
  std::string pad, delimiter;
  bool cleanup;
};

/// Repeated tokens are one; padding goes; the delimiter is a space.
class Ctc final : public WholeTokens {
 public:
  Ctc(TokenStream& next, const CtcOptions& options) : WholeTokens(next), options_(options) {}

 private:
  void token(std::string_view text) override {
    if (index_ > 0 && text == last_) return;
    last_ = text;
    std::string out(text);
    replace_all(out, options_.pad, "");
    if (options_.cleanup) {
      clean_up(out);
      replace_all(out, options_.delimiter, " ");
    }
    if (!out.empty()) emit(out);
  }
  const CtcOptions options_;
  std::string last_;
};

template <class Stream>
std::unique_ptr<Decoder> plain(const Json&) {
  return std::make_unique<With<Stream, None>>(None{});
}

std::unique_ptr<Decoder> word_piece(const Json& json) {
  return std::make_unique<With<WordPiece, WordPieceOptions>>(
      WordPieceOptions{string_or(json, "prefix", "##"), boolean_or(json, "cleanup", true)});
}

std::unique_ptr<Decoder> word_suffix(const Json& json) {
  return std::make_unique<With<WordSuffix, SuffixOptions>>(
      SuffixOptions{string_or(json, "suffix", "</w>")});
}

std::unique_ptr<Decoder> ctc(const Json& json) {
  return std::make_unique<With<Ctc, CtcOptions>>(
      CtcOptions{string_or(json, "pad_token", "<pad>"),
                 string_or(json, "word_delimiter_token", "|"), boolean_or(json, "cleanup", true)});
}

std::unique_ptr<Decoder> strip(const Json& json) {
  const int64_t start = json.at("start").integer();
  const int64_t stop = json.at("stop").integer();
  std::string content = json.at("content").string();
  if (count_code_points(content) != 1 || start < 0 || stop < 0) {
    fail("decoder: Strip takes one character and counts from 0");
  }
  return std::make_unique<With<Strip, StripOptions>>(
      StripOptions{std::move(content), static_cast<size_t>(start), static_cast<size_t>(stop)});
}

std::unique_ptr<Decoder> metaspace(const Json& json) {
  std::string mark = string_or(json, "replacement", "\xE2\x96\x81");
  if (mark.empty()) fail("decoder: Metaspace has an empty replacement");
  const bool prepended = string_or(json, "prepend_scheme", "always") != "never" &&
                         boolean_or(json, "add_prefix_space", true);
  return std::make_unique<With<Metaspace, MetaspaceOptions>>(
      MetaspaceOptions{std::move(mark), prepended});
}

// A row of replacements that each lengthen the text could make a token as long as it likes.
constexpr size_t kLongestContent = 64;
constexpr size_t kMostDecoders = 6;

std::unique_ptr<Decoder> replace(const Json& json) {
  const Pattern pattern = read_pattern(json.at("pattern"));
  if (json.at("content").string().size() > kLongestContent) {
    fail("decoder: Replace puts in more than ", kLongestContent, " bytes");
  }
  auto regex = std::make_shared<const Regex>(pattern.regex ? Regex(pattern.text)
                                                           : Regex::literal(pattern.text));
  return std::make_unique<With<Replace, ReplaceOptions>>(
      ReplaceOptions{std::move(regex), json.at("content").string()});
}

struct Row {
  std::string_view type;
  std::unique_ptr<Decoder> (*make)(const Json&);
};
constexpr Row kDecoders[] = {
    {"ByteLevel", plain<ByteLevel>},
    {"ByteFallback", plain<ByteFallback>},
    {"Fuse", plain<Fuse>},
    {"Strip", strip},
    {"Metaspace", metaspace},
    {"Replace", replace},
    {"WordPiece", word_piece},
    {"BPEDecoder", word_suffix},
    {"CTC", ctc},
};

void append(const Json& json, DecoderChain& chain) {
  const std::string& type = type_of(json, "decoder");
  if (type == "Sequence") {
    for (const Json& part : json.at("decoders").items()) append(part, chain);
    return;
  }
  if (chain.size() == kMostDecoders) fail("decoder: more than ", kMostDecoders, " in a row");
  for (const Row& row : kDecoders) {
    if (row.type == type) return chain.push_back(row.make(json));
  }
  fail("decoder: the type ", type, " is not supported");
}

}  // namespace

DecoderChain make_decoder(const Json& json) {
  DecoderChain chain;
  if (json.is_null()) {
    chain.push_back(std::make_unique<With<Join, None>>(None{}));
  } else {
    append(json, chain);
  }
  return chain;
}

}  // namespace tallow::text
