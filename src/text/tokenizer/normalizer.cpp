// The normalizers of tokenizer.json.
#include <array>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

class Unicode final : public Normalizer {
 public:
  explicit Unicode(NormalForm form) : form_(form) {}
  void apply(std::string& text, size_t) const override { normalize(text, form_); }

 private:
  NormalForm form_;
};

/// A normalizer without options.
class Plain final : public Normalizer {
 public:
  explicit Plain(void (*rewrite)(std::string&)) : rewrite_(rewrite) {}
  void apply(std::string& text, size_t) const override { rewrite_(text); }

 private:
  void (*rewrite_)(std::string&);
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text, size_t) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

void check_growth(const std::string& text, size_t limit) {
  if (text.size() > limit) {
    fail("normalizer: a text grows past ", limit, " bytes, 64 times what it was");
  }
}

void replace_all(std::string& text, std::string_view from, std::string_view to, size_t limit) {
  size_t at = text.find(from);
  if (at == text.npos) return;
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  size_t done = 0;
  for (; at != text.npos; at = text.find(from, done)) {
    out.append(text, done, at - done);
    out += to;
    check_growth(out, limit);
    done = at + from.size();
  }
  out.append(text, done);
  text = std::move(out);
}

class ReplaceText final : public Normalizer {
 public:
  ReplaceText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void apply(std::string& text, size_t limit) const override {
    if (!from_.empty()) replace_all(text, from_, to_, limit);
  }

 private:
  std::string from_, to_;
};

class ReplaceRegex final : public Normalizer {
 public:
  ReplaceRegex(const std::string& from, std::string to) : from_(from), to_(std::move(to)) {}
  void apply(std::string& text, size_t limit) const override {
    std::string out;
    size_t done = 0;
    for (Regex::Matcher match(from_, text); match.next(); done = match.end) {
      out.append(text, done, match.begin - done);
      out += to_;
      check_growth(out, limit);
    }
    out.append(text, done);
    text = std::move(out);
  }

 private:
  Regex from_;
  std::string to_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text, size_t) const override {
    size_t begin = 0;
    for (size_t i = 0; left_ && i < text.size() && is_space(next_code_point(text, i));) begin = i;
    size_t end = begin;
    for (size_t i = begin; i < text.size();) {
      if (!is_space(next_code_point(text, i)) || !right_) end = i;
    }
    text = text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

void to_byte_level(std::string& text) {
  std::string out;
  append_byte_level(out, text);
  text = std::move(out);
}

template <NormalForm form>
std::unique_ptr<Normalizer> unicode(const Json&) {
  return std::make_unique<Unicode>(form);
}

template <void (*rewrite)(std::string&)>
std::unique_ptr<Normalizer> plain(const Json&) {
  return std::make_unique<Plain>(rewrite);
}

std::unique_ptr<Normalizer> prepend(const Json& json) {
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

struct Row {
  std::string_view type;
  std::unique_ptr<Normalizer> (*make)(const Json&);
};
constexpr Row kNormalizers[] = {
    {"NFC", unicode<NormalForm::nfc>},
    {"NFD", unicode<NormalForm::nfd>},
    {"NFKC", unicode<NormalForm::nfkc>},
    {"NFKD", unicode<NormalForm::nfkd>},
    {"Lowercase", plain<lowercase>},
    {"StripAccents", plain<strip_marks>},
    {"ByteLevel", plain<to_byte_level>},
    {"Prepend", prepend},
    {"Replace", replace},
    {"Strip", strip},
};

void append(const Json& json, NormalizerChain& chain) {
  const std::string& type = type_of(json, "normalizer");
  if (type == "Sequence") {
    for (const Json& part : json.at("normalizers").items()) append(part, chain);
    return;
  }
  for (const Row& row : kNormalizers) {
    if (row.type == type) return chain.push_back(row.make(json));
  }
  fail("normalizer: the type ", type, " is not supported");
}

}  // namespace

void normalize(const NormalizerChain& chain, std::string& text) {
  const size_t limit = text.size() * 64 + 4096;
  for (const auto& step : chain) {
    step->apply(text, limit);
    check_growth(text, limit);
  }
}

NormalizerChain make_normalizer(const Json& json) {
  NormalizerChain chain;
  if (!json.is_null()) append(json, chain);
  return chain;
}

}  // namespace tallow::text
