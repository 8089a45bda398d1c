// The table of words.
#include "text/tokenizer/train/word_counts.h"

#include "tallow/error.h"
#include "text/tokenizer/vocabulary.h"

namespace tallow::text {

void WordCounts::grow() {
  constexpr size_t kFirst = 1024;
  const size_t size = slots_.empty() ? kFirst : slots_.size() * 2;
  slots_.assign(size, {});
  for (size_t i = 0; i < counts_.size(); ++i) {
    const uint64_t hash = hash_bytes(word(i));
    size_t at = hash & (size - 1);
    while (slots_[at].index != UINT32_MAX) at = (at + 1) & (size - 1);
    slots_[at] = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(i)};
  }
}

void WordCounts::add(std::string_view word, uint64_t times) {
  if (counts_.size() * 2 >= slots_.size()) grow();
  const uint64_t hash = hash_bytes(word);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & (slots_.size() - 1);
  for (; slots_[at].index != UINT32_MAX; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].tag != tag || this->word(slots_[at].index) != word) continue;
    counts_[slots_[at].index] += times;
    return;
  }
  if (counts_.size() >= UINT32_MAX) fail("training: more than ", UINT32_MAX, " distinct words");
  slots_[at] = {tag, static_cast<uint32_t>(counts_.size())};
  arena_ += word;
  begins_.push_back(arena_.size());
  counts_.push_back(times);
}

void WordCounts::merge(const WordCounts& other) {
  for (size_t i = 0; i < other.size(); ++i) add(other.word(i), other.count(i));
}

}  // namespace tallow::text
