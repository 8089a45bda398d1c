// A stable radix sort from the lowest digit up. Digits that all items share are skipped, and rows
// too short for counting are sorted by comparison.
#include <algorithm>
#include <utility>
#include <vector>

#include "ops/order/keys.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int64_t kFew = 80;        // below this, comparisons are faster
constexpr int64_t kMany = 1 << 12;  // from here on, digits of 11 bits are

template <class Item>
constexpr int kKeyBits = std::is_same_v<Item, Item32> ? 32 : 64;

template <class Item, int kBits>
struct Radix {
  static constexpr int kDigits = (kKeyBits<Item> + kBits - 1) / kBits;
  static constexpr int64_t kBins = 1 << kBits;
  static int64_t digit(const Item& item, int d) {
    return static_cast<int64_t>(key_of(item) >> (d * kBits) & (kBins - 1));
  }

  static void count(const Item* items, int64_t n, uint32_t* counts) {
    std::fill_n(counts, kDigits * kBins, 0u);
    for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 8
      for (int d = 0; d < kDigits; ++d) ++counts[d * kBins + digit(items[i], d)];
    }
  }

  static Item* sort(Item* items, Item* spare, int64_t n) {
    std::vector<uint32_t> counts(kDigits * kBins);
    count(items, n, counts.data());
    for (int d = 0; d < kDigits; ++d) {
      uint32_t* bins = counts.data() + d * kBins;
      if (bins[digit(items[0], d)] == n) continue;
      uint32_t at = 0;
      for (int64_t b = 0; b < kBins; ++b) at += std::exchange(bins[b], at);
      for (int64_t i = 0; i < n; ++i) spare[bins[digit(items[i], d)]++] = items[i];
      std::swap(items, spare);
    }
    return items;
  }

  // Every thread counts and moves a piece of its own; the pieces' bins follow each other.
  static Item* sort_in_parallel(Item* items, Item* spare, int64_t n) {
    const int most = num_threads();
    std::vector<uint32_t> counts(static_cast<size_t>(most) * kDigits * kBins);
    std::vector<uint32_t> places(static_cast<size_t>(most) * kBins);
    auto piece = [&](int t, int threads) { return n * t / threads; };
    for (int d = 0; d < kDigits; ++d) {
      int used = 1;
      parallel_team(most, [&](int t, int threads) {
        if (t == 0) used = threads;
        uint32_t* bins = &places[static_cast<size_t>(t * kBins)];
        std::fill_n(bins, kBins, 0u);
        for (int64_t i = piece(t, threads); i < piece(t + 1, threads); ++i) {
          ++bins[digit(items[i], d)];
        }
      });
      uint32_t at = 0;
      bool same = false;
      for (int64_t b = 0; b < kBins; ++b) {
        const uint32_t before = at;
        for (int t = 0; t < used; ++t) {
          at += std::exchange(places[static_cast<size_t>(t * kBins + b)], at);
        }
        same |= at - before == n;
      }
      if (same) continue;
      parallel_team(used, [&](int t, int threads) {
        for (int p = t; p < used; p += threads) {
          uint32_t* bins = &places[static_cast<size_t>(p * kBins)];
          for (int64_t i = piece(p, used); i < piece(p + 1, used); ++i) {
            spare[bins[digit(items[i], d)]++] = items[i];
          }
        }
      });
      std::swap(items, spare);
    }
    return items;
  }
};

}  // namespace

template <class Item>
Item* sort_items(Item* items, Item* spare, int64_t n, bool parallel) {
  if (n <= kFew || n >= int64_t{UINT32_MAX}) {
    std::sort(items, items + n);
    return items;
  }
  if (n < kMany) return Radix<Item, 8>::sort(items, spare, n);
  if (parallel && n >= 16 * kMany && num_threads() > 1) {
    return Radix<Item, 11>::sort_in_parallel(items, spare, n);
  }
  return Radix<Item, 11>::sort(items, spare, n);
}

template Item32* sort_items(Item32*, Item32*, int64_t, bool);
template Item64* sort_items(Item64*, Item64*, int64_t, bool);

}  // namespace tallow
