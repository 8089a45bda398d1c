// The search for added tokens.
#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "core/utf8.h"
#include "tallow/error.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

constexpr size_t kLongest = 1024;  // a search costs at most this much per byte of text

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t i = text.size() - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
  return is_word(next_code_point(text, i));
}

bool starts_with_word(std::string_view text) {
  size_t i = 0;
  return !text.empty() && is_word(next_code_point(text, i));
}

/// Where the white space at the end of `text` begins, not before `limit`.
size_t trailing_space(std::string_view text, size_t limit) {
  size_t begin = text.size();
  while (begin > limit) {
    size_t i = begin - 1;
    while (i > limit && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
    size_t next = i;
    if (!is_space(next_code_point(text, next))) break;
    begin = i;
  }
  return begin;
}

size_t leading_space(std::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < text.size() && is_space(next_code_point(text, i));) end = i;
  return end;
}

}  // namespace

AddedToken read_added_token(const Json& json) {
  AddedToken token;
  token.content = json.at("content").string();
  token.single_word = boolean_or(json, "single_word", false);
  token.lstrip = boolean_or(json, "lstrip", false);
  token.rstrip = boolean_or(json, "rstrip", false);
  token.special = boolean_or(json, "special", false);
  token.normalized = boolean_or(json, "normalized", !token.special);
  return token;
}

Json written_added_token(const AddedToken& token) {
  return Json::Object{{"id", int64_t{token.id}},          {"content", token.content},
                      {"single_word", token.single_word}, {"lstrip", token.lstrip},
                      {"rstrip", token.rstrip},           {"normalized", token.normalized},
                      {"special", token.special}};
}

void AddedTokens::build(std::vector<AddedToken> tokens, const NormalizerChain& normalizer,
                        bool searched) {
  tokens_ = std::move(tokens);
  normalized_texts_.assign(tokens_.size(), {});
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].content.size() > kLongest) {
      fail("added_tokens: the token of id ", tokens_[i].id, " has ", tokens_[i].content.size(),
           " bytes; the limit is ", kLongest);
    }
    by_id_[tokens_[i].id] = i;
    by_content_[tokens_[i].content] = i;
  }
  std::vector<Trie::Entry> raw, normalized;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!searched || by_id_[token.id] != i || token.content.empty()) continue;
    if (!token.normalized) {
      raw.push_back({token.content, static_cast<uint32_t>(i)});
      continue;
    }
    std::string& text = normalized_texts_[i];
    text = text::normalize(normalizer, token.content);
    if (!text.empty()) normalized.push_back({text, static_cast<uint32_t>(i)});
  }
  raw_.build(std::move(raw));
  normalized_.build(std::move(normalized));
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

std::string_view AddedTokens::decoded_text(const AddedToken& token) const {
  const std::string& normalized = normalized_texts_[static_cast<size_t>(&token - tokens_.data())];
  return normalized.empty() ? token.content : normalized;
}

void AddedTokens::split(std::string_view text, bool in_normalized, bool skip_special,
                        const FunctionRef<void(size_t, size_t)>& on_text,
                        const FunctionRef<void(int32_t, size_t, size_t)>& on_token) const {
  const Trie& trie = in_normalized ? normalized_ : raw_;
  const auto emit = [&](size_t begin, size_t end) {
    if (begin < end) on_text(begin, end);
  };
  size_t done = 0;
  size_t begin = 0, end = 0;
  uint32_t value = 0;
  for (size_t from = 0; trie.find(text, from, begin, end, value); from = end) {
    const AddedToken& token = tokens_[value];
    if (skip_special && token.special) continue;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    size_t stop = end;
    if (token.lstrip) begin = trailing_space(text.substr(0, begin), std::min(done, begin));
    if (token.rstrip) stop += leading_space(text.substr(end));
    emit(done, begin);
    on_token(token.id, begin, stop);  // may overlap the spaces that the token before took
    done = stop;
  }
  emit(done, text.size());
}

}  // namespace tallow::text
