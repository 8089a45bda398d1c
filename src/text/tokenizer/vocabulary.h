// Token texts by id and ids by text: one arena of bytes and one flat hash table, no allocation per
// token, so that 50,000 tokens load in a millisecond or two.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/huge_pages.h"

namespace tallow::text {

/// A fast hash of short byte strings; not for untrusted tables without the probe limit below.
inline uint64_t hash_bytes(std::string_view s) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15u, kB = 0xC2B2AE3D27D4EB4Fu;
  const auto load = [](const char* p, size_t n) {
    uint64_t v = 0;
    std::memcpy(&v, p, n);
    return v;
  };
  const auto mix = [](uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t h = s.size() * kB;
  const char* p = s.data();
  size_t n = s.size();
  for (; n > 16; p += 16, n -= 16) h = mix(load(p, 8) ^ kA ^ h, load(p + 8, 8) ^ kB);
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    a = load(p, 8);
    b = load(p + n - 8, 8);
  } else if (n >= 4) {
    a = load(p, 4);
    b = load(p + n - 4, 4);
  } else if (n > 0) {
    a = static_cast<uint64_t>(static_cast<unsigned char>(p[0])) << 16 |
        static_cast<uint64_t>(static_cast<unsigned char>(p[n >> 1])) << 8 |
        static_cast<unsigned char>(p[n - 1]);
  }
  return mix(a ^ kA ^ h, b ^ kB);
}

class Vocabulary {
 public:
  Vocabulary() = default;
  /// `tokens` by id; an empty view is an id without a token. Where a text occurs twice, the lower
  /// id is found by text. Throws Error when the texts exceed 2 GiB.
  explicit Vocabulary(std::span<const std::string_view> tokens);

  /// The id of `text`, or -1.
  int32_t find(std::string_view text) const;
  /// The ids of many, which is faster than one by one.
  void find(std::span<const std::string_view> texts, std::span<int32_t> ids) const;
  std::string_view operator[](int64_t id) const {
    if (id < 0 || id >= size()) return {};
    const auto i = static_cast<size_t>(id);
    return {arena_.data() + offsets_[i], offsets_[i + 1] - offsets_[i]};
  }
  int64_t size() const { return offsets_.empty() ? 0 : static_cast<int64_t>(offsets_.size()) - 1; }
  /// Distinct texts.
  int64_t count() const { return count_; }
  /// Appends {"token": id, ...}, by id.
  void save(std::string& json) const;
  /// Whether no token has, after its first character, `mark` behind another character than `mark`:
  /// then no merge can reach across the place where a word begins.
  bool begins_words_with(std::string_view mark) const;

 private:
  void add(std::string_view token, uint64_t hash, int32_t id);
  int32_t find(std::string_view text, uint64_t hash) const;
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  std::string arena_;
  std::vector<uint32_t> offsets_;
  LargeVector<Slot> slots_;
  uint64_t mask_ = 0;
  int64_t count_ = 0;
};

/// The token that stands for a byte: <0x0A>.
std::string byte_token(size_t byte);

/// Calls word(part) for each part of `text` that begins with `mark` behind another character.
template <class F>
void for_each_word(std::string_view text, std::string_view mark, const F& word) {
  size_t begin = 0;
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size())) {
    const bool after_mark = at >= mark.size() && text.substr(at - mark.size(), mark.size()) == mark;
    if (at == begin || after_mark) continue;
    word(text.substr(begin, at - begin));
    begin = at;
  }
  if (begin < text.size()) word(text.substr(begin));
}

}  // namespace tallow::text
