// Attention of a handful of rows over a cache of blocks, as in decoding: codes meet queries and
// weights as they lie in their pages, with no copy in between. A lane is a row in the softmax. An
// Engine does the two products:
//   Codes                    EightBits or FourBits
//   start(queries)           once an item; queries [kBlockRows, dim] are scaled
//   scores(chunk, out)       of all 32 positions, [positions, kRowLanes]
//   values(chunks, ...)      sums [kBlockRows, dim] += weights [positions, kRowLanes] * values
#pragma once

#include "backend/cpu/attention/chunks.h"
#include "backend/cpu/attention/codes.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int kRowLanes = kLanes > kBlockRows ? kLanes : kBlockRows;
constexpr int kRowVectors = kRowLanes / kLanes;

/// Keys and values of 32 positions, a token a row; those past `live` may hold anything.
struct BlockChunk {
  const uint8_t* k;
  const uint8_t* v;
  int64_t live;
};

template <class Engine>
class BlockAttention {
  static constexpr int64_t kChunks = kAttentionBlock / kAttentionChunk;

 public:
  BlockAttention(const AttentionCall& c, const AttentionItem& i, std::byte* workspace)
      : call(c),
        item(i),
        arena{workspace},
        rows(i.row_end - i.row_begin),
        row_bytes(c.dim / kBlock * Engine::Codes::kBytes),
        copies(arena.take<uint8_t>(2 * kAttentionBlock * row_bytes)),
        sums(arena.take<float>(kBlockRows * c.dim)),
        scores(arena.take<float>(kAttentionBlock * kRowLanes)),
        engine(c.dim, rows, arena) {}

  void run() {
    start();
    const int64_t end = smaller(item.kv_end, lasts[rows - 1] + 1);
    for (int64_t at = item.kv_begin; at < end; at += kAttentionBlock)
      block(at, smaller(kAttentionBlock, end - at));
    for (int64_t r = 0; r < rows; ++r)
      write_result(call, item, sums + r * call.dim, tops[r], totals[r], results[r]);
  }

 private:
  /// Lanes past the rows repeat the last one; nothing of theirs is written.
  void start() {
    float* scaled = sums;
    const float scale = query_scale(call);
    RowCursor cursor(call, item, 0);
    for (int64_t r = 0; r < kRowLanes; ++r) {
      positions[r] = cursor.position();
      lasts[r] = cursor.last();
      results[r] = cursor.result();
      tops[r] = kNoScore;
      totals[r] = 0;
      if (r < kBlockRows) {
        const float* q = cursor.query();
        for (int64_t d = 0; d < call.dim; d += kLanes)
          store(scaled + r * call.dim + d, load(q + d) * scale);
      }
      if (r + 1 < rows) cursor.next();
    }
    engine.start(scaled);
    __builtin_memset(sums, 0, static_cast<size_t>(kBlockRows * call.dim) * 4);
  }

  void block(int64_t at, int64_t seen) {
    const int64_t count = (seen + kAttentionChunk - 1) / kAttentionChunk;
    const int64_t padded = count * kAttentionChunk;
    BlockChunk chunks[kChunks];
    for (int64_t i = 0; i < count; ++i) {
      chunks[i] = read(at + i * kAttentionChunk, i);
      engine.scores(chunks[i], scores + i * kAttentionChunk * kRowLanes);
    }
    if (call.soft_cap > 0) {
      for (int64_t i = 0; i < padded * kRowLanes; i += kLanes)
        store(scores + i, tanh(load(scores + i)) * (call.soft_cap * kLog2e));
    }
    const bool slides = call.window > 0 && at <= positions[rows - 1] - call.window;
    if (slides || at + padded > smaller(lasts[0] + 1, item.kv_end)) mask(at, padded);
    for (int v = 0; v < kRowVectors; ++v) soften(v * kLanes, padded);
    engine.values(chunks, count, scores, sums);
  }

  /// The chunk at `position`, `index` of its block.
  BlockChunk read(int64_t position, int64_t index) const {
    const auto* k = static_cast<const uint8_t*>(call.k_cache);
    const auto* v = static_cast<const uint8_t*>(call.v_cache);
    const int64_t live = smaller(kAttentionChunk, item.length - position);
    if (call.page_size % kAttentionChunk == 0)
      return {k + row_at(position), v + row_at(position), live};
    uint8_t* to = copies + index * 2 * kAttentionChunk * row_bytes;
    for (int64_t i = 0; i < live; ++i) {
      const int64_t from = row_at(position + i);
      const auto bytes = static_cast<size_t>(row_bytes);
      __builtin_memcpy(to + i * row_bytes, k + from, bytes);
      __builtin_memcpy(to + (kAttentionChunk + i) * row_bytes, v + from, bytes);
    }
    return {to, to + kAttentionChunk * row_bytes, live};
  }

  /// Where a position's row begins, in bytes.
  int64_t row_at(int64_t position) const {
    const int64_t index = item.sequence * call.max_pages + position / call.page_size;
    const int64_t page = call.page_table[index] * call.kv_heads + item.kv_head;
    return (page * call.page_size + position % call.page_size) * row_bytes;
  }

  void mask(int64_t at, int64_t padded) {
    for (int v = 0; v < kRowVectors; ++v) {
      int32_t first[kLanes], last[kLanes];  // what each lane sees, counted from `at`
      for (int i = 0; i < kLanes; ++i) {
        const int64_t low = positions[v * kLanes + i] - call.window + 1 - at;
        const int64_t high = smaller(lasts[v * kLanes + i], item.kv_end - 1) - at;
        first[i] = call.window > 0 ? static_cast<int32_t>(larger(low, 0)) : 0;
        last[i] = static_cast<int32_t>(smaller(high, padded));
      }
      const Ints low = load_as<Ints>(first), high = load_as<Ints>(last);
      for (int64_t i = 0; i < padded; ++i) {
        float* s = scores + i * kRowLanes + v * kLanes;
        const Ints here = static_cast<int32_t>(i) - Ints{};
        const Floats shown = here <= high ? load(s) : splat(-__builtin_inff());
        store(s, here >= low ? shown : splat(-__builtin_inff()));
      }
    }
  }

  /// Scores to weights, for a vector of rows; earlier sums follow the new maximum.
  void soften(int64_t lane, int64_t padded) {
    float* s = scores + lane;
    const Floats before = load(tops + lane);
    Floats top = before;
    for (int64_t i = 0; i < padded; ++i) top = max(load(s + i * kRowLanes), top);
    Floats total = {};
    for (int64_t i = 0; i < padded; ++i) {
      const Floats p = exp2_exact(load(s + i * kRowLanes) - top);
      total += p;
      store(s + i * kRowLanes, p);
    }
    const Floats shrink = exp2_exact(before - top);
    store(tops + lane, top);
    store(totals + lane, load(totals + lane) * shrink + total);
    if (all_equal(before, top)) return;
    float factors[kLanes];
    store(factors, shrink);
    for (int64_t r = lane; r < smaller(lane + kLanes, rows); ++r) {
      float* o = sums + r * call.dim;
      for (int64_t d = 0; d < call.dim; d += kLanes) store(o + d, load(o + d) * factors[r - lane]);
    }
  }

  const AttentionCall& call;
  const AttentionItem& item;
  Arena arena;
  int64_t rows, row_bytes;
  uint8_t* copies;  // of chunks that lie in several pages
  float* sums;      // [kBlockRows, dim]
  float* scores;    // [kAttentionBlock, kRowLanes], then weights
  Engine engine;
  alignas(64) float tops[kRowLanes];
  alignas(64) float totals[kRowLanes];
  int64_t positions[kRowLanes], lasts[kRowLanes];
  float* results[kRowLanes];
};

template <template <class> class Engine>
void block_attention(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  if (call.cache == CacheType::q8_0)
    return BlockAttention<Engine<EightBits>>(call, item, workspace).run();
  BlockAttention<Engine<FourBits>>(call, item, workspace).run();
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
