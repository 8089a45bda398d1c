// Distinct words and how often each occurs: one arena, one flat hash table, and a fixed order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallow::text {

class WordCounts {
 public:
  void add(std::string_view word, uint64_t times = 1);
  void merge(const WordCounts& other);

  size_t size() const { return counts_.size(); }
  std::string_view word(size_t i) const {
    return std::string_view(arena_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }
  uint64_t count(size_t i) const { return counts_[i]; }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t index = UINT32_MAX;
  };
  void grow();
  std::string arena_;
  std::vector<size_t> begins_{0};
  std::vector<uint64_t> counts_;
  std::vector<Slot> slots_;
};

}  // namespace tallow::text
