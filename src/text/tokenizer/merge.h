// The merge loop that every BPE shares: joins the best neighbours until none are left. Quadratic
// with a tiny constant on words, a heap over a linked list on anything long.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tallow::text {

/// A stretch [begin, end) of the word and its token, or -1.
struct Symbol {
  uint32_t begin;
  uint32_t end;
  int32_t id;
};

/// What joining two neighbours would give; the lowest rank goes first, then the leftmost.
struct Join {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;
  int32_t id = -1;
};

/// The buffers of merge(), kept between words.
struct MergeBuffers {
  struct Link {
    int32_t previous, next;
  };
  struct Candidate {
    uint64_t order;  // rank in the high half, position in the low half
    int32_t id;
  };
  std::vector<Join> joins;
  std::vector<Link> links;
  std::vector<Candidate> heap, skipped;
};

/// A coin that BPE's dropout tosses.
class Chance {
 public:
  Chance();
  bool happens(double probability) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 11) * 0x1p-53 < probability;
  }

 private:
  uint64_t state_;
};

struct Never {
  bool operator()() const { return false; }
};

template <class Rank>
void merge_word(std::vector<Symbol>& symbols, std::vector<Join>& joins, const Rank& rank) {
  size_t n = symbols.size();
  joins.resize(n);
  for (size_t i = 0; i + 1 < n; ++i) joins[i] = rank(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (joins[i].rank < joins[best].rank) best = i;
    }
    if (joins[best].rank == Join::kNone) break;
    symbols[best].end = symbols[best + 1].end;
    symbols[best].id = joins[best].id;
    std::copy(symbols.begin() + static_cast<ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<ptrdiff_t>(n),
              symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    std::copy(joins.begin() + static_cast<ptrdiff_t>(best) + 2,
              joins.begin() + static_cast<ptrdiff_t>(n),
              joins.begin() + static_cast<ptrdiff_t>(best) + 1);
    --n;
    if (best > 0) joins[best - 1] = rank(symbols[best - 1], symbols[best]);
    if (best + 1 < n) joins[best] = rank(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

/// `skip` says whether to leave out the best candidate until another one has been taken.
template <class Rank, class Skip = Never>
void merge_long(std::vector<Symbol>& symbols, MergeBuffers& buffers, const Rank& rank,
                const Skip& skip = {}) {
  auto& links = buffers.links;
  auto& heap = buffers.heap;
  const auto n = static_cast<int32_t>(symbols.size());
  const auto worse = [](const auto& a, const auto& b) { return a.order > b.order; };
  const auto candidate = [&](int32_t left, int32_t right) {
    const Join join = rank(symbols[static_cast<size_t>(left)], symbols[static_cast<size_t>(right)]);
    if (join.rank == Join::kNone) return false;
    heap.push_back({uint64_t{join.rank} << 32 | static_cast<uint32_t>(left), join.id});
    return true;
  };
  links.resize(symbols.size());
  heap.clear();
  buffers.skipped.clear();
  for (int32_t i = 0; i < n; ++i) {
    links[static_cast<size_t>(i)] = {i - 1, i + 1 < n ? i + 1 : -1};
    if (i + 1 < n) candidate(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end(), worse);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const MergeBuffers::Candidate top = heap.back();
    heap.pop_back();
    if constexpr (!std::is_same_v<Skip, Never>) {
      if (skip()) {
        buffers.skipped.push_back(top);
        continue;
      }
      for (const auto& skipped : buffers.skipped) {
        heap.push_back(skipped);
        std::push_heap(heap.begin(), heap.end(), worse);
      }
      buffers.skipped.clear();
    }
    const auto at = static_cast<int32_t>(top.order & UINT32_MAX);
    Symbol& left = symbols[static_cast<size_t>(at)];
    const int32_t right_at = links[static_cast<size_t>(at)].next;
    if (left.begin == left.end || right_at < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(right_at)];
    const Join now = rank(left, right);
    if (now.rank != top.order >> 32 || now.id != top.id) continue;  // an outdated candidate
    left.end = right.end;
    left.id = top.id;
    right.begin = right.end;
    const int32_t after = links[static_cast<size_t>(right_at)].next;
    const int32_t before = links[static_cast<size_t>(at)].previous;
    links[static_cast<size_t>(at)].next = after;
    if (after >= 0) links[static_cast<size_t>(after)].previous = at;
    if (before >= 0 && candidate(before, at)) std::push_heap(heap.begin(), heap.end(), worse);
    if (after >= 0 && candidate(at, after)) std::push_heap(heap.begin(), heap.end(), worse);
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.begin == s.end; });
}

/// Merges in place. `rank(left, right)` gives the Join of two neighbours. No symbol may be empty.
template <class Rank>
void merge(std::vector<Symbol>& symbols, MergeBuffers& buffers, const Rank& rank) {
  constexpr size_t kWord = 40;
  if (symbols.size() <= kWord) {
    merge_word(symbols, buffers.joins, rank);
  } else {
    merge_long(symbols, buffers, rank);
  }
}

}  // namespace tallow::text
