// How the attention kernels read the paged cache: 32 positions at a time, straight from their page
// where its layout suits the kernel, else through a padded copy.
#pragma once

#include <type_traits>

#include "backend/cpu/attention/attention.h"
#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr float kLog2e = 1.44269504f;
constexpr float kNoScore = -1e30f;  // below any score, yet finite, so that differences are not NaN

TALLOW_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TALLOW_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
TALLOW_INLINE int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/// Hands out parts of the workspace.
struct Arena {
  std::byte* at;
  template <class T>
  T* take(int64_t n) {
    T* p = reinterpret_cast<T*>(at);
    at += round_up(n * static_cast<int64_t>(sizeof(T)), 64);
    return p;
  }
};

/// Keys [32, dim] and transposed values [dim, 32] of a chunk, rows `stride` elements apart.
template <class E>
struct Chunk {
  const E* k;
  const E* v;
  int64_t k_stride, v_stride;
};

/// What every reader of the paged cache knows: where a position is, and where copies go.
template <class E>
struct PagedReader {
  const AttentionCall& call;
  const AttentionItem& item;
  int64_t width;
  E* keys;  // copies of the chunks of a block
  E* values;

  PagedReader(const AttentionCall& c, const AttentionItem& i, int64_t padded, Arena& arena)
      : call(c),
        item(i),
        width(padded),
        keys(arena.take<E>(kAttentionBlock * padded)),
        values(arena.take<E>(kAttentionBlock * padded)) {}

  /// The element offset of the page that holds a position.
  int64_t page(int64_t position) const {
    const int64_t number =
        call.page_table[item.sequence * call.max_pages + position / call.page_size];
    return (number * call.kv_heads + item.kv_head) * call.page_size * call.dim;
  }

  /// Calls copy(element offset of the page, slot, count, k, v) for the runs of a chunk's positions
  /// that lie in one page; the rest of the copy is zero.
  template <class F>
  Chunk<E> copied(int64_t position, int64_t index, const F& copy) const {
    E* k = keys + index * kAttentionChunk * width;
    E* v = values + index * kAttentionChunk * width;
    const int64_t count = smaller(kAttentionChunk, item.length - position);
    if (count < kAttentionChunk || width != call.dim) {
      __builtin_memset(k, 0, static_cast<size_t>(kAttentionChunk * width) * sizeof(E));
      __builtin_memset(v, 0, static_cast<size_t>(kAttentionChunk * width) * sizeof(E));
    }
    for (int64_t i = 0; i < count;) {
      const int64_t slot = (position + i) % call.page_size;
      const int64_t run = smaller(count - i, call.page_size - slot);
      copy(page(position + i), slot, run, k + i * width, v + i);
      i += run;
    }
    return {k, v, width, kAttentionChunk};
  }
};

/// Reads a cache of elements E as chunks, whose dim is padded with zeros to `width`.
template <class E>
struct ChunkReader : PagedReader<E> {
  bool direct;  // whole chunks need no copy

  using PagedReader<E>::call;
  using PagedReader<E>::item;

  ChunkReader(const AttentionCall& c, const AttentionItem& i, int64_t padded, Arena& arena)
      : PagedReader<E>(c, i, padded, arena),
        direct(c.dim == padded && c.page_size % kAttentionChunk == 0) {}

  /// The chunk at `position`, `index` of its block.
  Chunk<E> read(int64_t position, int64_t index) const {
    const auto* k_cache = static_cast<const E*>(call.k_cache);
    const auto* v_cache = static_cast<const E*>(call.v_cache);
    if (direct) {
      const int64_t base = this->page(position), slot = position % call.page_size;
      const E* k = k_cache + base + slot * call.dim;
      const E* v = v_cache + base + slot;
      if (position + kAttentionChunk <= item.length) return {k, v, call.dim, call.page_size};
      E* live = this->values + index * kAttentionChunk * this->width;
      copy_live(v, item.length - position, live);
      return {k, live, call.dim, kAttentionChunk};
    }
    return this->copied(
        position, index, [&](int64_t base, int64_t slot, int64_t count, E* k, E* v) {
          for (int64_t d = 0; d < call.dim; ++d) {
            const E* from = v_cache + base + d * call.page_size + slot;
            for (int64_t i = 0; i < count; ++i) v[d * kAttentionChunk + i] = from[i];
          }
          for (int64_t i = 0; i < count; ++i) {
            __builtin_memcpy(k + i * this->width, k_cache + base + (slot + i) * call.dim,
                             static_cast<size_t>(call.dim) * sizeof(E));
          }
        });
  }

  /// Copies the values of a chunk's first `count` slots, zeros for the rest: these may hold
  /// anything, NaN included, which a weight of 0 would not silence.
  void copy_live(const E* from, int64_t count, E* v) const {
    using Bits = std::conditional_t<sizeof(E) == 2, uint16_t, uint32_t>;
    Bits live[kAttentionChunk];
    for (int64_t i = 0; i < kAttentionChunk; ++i) live[i] = static_cast<Bits>(i < count ? -1 : 0);
    for (int64_t d = 0; d < this->width; ++d, from += call.page_size, v += kAttentionChunk) {
      Bits row[kAttentionChunk];
      __builtin_memcpy(row, from, sizeof row);
      for (int64_t i = 0; i < kAttentionChunk; ++i) row[i] &= live[i];
      __builtin_memcpy(v, row, sizeof row);
    }
  }
};

/// Reads keys and values that were packed before, as chunks.
template <class E>
struct PackedReader {
  const E* keys;
  const E* values;
  int64_t width;

  PackedReader(const AttentionCall&, const AttentionItem& item, int64_t padded, Arena&)
      : keys(static_cast<const E*>(item.keys)),
        values(static_cast<const E*>(item.values)),
        width(padded) {}

  Chunk<E> read(int64_t position, int64_t) const {
    return {keys + position * width, values + position * width, width, kAttentionChunk};
  }
};

/// A row of an item: its query and head, stepped through without a division each.
struct RowCursor {
  const AttentionCall& call;
  const AttentionItem& item;
  int64_t row;
  int64_t token, head;  // of the sequence, and of the group

  RowCursor(const AttentionCall& c, const AttentionItem& i, int64_t from)
      : call(c),
        item(i),
        row(from),
        token((i.row_begin + from) / c.group),
        head((i.row_begin + from) % c.group) {}

  void next() {
    ++row;
    if (++head == call.group) head = 0, ++token;
  }
  int64_t position() const { return call.causal ? item.first_position + token : item.length - 1; }
  /// The last position that the row sees.
  int64_t last() const {
    if (!call.visible) return position();
    return larger(position(), smaller(call.visible[item.first_token + token], item.length) - 1);
  }
  const float* query() const {
    return call.queries + (item.first_token + token) * call.query_stride +
           (item.kv_head * call.group + head) * call.dim;
  }
  float* result() const {
    if (item.partial) return item.partial + row * (call.dim + 2);
    return call.out +
           ((item.first_token + token) * call.heads + item.kv_head * call.group + head) * call.dim;
  }
};

/// Writes a row's result from its sum of values, its largest score and its sum of weights.
TALLOW_INLINE void write_result(const AttentionCall& call, const AttentionItem& item,
                                const float* sum, float top, float total, float* to) {
  const float factor = item.partial ? 1.f : 1.f / total;
  for (int64_t d = 0; d < call.dim; ++d) to[d] = sum[d] * factor;
  if (!item.partial) return;
  to[call.dim] = top;
  to[call.dim + 1] = total;
}

/// What queries are multiplied by, so that scores come out in units of log2 (before a soft cap).
TALLOW_INLINE float query_scale(const AttentionCall& call) {
  return call.soft_cap > 0 ? call.scale / call.soft_cap : call.scale * kLog2e;
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
