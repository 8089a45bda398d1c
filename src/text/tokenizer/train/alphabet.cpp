// The alphabet, and words spelled in it.
#include "text/tokenizer/train/alphabet.h"

#include <algorithm>
#include <array>

#include "core/utf8.h"

namespace tallow::text {
namespace {

constexpr size_t kCodePoints = 0x110000;

std::string utf8(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

/// Calls f(character, is the first, is the last).
template <class F>
void for_each_character(std::string_view word, const F& f) {
  for (size_t i = 0; i < word.size();) {
    const bool first = i == 0;
    const char32_t c = next_code_point(word, i);
    f(c, first, i == word.size());
  }
}

std::vector<char32_t> alphabet_of(const CountedWords& words, const TokenizerTraining& options) {
  std::vector<uint64_t> counts(kCodePoints);
  std::vector<char32_t> kept;
  const auto see = [&](char32_t c, uint64_t times) {
    if (counts[c] == 0) kept.push_back(c);
    counts[c] += times;
  };
  for (const CountedWord& word : words) {
    for_each_character(word.text, [&](char32_t c, bool, bool) { see(c, word.count); });
  }
  for (const char32_t c : first_characters(options.initial_alphabet)) {
    see(c, 1);
    counts[c] = UINT64_MAX;
  }
  const auto limit = static_cast<size_t>(options.limit_alphabet.value_or(kCodePoints));
  std::sort(kept.begin(), kept.end());
  if (kept.size() > limit) {
    std::stable_sort(kept.begin(), kept.end(),
                     [&](char32_t a, char32_t b) { return counts[a] > counts[b]; });
    kept.resize(limit);
    std::sort(kept.begin(), kept.end());
  }
  return kept;
}

/// The ids of a character by its place: whether it is the first (bit 0) and the last (bit 1).
class Spelling {
 public:
  Spelling(const CountedWords& words, const Affixes& affixes, GrowingVocabulary& vocabulary)
      : ids_(kCodePoints) {
    std::vector<uint8_t> places(kCodePoints);
    std::vector<char32_t> seen;
    for (const CountedWord& word : words) {
      for_each_character(word.text, [&](char32_t c, bool first, bool last) {
        if (places[c] == 0) seen.push_back(c);
        places[c] |= static_cast<uint8_t>(1u << place(first, last));
      });
    }
    std::sort(seen.begin(), seen.end());
    for (const char32_t c : seen) {
      const std::string bare = utf8(c);
      if (vocabulary.find(bare) < 0) continue;
      forms_.push_back({kNone, kNone, kNone, kNone});
      ids_[c] = static_cast<uint32_t>(forms_.size());
      for (size_t at = 0; at < 4; ++at) {
        if (!(places[c] >> at & 1)) continue;
        const std::string form =
            (at & 1 ? "" : affixes.prefix) + bare + (at & 2 ? affixes.suffix : "");
        forms_.back()[at] = vocabulary.add(form);
      }
    }
  }
  /// kNone for a character that is left out.
  uint32_t id(char32_t c, bool first, bool last) const {
    return ids_[c] == 0 ? kNone : forms_[ids_[c] - 1][place(first, last)];
  }
  static constexpr uint32_t kNone = UINT32_MAX;

 private:
  static size_t place(bool first, bool last) { return size_t{first} | size_t{last} << 1; }
  std::vector<uint32_t> ids_;  // 0, or one more than the place in forms_
  std::vector<std::array<uint32_t, 4>> forms_;
};

}  // namespace

std::vector<char32_t> first_characters(const std::optional<std::vector<std::string>>& texts) {
  std::vector<char32_t> characters;
  if (!texts) return characters;
  for (const std::string& text : *texts) {
    size_t i = 0;
    if (!text.empty()) characters.push_back(next_code_point(text, i));
  }
  return characters;
}

uint32_t GrowingVocabulary::add(std::string_view token) {
  const auto [at, fresh] =
      ids_.try_emplace(std::string(token), static_cast<uint32_t>(tokens_.size()));
  if (fresh) tokens_.emplace_back(token);
  return at->second;
}

int64_t GrowingVocabulary::find(const std::string& token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : int64_t{found->second};
}

SpelledWords spell_words(const CountedWords& words, const TokenizerTraining& options,
                         const Affixes& affixes, GrowingVocabulary& vocabulary) {
  for (const AddedToken& token : options.special_tokens) vocabulary.add(token.content);
  for (const char32_t c : alphabet_of(words, options)) vocabulary.add(utf8(c));
  const Spelling spelling(words, affixes, vocabulary);

  SpelledWords spelled;
  spelled.begin.reserve(words.size());
  spelled.length.reserve(words.size());
  spelled.count.reserve(words.size());
  for (const CountedWord& word : words) {
    const size_t begin = spelled.symbols.size();
    for_each_character(word.text, [&](char32_t c, bool first, bool last) {
      const uint32_t id = spelling.id(c, first, last);
      if (id != Spelling::kNone) spelled.symbols.push_back(id);
    });
    spelled.begin.push_back(begin);
    spelled.length.push_back(static_cast<uint32_t>(spelled.symbols.size() - begin));
    spelled.count.push_back(word.count);
  }
  return spelled;
}

}  // namespace tallow::text
