// BPE: joins the most frequent pair of neighbours, again and again. As in `tokenizers`, a queue
// holds pairs with the count that they had when they came about and the words where that was; a
// count that has changed meanwhile goes back into the queue. WordPiece's vocabulary is BPE's.
#include <algorithm>
#include <queue>

#include "tallow/error.h"
#include "text/tokenizer/train/alphabet.h"
#include "text/tokenizer/train/train.h"

namespace tallow::text {
namespace {

using Pair = uint64_t;  // the left id in the high half

Pair pair_of(uint32_t left, uint32_t right) { return Pair{left} << 32 | right; }
uint32_t left_of(Pair pair) { return static_cast<uint32_t>(pair >> 32); }
uint32_t right_of(Pair pair) { return static_cast<uint32_t>(pair); }

/// How often pairs occur. A pair that is joined keeps its count, and one that comes about anew
/// adds to it: the queue's order depends on that.
class PairCounts {
 public:
  struct Entry {
    Pair pair = 0;
    int64_t count = 0;
    uint32_t list = UINT32_MAX;  // of the places that are being collected
    bool used = false;
  };
  PairCounts() : entries_(1 << 12) {}

  /// Valid until the next call.
  Entry& at(Pair pair) {
    if (used_ * 2 >= entries_.size()) grow();
    Entry& entry = entries_[slot(pair)];
    if (!entry.used) {
      entry.pair = pair;
      entry.used = true;
      ++used_;
    }
    return entry;
  }

 private:
  size_t slot(Pair pair) const {
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    size_t i = (hash ^ hash >> 32) & (entries_.size() - 1);
    while (entries_[i].used && entries_[i].pair != pair) i = (i + 1) & (entries_.size() - 1);
    return i;
  }
  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.used) entries_[slot(entry.pair)] = entry;
    }
  }
  std::vector<Entry> entries_;
  size_t used_ = 0;
};

/// The words where pairs came about since the last call of finish(), each once for a pair.
class Places {
 public:
  void add(PairCounts::Entry& entry, uint32_t word) {
    if (entry.list == UINT32_MAX) {
      entry.list = static_cast<uint32_t>(lists_.size());
      lists_.push_back({entry.pair, UINT32_MAX, 0});
    }
    List& list = lists_[entry.list];
    if (list.last == word) return;
    list.last = word;
    ++list.size;
    seen_.emplace_back(entry.list, word);
  }
  /// Calls f(pair, where its words begin in `words`, how many they are) for each pair.
  template <class F>
  void finish(PairCounts& counts, std::vector<uint32_t>& words, const F& f) {
    std::vector<size_t>& next = next_;
    next.resize(lists_.size());
    size_t end = words.size();
    for (size_t i = 0; i < lists_.size(); ++i) {
      next[i] = end;
      end += lists_[i].size;
    }
    words.resize(end);
    for (const auto& [list, word] : seen_) words[next[list]++] = word;
    for (size_t i = 0; i < lists_.size(); ++i) {
      counts.at(lists_[i].pair).list = UINT32_MAX;
      f(lists_[i].pair, next[i] - lists_[i].size, lists_[i].size);
    }
    lists_.clear();
    seen_.clear();
  }

 private:
  struct List {
    Pair pair;
    uint32_t last;
    size_t size;
  };
  std::vector<List> lists_;
  std::vector<std::pair<uint32_t, uint32_t>> seen_;  // a list and a word
  std::vector<size_t> next_;
};

class BpeTraining {
 public:
  BpeTraining(const CountedWords& words, const TokenizerTraining& options, Affixes affixes)
      : options_(options), affixes_(std::move(affixes)) {
    words_ = spell_words(words, options, affixes_, vocabulary_);
    if (words_.count.size() > UINT32_MAX) fail("training: too many distinct words");
  }

  TrainedModel run() {
    count_pairs();
    join_pairs();
    TrainedModel model;
    model.merges = merges();
    model.tokens = vocabulary_.take();
    return model;
  }

 private:
  struct Candidate {
    uint64_t count;
    Pair pair;
    size_t begin, size;  // its words
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void count_pairs() {
    for (size_t i = 0; i < words_.count.size(); ++i) {
      const uint32_t* symbols = words_.symbols.data() + words_.begin[i];
      for (uint32_t k = 0; k + 1 < words_.length[i]; ++k) {
        PairCounts::Entry& entry = counts_.at(pair_of(symbols[k], symbols[k + 1]));
        entry.count += static_cast<int64_t>(words_.count[i]);
        places_.add(entry, static_cast<uint32_t>(i));
      }
      constexpr size_t kOften = 1 << 16;
      if (i % kOften == 0) report(options_, "counting pairs", i, words_.count.size());
    }
    queue_places();
  }

  void queue_places() {
    places_.finish(counts_, listed_, [&](Pair pair, size_t begin, size_t size) {
      const int64_t count = counts_.at(pair).count;
      if (count > 0) queue_.push({static_cast<uint64_t>(count), pair, begin, size});
    });
  }

  void join_pairs() {
    constexpr int64_t kDefaultSize = 30000;
    const auto limit = static_cast<size_t>(options_.vocab_size.value_or(kDefaultSize));
    lengths_.assign(vocabulary_.size(), 1);
    while (vocabulary_.size() < limit && !queue_.empty()) {
      Candidate top = queue_.top();
      queue_.pop();
      const auto now = static_cast<uint64_t>(counts_.at(top.pair).count);
      if (top.count != now) {
        top.count = now;
        queue_.push(top);
        continue;
      }
      if (top.count < 1 || top.count < static_cast<uint64_t>(options_.min_frequency)) break;
      join(top);
      constexpr size_t kOften = 256;
      if (joined_.size() % kOften == 0) {
        report(options_, "joining pairs", vocabulary_.size(), limit);
      }
    }
  }

  void join(const Candidate& top) {
    const uint32_t left = left_of(top.pair), right = right_of(top.pair);
    std::string_view rest = vocabulary_[right];
    if (rest.starts_with(affixes_.prefix)) rest.remove_prefix(affixes_.prefix.size());
    const uint32_t whole = vocabulary_.add(vocabulary_[left] + std::string(rest));
    lengths_.resize(vocabulary_.size());
    lengths_[whole] = lengths_[left] + lengths_[right];
    joined_.push_back(top.pair);
    for (size_t i = top.begin; i < top.begin + top.size; ++i) {
      join_in_word(listed_[i], left, right, whole);
    }
    queue_places();
  }

  void join_in_word(uint32_t word, uint32_t left, uint32_t right, uint32_t whole) {
    uint32_t* symbols = words_.symbols.data() + words_.begin[word];
    const uint32_t length = words_.length[word];
    const auto times = static_cast<int64_t>(words_.count[word]);
    const auto longest = static_cast<uint64_t>(options_.max_token_length.value_or(INT64_MAX));
    const auto gone = [&](uint32_t a, uint32_t b) { counts_.at(pair_of(a, b)).count -= times; };
    const auto come = [&](uint32_t a, uint32_t b) {
      if (lengths_[a] + lengths_[b] >= longest) return;
      PairCounts::Entry& entry = counts_.at(pair_of(a, b));
      entry.count += times;
      places_.add(entry, word);
    };
    uint32_t to = 0;
    for (uint32_t from = 0; from < length; ++from) {
      if (symbols[from] != left || from + 1 == length || symbols[from + 1] != right) {
        symbols[to++] = symbols[from];
        continue;
      }
      if (to > 0) {
        gone(symbols[to - 1], left);
        come(symbols[to - 1], whole);
      }
      symbols[to++] = whole;
      ++from;
      if (from + 1 < length) {
        gone(right, symbols[from + 1]);
        come(whole, symbols[from + 1]);
      }
    }
    words_.length[word] = to;
  }

  /// Pairs in the order of joining; of one that was joined twice the last time counts.
  std::vector<std::pair<std::string, std::string>> merges() const {
    std::vector<size_t> order(joined_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return joined_[a] != joined_[b] ? joined_[a] < joined_[b] : a > b;
    });
    order.erase(std::unique(order.begin(), order.end(),
                            [&](size_t a, size_t b) { return joined_[a] == joined_[b]; }),
                order.end());
    std::sort(order.begin(), order.end());
    std::vector<std::pair<std::string, std::string>> merges;
    merges.reserve(order.size());
    for (const size_t i : order) {
      merges.emplace_back(vocabulary_[left_of(joined_[i])], vocabulary_[right_of(joined_[i])]);
    }
    return merges;
  }

  const TokenizerTraining& options_;
  const Affixes affixes_;
  GrowingVocabulary vocabulary_;
  std::vector<uint64_t> lengths_;  // in characters, by id
  SpelledWords words_;
  PairCounts counts_;
  Places places_;
  std::vector<uint32_t> listed_;  // the words of the candidates
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> joined_;
};

}  // namespace

TrainedModel train_bpe(const CountedWords& words, const TokenizerTraining& options) {
  Affixes affixes{options.continuing_subword_prefix.value_or(""),
                  options.end_of_word_suffix.value_or("")};
  const auto text_or_null = [](const std::string& s) { return s.empty() ? Json() : Json(s); };
  Json model_options = Json::Object{{"continuing_subword_prefix", text_or_null(affixes.prefix)},
                                    {"end_of_word_suffix", text_or_null(affixes.suffix)}};
  TrainedModel model = BpeTraining(words, options, std::move(affixes)).run();
  model.options = std::move(model_options);
  return model;
}

TrainedModel train_word_piece(const CountedWords& words, const TokenizerTraining& options) {
  Affixes affixes{options.continuing_subword_prefix.value_or("##"),
                  options.end_of_word_suffix.value_or("")};
  Json prefix = Json::Object{{"continuing_subword_prefix", affixes.prefix}};
  TrainedModel model = BpeTraining(words, options, std::move(affixes)).run();
  model.merges.clear();
  model.options = std::move(prefix);
  return model;
}

}  // namespace tallow::text
