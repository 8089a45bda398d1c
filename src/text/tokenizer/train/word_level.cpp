// WordLevel: the most frequent words.
#include <algorithm>
#include <unordered_map>

#include "text/tokenizer/train/train.h"

namespace tallow::text {

TrainedModel train_word_level(const CountedWords& words, const TokenizerTraining& options) {
  constexpr int64_t kDefaultSize = 30000;
  CountedWords sorted = words;
  std::erase_if(sorted, [&](const CountedWord& word) {
    return word.count < static_cast<uint64_t>(options.min_frequency);
  });
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const CountedWord& a, const CountedWord& b) { return a.count > b.count; });

  const auto limit = static_cast<size_t>(options.vocab_size.value_or(kDefaultSize));
  TrainedModel model;
  std::unordered_map<std::string_view, size_t> ids;
  // Of a token that is listed twice the later place counts, as in `tokenizers`.
  const auto place = [&](std::string_view token) {
    if (model.tokens.size() == limit) return;
    const auto [known, fresh] = ids.try_emplace(token, model.tokens.size());
    if (!fresh) model.tokens[std::exchange(known->second, model.tokens.size())].clear();
    model.tokens.emplace_back(token);
  };
  for (const AddedToken& token : options.special_tokens) place(token.content);
  for (const CountedWord& word : sorted) place(word.text);
  return model;
}

}  // namespace tallow::text
