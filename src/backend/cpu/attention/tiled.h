// Attention of a block of rows, tiled with an online softmax (Dao et al. 2022, arXiv 2205.14135).
// Scores are computed transposed, S^T = K Q^T and O^T = V^T P^T: each vector lane is a row, so the
// softmax needs no sum across lanes, and K and V are read as they lie in their pages. An Engine
// does the two products:
//   Element, Weight          what K and V are read as; what P is stored as
//   kPad, kKeys              what the dim, and the positions of a block, are padded to multiples of
//   kParts                   Weights, and as many parts of queries, that a value is stored as
//   kRounds                  whether pack() rounds, so that only powers of two scale exactly
//   start()                  once an item
//   pack(...)                transposes a vector of rows of queries
//   scores<V>, values<V>     the products with `seen` positions, for V vectors of lanes
//   power(x)                 2^x for x <= 0
//   put_weights(...)         stores P for two neighbouring positions, kPerWeight in a Weight
#pragma once

#include "backend/cpu/attention/chunks.h"
#include "backend/cpu/isa/transpose.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int kGroup = 2 * kLanes;  // rows that share their tiles

template <class Engine, class Reader>
class TiledAttention {
  using Element = typename Engine::Element;
  using Weight = typename Engine::Weight;
  static constexpr int64_t kChunks = kAttentionBlock / kAttentionChunk;

 public:
  TiledAttention(const AttentionCall& c, const AttentionItem& i, std::byte* workspace)
      : call(c),
        item(i),
        arena{workspace},
        width(round_up(c.dim, Engine::kPad)),
        rows(i.row_end - i.row_begin),
        reader(c, i, width, arena),
        queries(arena.take<float>(kAttentionRows / kGroup * query_size())),
        sums(arena.take<float>(width * kAttentionRows)),
        scores(arena.take<float>(kAttentionBlock * kGroup)),
        weights(arena.take<Weight>(Engine::kParts * kAttentionBlock / Engine::kPerWeight * kGroup)),
        tops(arena.take<float>(kAttentionRows)),
        totals(arena.take<float>(kAttentionRows)) {}

  void run() {
    Engine::start();
    pack_queries();
    __builtin_memset(sums, 0, static_cast<size_t>(width * round_up(rows, kGroup)) * 4);
    for (int64_t r = 0; r < round_up(rows, kGroup); ++r) tops[r] = kNoScore, totals[r] = 0;
    for (int64_t at = item.kv_begin; at < item.kv_end; at += kAttentionBlock) block(at);
    for (int64_t g = 0; g < rows; g += kLanes) finish(g);
  }

 private:
  /// The floats of a group's queries.
  int64_t query_size() const { return Engine::kParts * width / Engine::kPerWeight * kGroup; }

  /// Lanes past the rows repeat the last one; nothing of theirs is written.
  void pack_queries() {
    float scale = query_scale(call);
    if (Engine::kRounds && scale != 0) {
      const float power = power_of_two(scale);
      rest = scale / power;
      scale = power;
    }
    RowCursor cursor(call, item, 0);
    for (int64_t g = 0; g < rows; g += kLanes) {
      const float* from[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        from[i] = cursor.query();
        positions[g + i] = cursor.position();
        lasts[g + i] = cursor.last();
        if (g + i + 1 < rows) cursor.next();
      }
      Engine::pack(from, call.dim, width, scale, queries + g / kGroup * query_size(), g % kGroup);
    }
  }

  void block(int64_t at) {
    Chunk<Element> chunks[kChunks];
    int64_t read = 0;
    for (int64_t g = 0; g < rows; g += kGroup) {
      const int64_t last_row = smaller(g + kGroup, rows) - 1;
      const int64_t end = smaller(smaller(at + kAttentionBlock, item.kv_end), lasts[last_row] + 1);
      if (end <= at) continue;
      if (call.window > 0 && at + kAttentionBlock <= positions[g] - call.window + 1) continue;
      const int64_t count = (end - at + kAttentionChunk - 1) / kAttentionChunk;
      const int64_t seen = round_up(end - at, Engine::kKeys);
      for (; read < count; ++read) chunks[read] = reader.read(at + read * kAttentionChunk, read);
      if (rows - g > kLanes) {
        group<2>(g, last_row, at, chunks, seen);
      } else {
        group<1>(g, last_row, at, chunks, seen);
      }
    }
  }

  template <int V>
  void group(int64_t g, int64_t last_row, int64_t at, const Chunk<Element>* chunks, int64_t seen) {
    float* out = sums + g * width;
    Engine::template scores<V>(chunks, seen, width, queries + g / kGroup * query_size(), scores);
    if (Engine::kRounds && (call.soft_cap > 0 || call.mask)) {
      stretch<V>(seen);
      left_over = 1;
    } else {
      left_over = rest;
    }
    if (call.soft_cap > 0) cap<V>(seen);
    const bool causal = at + seen - 1 > lasts[g] || at + seen > item.kv_end;
    const bool slides = call.window > 0 && at < positions[last_row] - call.window + 1;
    if (call.mask) add_mask<V>(g, at, seen);
    if (causal || slides) mask<V>(g, at, seen);
    soften<V>(g, seen, out);
    Engine::template values<V>(chunks, seen, width, weights, out);
  }

  /// The sign and the exponent of a number.
  static float power_of_two(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    bits &= 0xff800000u;
    __builtin_memcpy(&x, &bits, 4);
    return x;
  }

  /// What is left of a score's scale.
  TALLOW_INLINE Floats scaled(const float* score) const {
    if constexpr (Engine::kRounds) return load(score) * left_over;
    return load(score);
  }

  template <int V>
  void stretch(int64_t seen) {
    for (int64_t i = 0; i < seen; ++i) {
      for (int v = 0; v < V; ++v) {
        float* s = scores + i * kGroup + v * kLanes;
        store(s, load(s) * rest);
      }
    }
  }

  template <int V>
  void cap(int64_t seen) {
    for (int64_t i = 0; i < seen; ++i) {
      for (int v = 0; v < V; ++v) {
        float* s = scores + i * kGroup + v * kLanes;
        store(s, tanh(load(s)) * (call.soft_cap * kLog2e));
      }
    }
  }

  /// Adds the caller's mask, in units of log2, transposed on the way.
  template <int V>
  void add_mask(int64_t g, int64_t at, int64_t seen) {
    for (int v = 0; v < V; ++v) {
      const float* from[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t row = item.row_begin + smaller(g + v * kLanes + i, rows - 1);
        from[i] = call.mask + row * call.mask_row_stride + at * call.mask_key_stride;
      }
      for (int64_t i = 0; i < seen; i += kLanes) {
        const int64_t left = item.kv_end - at - i;
        if (left <= 0) break;
        Floats tile[kLanes];
        mask_rows(from, i, left, tile);
        transpose(tile);
        float* s = scores + i * kGroup + v * kLanes;
        for (int64_t j = 0; j < kLanes; ++j) store(s + j * kGroup, load(s + j * kGroup) + tile[j]);
      }
    }
  }

  void mask_rows(const float* const* from, int64_t i, int64_t left, Floats (&tile)[kLanes]) {
    const int64_t step = call.mask_key_stride;
    for (int64_t r = 0; r < kLanes; ++r) {
      if (step == 1) {
        tile[r] = left >= kLanes ? load(from[r] + i) : load_first(from[r] + i, left);
      } else {
        float row[kLanes] = {};
        for (int64_t j = 0; j < smaller(left, kLanes); ++j) row[j] = from[r][(i + j) * step];
        tile[r] = load(row);
      }
      tile[r] *= kLog2e;
    }
  }

  template <int V>
  void mask(int64_t g, int64_t at, int64_t seen) {
    for (int v = 0; v < V; ++v) {
      int32_t first[kLanes], last[kLanes];  // what each lane sees, counted from `at`
      for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t p = positions[g + v * kLanes + i];
        const int64_t end = smaller(lasts[g + v * kLanes + i], item.kv_end - 1);
        last[i] = static_cast<int32_t>(smaller(end - at, seen));
        first[i] = call.window > 0 ? static_cast<int32_t>(larger(p - call.window + 1 - at, 0)) : 0;
      }
      const Ints low = load_as<Ints>(first), high = load_as<Ints>(last);
      for (int64_t i = 0; i < seen; ++i) {
        float* s = scores + i * kGroup + v * kLanes;
        const Ints here = static_cast<int32_t>(i) - Ints{};
        const Floats shown = here <= high ? load(s) : splat(-__builtin_inff());
        store(s, here >= low ? shown : splat(-__builtin_inff()));
      }
    }
  }

  /// Scores to weights. The maximum that they are taken against follows the true one only when that
  /// has grown by more than kSlack: until then weights are at most 2^kSlack, which costs no
  /// precision, and earlier sums need no rescaling.
  template <int V>
  void soften(int64_t g, int64_t seen, float* out) {
    Floats before[V], now[V];
    raise_tops<V>(g, seen, before, now);
    Floats total[V][2] = {};
    const float* s = scores;
    Weight* w = weights;
    for (int64_t i = 0; i < seen; i += 4, s += 4 * kGroup, w += 4 * kGroup / Engine::kPerWeight) {
#pragma GCC unroll 2
      for (int k = 0; k < 2; ++k) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          const float* at = s + 2 * k * kGroup + v * kLanes;
          const Floats a = Engine::power(scaled(at) - now[v]);
          const Floats b = Engine::power(scaled(at + kGroup) - now[v]);
          total[v][k] += a + b;
          Engine::put_weights(w + 2 * k * kGroup / Engine::kPerWeight + v * kLanes, a, b);
        }
      }
    }
    for (int v = 0; v < V; ++v) {
      float* total_of = totals + g + v * kLanes;
      if (all_equal(before[v], now[v])) {
        store(total_of, load(total_of) + (total[v][0] + total[v][1]));
        continue;
      }
      const Floats shrink = Engine::power(before[v] - now[v]);
      store(total_of, load(total_of) * shrink + (total[v][0] + total[v][1]));
      rescale(out + v * kLanes, shrink);
    }
  }

  template <int V>
  TALLOW_INLINE void raise_tops(int64_t g, int64_t seen, Floats (&before)[V], Floats (&now)[V]) {
    constexpr float kSlack = 8;
    Floats top[V][2];
    for (int v = 0; v < V; ++v) top[v][0] = top[v][1] = splat(kNoScore);
    const float* s = scores;
    for (int64_t i = 0; i < seen; i += 4, s += 4 * kGroup) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          top[v][k % 2] = max(load(s + k * kGroup + v * kLanes), top[v][k % 2]);
      }
    }
    for (int v = 0; v < V; ++v) {
      Floats found = max(top[v][0], top[v][1]);
      if constexpr (Engine::kRounds) found = max(found * left_over, splat(kNoScore));
      before[v] = load(tops + g + v * kLanes);
      now[v] = found > before[v] + kSlack ? found : before[v];
      store(tops + g + v * kLanes, now[v]);
    }
  }

  void rescale(float* out, Floats factor) {
    for (int64_t d = 0; d < width; ++d, out += kGroup) store(out, load(out) * factor);
  }

  /// Writes the results of a vector of rows.
  void finish(int64_t g) {
    const int64_t live = smaller(kLanes, rows - g);
    const float* from = sums + g / kGroup * kGroup * width + g % kGroup;
    const Floats total = load(totals + g);
    // A row that sees nothing is zero.
    const Floats factor = item.partial ? splat(1.f) : total > 0.f ? 1.f / total : Floats{};
    float* to[kLanes];
    RowCursor cursor(call, item, g);
    for (int64_t i = 0; i < live; ++i, cursor.next()) to[i] = cursor.result();
    for (int64_t d = 0; d < call.dim; d += kLanes) {
      Floats tile[kLanes];  // past the dim it holds what is not written
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i) tile[i] = load(from + (d + i) * kGroup) * factor;
      transpose(tile);
      if (live == kLanes && d + kLanes <= call.dim) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) store(to[i] + d, tile[i]);
      } else {
        const int64_t n = smaller(kLanes, call.dim - d);
        float lanes[kLanes][kLanes];
        for (int64_t i = 0; i < kLanes; ++i) store(lanes[i], tile[i]);
        for (int64_t i = 0; i < live; ++i)
          __builtin_memcpy(to[i] + d, lanes[i], static_cast<size_t>(n) * 4);
      }
    }
    for (int64_t i = 0; item.lse && i < live; ++i) {
      const float sum = totals[g + i];
      item.lse[g + i] = sum > 0 ? tops[g + i] + __builtin_log2f(sum) : __builtin_inff();
    }
    if (!item.partial) return;
    for (int64_t i = 0; i < live; ++i) {
      to[i][call.dim] = tops[g + i];
      to[i][call.dim + 1] = totals[g + i];
    }
  }

  const AttentionCall& call;
  const AttentionItem& item;
  Arena arena;
  int64_t width, rows;
  Reader reader;
  float* queries;  // per group, packed by the engine
  float* sums;     // per group, [width, kGroup]
  float* scores;   // [kAttentionBlock, kGroup]
  Weight* weights;
  float* tops;
  float* totals;
  float rest = 1;       // of the scale, where queries were multiplied by a power of two
  float left_over = 1;  // what the block's scores are still to be multiplied by
  int64_t positions[kAttentionRows], lasts[kAttentionRows];  // of each row, and what it sees last
};

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
