// The token table.
#include "text/tokenizer/vocabulary.h"

#include <bit>

#include "tallow/error.h"
#include "tallow/json.h"

namespace tallow::text {

Vocabulary::Vocabulary(std::span<const std::string_view> tokens) {
  size_t bytes = 0;
  for (const std::string_view token : tokens) bytes += token.size();
  if (bytes > INT32_MAX || tokens.size() > INT32_MAX / 4) {
    fail("tokenizer: a vocabulary of ", tokens.size(), " tokens and ", bytes,
         " bytes; the limit is 2 GiB");
  }
  arena_.reserve(bytes);
  offsets_.reserve(tokens.size() + 1);
  slots_.resize(std::bit_ceil(tokens.size() * 2 + 2));
  mask_ = slots_.size() - 1;
  offsets_.push_back(0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    arena_ += token;
    offsets_.push_back(static_cast<uint32_t>(arena_.size()));
    if (token.empty()) continue;
    const uint64_t hash = hash_bytes(token);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    uint64_t at = hash & mask_;
    bool known = false;
    for (; slots_[at].id >= 0 && !known; at = (at + 1) & mask_) {
      known = slots_[at].hash == tag && (*this)[slots_[at].id] == token;
    }
    if (known) continue;
    slots_[at] = {tag, static_cast<int32_t>(i)};
    ++count_;
  }
}

std::string byte_token(size_t byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return str("<0x", kHex[byte >> 4 & 15], kHex[byte & 15], ">");
}

int32_t Vocabulary::find(std::string_view text) const {
  if (slots_.empty() || text.empty()) return -1;
  const uint64_t hash = hash_bytes(text);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (uint64_t at = hash & mask_; slots_[at].id >= 0; at = (at + 1) & mask_) {
    if (slots_[at].hash == tag && (*this)[slots_[at].id] == text) return slots_[at].id;
  }
  return -1;
}

void Vocabulary::save(std::string& json) const {
  json += '{';
  bool first = true;
  for (int64_t id = 0; id < size(); ++id) {
    const std::string_view token = (*this)[id];
    if (token.empty() || find(token) != id) continue;
    if (!first) json += ',';
    first = false;
    append_json_string(json, token);
    json += str(':', id);
  }
  json += '}';
}

bool Vocabulary::begins_words_with(std::string_view mark) const {
  if (find(mark) < 0) return false;
  for (int64_t id = 0; id < size(); ++id) {
    bool whole = true;
    const std::string_view token = (*this)[id];
    if (token.size() <= mark.size()) continue;
    for_each_word(token, mark,
                  [&](std::string_view word) { whole &= word.size() == token.size(); });
    if (!whole) return false;
  }
  return true;
}

}  // namespace tallow::text
