// The token table.
#include "text/tokenizer/vocabulary.h"

#include <algorithm>
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
  constexpr size_t kBlock = 32;  // as many slots are on their way from memory at a time
  uint64_t hashes[kBlock];
  for (size_t begin = 0; begin < tokens.size(); begin += kBlock) {
    const auto block = tokens.subspan(begin, std::min(kBlock, tokens.size() - begin));
    for (size_t k = 0; k < block.size(); ++k) {
      hashes[k] = hash_bytes(block[k]);
      __builtin_prefetch(&slots_[hashes[k] & mask_], 1);
    }
    for (size_t k = 0; k < block.size(); ++k) {
      arena_ += block[k];
      offsets_.push_back(static_cast<uint32_t>(arena_.size()));
      add(block[k], hashes[k], static_cast<int32_t>(begin + k));
    }
  }
}

void Vocabulary::add(std::string_view token, uint64_t hash, int32_t id) {
  if (token.empty()) return;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  uint64_t at = hash & mask_;
  for (; slots_[at].id >= 0; at = (at + 1) & mask_) {
    if (slots_[at].hash == tag && (*this)[slots_[at].id] == token) return;
  }
  slots_[at] = {tag, id};
  ++count_;
}

std::string byte_token(size_t byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return str("<0x", kHex[byte >> 4 & 15], kHex[byte & 15], ">");
}

int32_t Vocabulary::find(std::string_view text) const {
  if (slots_.empty() || text.empty()) return -1;
  return find(text, hash_bytes(text));
}

int32_t Vocabulary::find(std::string_view text, uint64_t hash) const {
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (uint64_t at = hash & mask_; slots_[at].id >= 0; at = (at + 1) & mask_) {
    if (slots_[at].hash == tag && (*this)[slots_[at].id] == text) return slots_[at].id;
  }
  return -1;
}

void Vocabulary::find(std::span<const std::string_view> texts, std::span<int32_t> ids) const {
  if (slots_.empty()) return std::fill(ids.begin(), ids.end(), -1);
  constexpr size_t kBlock = 32;
  uint64_t hashes[kBlock];
  for (size_t begin = 0; begin < texts.size(); begin += kBlock) {
    const auto block = texts.subspan(begin, std::min(kBlock, texts.size() - begin));
    const auto each = [&](const auto& f) {
      for (size_t k = 0; k < block.size(); ++k) {
        const int32_t id = slots_[hashes[k] & mask_].id;
        if (id >= 0) f(static_cast<size_t>(id));
      }
    };
    for (size_t k = 0; k < block.size(); ++k) {
      hashes[k] = hash_bytes(block[k]);
      __builtin_prefetch(&slots_[hashes[k] & mask_]);
    }
    each([&](size_t id) { __builtin_prefetch(&offsets_[id]); });
    each([&](size_t id) { __builtin_prefetch(arena_.data() + offsets_[id]); });
    for (size_t k = 0; k < block.size(); ++k) {
      ids[begin + k] = block[k].empty() ? -1 : find(block[k], hashes[k]);
    }
  }
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
