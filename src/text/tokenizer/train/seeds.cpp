// Seeds from a suffix array that is sorted as deep as pieces are long.
#include "text/tokenizer/train/seeds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/utf8.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::text {
namespace {

constexpr size_t kMostSeeds = 1'000'000;

/// A repeated substring: its occurrences are a range of the suffix array.
struct Repeat {
  uint32_t begin, end, length;
  uint64_t letters() const { return uint64_t{end - begin} * length; }
};

/// The places of a text sorted by what follows, and the substrings that repeat.
class Suffixes {
 public:
  Suffixes(const FlatText& text, uint32_t longest)
      : text_(text.characters), longest_(longest), order_(text_.size()) {
    bucket();
    const auto buckets = static_cast<int64_t>(bounds_.size()) - 1;
    std::vector<std::vector<Repeat>> found(static_cast<size_t>(std::max<int64_t>(buckets, 0)));
    parallel_for(buckets, 1, [&](int64_t begin, int64_t end, int) {
      for (auto b = static_cast<size_t>(begin); b < static_cast<size_t>(end); ++b) {
        std::sort(order_.begin() + static_cast<ptrdiff_t>(bounds_[b]),
                  order_.begin() + static_cast<ptrdiff_t>(bounds_[b + 1]),
                  [&](uint32_t x, uint32_t y) { return less(x, y); });
        find_repeats(bounds_[b], bounds_[b + 1], found[b]);
      }
    });
    for (const auto& part : found) repeats_.insert(repeats_.end(), part.begin(), part.end());
  }
  const std::vector<uint32_t>& order() const { return order_; }
  std::vector<Repeat>& repeats() { return repeats_; }

 private:
  /// Sorts places by their first character. Those of zeros come first and are no bucket.
  void bucket() {
    std::vector<uint32_t> count(0x110001);
    for (const char32_t c : text_) ++count[c + 1];
    for (size_t c = 1; c < count.size(); ++c) count[c] += count[c - 1];
    for (size_t c = 1; c + 1 < count.size(); ++c) {
      if (count[c] < count[c + 1]) bounds_.push_back(count[c]);
    }
    bounds_.push_back(static_cast<uint32_t>(text_.size()));
    for (size_t i = 0; i < text_.size(); ++i) order_[count[text_[i]]++] = static_cast<uint32_t>(i);
  }

  /// How far the texts at two places agree, at most longest_ characters, and not past a 0.
  uint32_t common(uint32_t x, uint32_t y) const {
    uint32_t n = 0;
    while (n < longest_ && text_[x + n] == text_[y + n] && text_[x + n] != 0) ++n;
    return n;
  }
  /// Whether something behind `longest_` or fewer equal characters puts x before y.
  bool less(uint32_t x, uint32_t y) const {
    const uint32_t n = common(x, y);
    const char32_t a = text_[x + n], b = text_[y + n];
    return a != b ? a < b : x < y;
  }

  /// Walks the sorted places and closes a substring where fewer characters go on. Equal characters
  /// are counted one past longest_, to see what follows a substring of that length.
  void find_repeats(uint32_t begin, uint32_t end, std::vector<Repeat>& found) const {
    struct Open {
      uint32_t begin, length;
    };
    std::vector<Open> open;
    for (uint32_t i = begin + 1; i <= end; ++i) {
      uint32_t shared = 0;
      if (i < end) {
        shared = common(order_[i - 1], order_[i]);
        const bool same_end = text_[order_[i - 1] + shared] == text_[order_[i] + shared];
        if (same_end) ++shared;  // nothing branches here
      }
      uint32_t from = i - 1;
      while (!open.empty() && open.back().length > shared) {
        const Open last = open.back();
        open.pop_back();
        from = last.begin;
        if (branches(last.begin, i, last.length)) found.push_back({last.begin, i, last.length});
      }
      if (shared > 0 && (open.empty() || open.back().length < shared)) {
        open.push_back({from, shared});
      }
    }
  }
  /// Whether the places [begin, end) share a piece of that length without a 0.
  bool branches(uint32_t begin, uint32_t end, uint32_t length) const {
    if (length < 2 || length > longest_ || end - begin < 2) return false;
    for (uint32_t k = 0; k < length; ++k) {
      if (text_[order_[begin] + k] == 0) return false;
    }
    return true;
  }

  const std::vector<char32_t>& text_;
  const uint32_t longest_;
  std::vector<uint32_t> order_;
  std::vector<uint32_t> bounds_;  // where the places of each first character begin
  std::vector<Repeat> repeats_;
};

struct Character {
  uint64_t count = 0;
  char32_t c = 0;
};

/// By falling frequency, then falling code points.
std::vector<Character> characters_of(const FlatText& text, const CountedWords& words) {
  std::vector<uint64_t> counts(0x110000);
  for (size_t i = 0; i < text.words(); ++i) {
    for (size_t k = text.begin[i]; k < text.end(i); ++k)
      counts[text.characters[k]] += words[i].count;
  }
  std::vector<Character> characters;
  for (char32_t c = 1; c < counts.size(); ++c) {
    if (counts[c]) characters.push_back({counts[c], c});
  }
  std::sort(characters.begin(), characters.end(), [](const Character& a, const Character& b) {
    return a.count != b.count ? a.count > b.count : a.c > b.c;
  });
  return characters;
}

/// The best repeats, by falling letters, then falling text: as many as there may be.
void choose(std::vector<Repeat>& repeats, const FlatText& text, const std::vector<uint32_t>& order,
            size_t most) {
  const auto better = [&](const Repeat& a, const Repeat& b) {
    if (a.letters() != b.letters()) return a.letters() > b.letters();
    const char32_t* x = text.characters.data() + order[a.begin];
    const char32_t* y = text.characters.data() + order[b.begin];
    return std::lexicographical_compare(y, y + b.length, x, x + a.length);
  };
  if (repeats.size() > most) {
    std::nth_element(repeats.begin(), repeats.begin() + static_cast<ptrdiff_t>(most), repeats.end(),
                     better);
    repeats.resize(most);
  }
  std::sort(repeats.begin(), repeats.end(), better);
}

/// Fills in where the pieces stand: the characters, then the repeats.
void place(Pieces& pieces, const FlatText& text, const std::vector<Character>& characters,
           const std::vector<Repeat>& repeats, const std::vector<uint32_t>& order) {
  std::vector<uint32_t> id_of(0x110000);
  for (size_t i = 0; i < characters.size(); ++i) {
    id_of[characters[i].c] = static_cast<uint32_t>(i + 1);
  }
  const auto n = text.characters.size();
  std::vector<uint64_t> count(n + 1);
  for (size_t i = 0; i < n; ++i) count[i + 1] += id_of[text.characters[i]] != 0;
  for (const Repeat& repeat : repeats) {
    for (uint32_t i = repeat.begin; i < repeat.end; ++i) ++count[order[i] + size_t{1}];
  }
  for (size_t i = 0; i < n; ++i) count[i + 1] += count[i];
  if (count[n] > UINT32_MAX) fail("training: the words are too long; a pre-tokenizer splits them");
  pieces.first.assign(count.begin(), count.end());
  pieces.here.resize(count[n]);
  std::vector<uint32_t> next(pieces.first.begin(), pieces.first.end() - 1);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t id = id_of[text.characters[i]];
    if (id) {
      pieces.here[next[i]++] = id;
      pieces.text[id] = {i, 1};
    }
  }
  std::vector<uint32_t> by_length(repeats.size());
  for (uint32_t i = 0; i < by_length.size(); ++i) by_length[i] = i;
  std::stable_sort(by_length.begin(), by_length.end(),
                   [&](uint32_t a, uint32_t b) { return repeats[a].length < repeats[b].length; });
  for (const uint32_t r : by_length) {
    const auto id = static_cast<uint32_t>(characters.size() + 1 + r);
    pieces.text[id] = {order[repeats[r].begin], repeats[r].length};
    for (uint32_t i = repeats[r].begin; i < repeats[r].end; ++i) {
      pieces.here[next[order[i]]++] = id;
    }
  }
}

}  // namespace

FlatText::FlatText(const CountedWords& words) {
  for (const CountedWord& word : words) {
    begin.push_back(characters.size());
    for (size_t i = 0; i < word.text.size();) {
      characters.push_back(next_code_point(word.text, i));
    }
    characters.push_back(0);
  }
  begin.push_back(characters.size());
  if (characters.size() >= INT32_MAX) {
    fail("training: the distinct words have ", characters.size(), " characters; the limit is 2^31");
  }
}

std::string utf8_of(const FlatText& text, Substring piece) {
  std::string bytes;
  for (size_t i = 0; i < piece.length; ++i) append_utf8(bytes, text.characters[piece.at + i]);
  return bytes;
}

void Pieces::keep(const std::vector<uint32_t>& kept) {
  std::vector<uint32_t> new_id(size());
  std::vector<Substring> new_text;
  std::vector<double> new_score;
  for (const uint32_t id : kept) {
    new_id[id] = static_cast<uint32_t>(new_text.size());
    new_text.push_back(text[id]);
    new_score.push_back(score[id]);
  }
  text = std::move(new_text);
  score = std::move(new_score);
  uint32_t to = 0;
  for (size_t i = 0; i + 1 < first.size(); ++i) {
    const uint32_t begin = std::exchange(first[i], to);
    for (uint32_t k = begin; k < first[i + 1]; ++k) {
      if (const uint32_t id = new_id[here[k]]) here[to++] = id;
    }
  }
  first.back() = to;
  here.resize(to);
}

Pieces seed_pieces(const FlatText& text, const CountedWords& words, int64_t max_piece_length) {
  const auto longest = static_cast<uint32_t>(max_piece_length);
  Suffixes suffixes(text, longest);
  std::vector<Repeat>& repeats = suffixes.repeats();
  std::vector<Character> characters = characters_of(text, words);
  // One more is taken when the characters alone are too many, as in `tokenizers`.
  const size_t most = kMostSeeds > characters.size() ? kMostSeeds - characters.size() : 1;
  choose(repeats, text, suffixes.order(), most);

  Pieces pieces;
  const size_t n = 1 + characters.size() + repeats.size();
  pieces.text.resize(n);
  pieces.score.assign(1, std::numeric_limits<double>::quiet_NaN());
  double sum = 0;
  for (const Character& c : characters) pieces.score.push_back(static_cast<double>(c.count));
  for (const Repeat& r : repeats) pieces.score.push_back(static_cast<double>(r.letters()));
  for (size_t i = 1; i < n; ++i) sum += pieces.score[i];
  for (size_t i = 1; i < n; ++i) pieces.score[i] = std::log(pieces.score[i]) - std::log(sum);
  place(pieces, text, characters, repeats, suffixes.order());
  return pieces;
}

}  // namespace tallow::text
