// Remembers the ids of recent words. Bounded: it forgets everything when it is full.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/vocabulary.h"

namespace tallow::text {

class WordCache {
 public:
  static constexpr size_t kLongest = 128;

  /// Appends the ids of `word`, those that encode() appends when they are not known.
  template <class F>
  void append(std::string_view word, std::vector<int32_t>& ids, const F& encode) {
    if (word.empty()) return;
    if (word.size() > kLongest) return encode();
    const uint64_t hash = hash_bytes(word);
    if (find(word, hash, ids)) return;
    const size_t before = ids.size();
    encode();
    add(word, hash, std::span(ids).subspan(before));
  }

 private:
  bool find(std::string_view word, uint64_t hash, std::vector<int32_t>& ids) const {
    if (slots_.empty()) return false;
    for (size_t at = hash & kMask; slots_[at].length; at = (at + 1) & kMask) {
      const Slot& slot = slots_[at];
      if (slot.tag != static_cast<uint32_t>(hash >> 32) || slot.length != word.size()) continue;
      if (std::string_view(words_.data() + slot.word, slot.length) != word) continue;
      const int32_t* first = ids_.data() + slot.ids;
      if (slot.count == 1) {
        ids.push_back(*first);
      } else {
        ids.insert(ids.end(), first, first + slot.count);
      }
      return true;
    }
    return false;
  }

  /// `word` is not empty, not known, and at most kLongest bytes.
  void add(std::string_view word, uint64_t hash, std::span<const int32_t> ids) {
    if (ids.size() > kLongest) return;
    if (used_ * 2 >= kSlots || slots_.empty()) {
      slots_.assign(kSlots, {});
      words_.clear();
      ids_.clear();
      used_ = 0;
    }
    size_t at = hash & kMask;
    while (slots_[at].length) at = (at + 1) & kMask;
    slots_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(words_.size()),
                  static_cast<uint32_t>(ids_.size()), static_cast<uint16_t>(word.size()),
                  static_cast<uint16_t>(ids.size())};
    words_ += word;
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    ++used_;
  }

  struct Slot {
    uint32_t tag = 0, word = 0, ids = 0;
    uint16_t length = 0, count = 0;
  };
  static constexpr size_t kSlots = 1 << 15;
  static constexpr size_t kMask = kSlots - 1;
  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int32_t> ids_;
  size_t used_ = 0;
};

}  // namespace tallow::text
