// Attention over bf16 caches with AMX: K rows and V^T rows are A tiles just as they lie in their
// pages; queries and weights, in pairs, are B tiles.
#include "backend/cpu/amx_tiles.h"
#include "backend/cpu/attention/converted.h"
#include "backend/cpu/attention/pairs.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct TileEngine : PairEngine {
  static constexpr int kPitch = kGroup * 4;

  /// Eight tiles of 16 rows of 64 bytes.
  static void start() { _tile_loadconfig(&kFullTiles); }

  // Tiles 0-3 are the sums (row block, then lane block), 4-5 are A, 6-7 are B.
  template <int V>
  static TALLOW_INLINE void clear() {
    _tile_zero(0);
    _tile_zero(2);
    if constexpr (V == 2) {
      _tile_zero(1);
      _tile_zero(3);
    }
  }
  template <int V>
  static TALLOW_INLINE void load_sums(const float* c) {
    _tile_loadd(0, c, kPitch);
    _tile_loadd(2, c + 16 * kGroup, kPitch);
    if constexpr (V == 2) {
      _tile_loadd(1, c + kLanes, kPitch);
      _tile_loadd(3, c + 16 * kGroup + kLanes, kPitch);
    }
  }
  template <int V>
  static TALLOW_INLINE void store_sums(float* c) {
    _tile_stored(0, c, kPitch);
    _tile_stored(2, c + 16 * kGroup, kPitch);
    if constexpr (V == 2) {
      _tile_stored(1, c + kLanes, kPitch);
      _tile_stored(3, c + 16 * kGroup + kLanes, kPitch);
    }
  }
  /// sums += a [32 rows, 32] * b [16 pairs, V vectors].
  template <int V>
  static TALLOW_INLINE void multiply(const uint16_t* a, int64_t stride, const float* b) {
    _tile_loadd(6, b, kPitch);
    _tile_loadd(4, a, stride * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, a + 16 * stride, stride * 2);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (V == 2) {
      _tile_loadd(7, b + kLanes, kPitch);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }

  template <int V>
  static void scores(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const float* queries, float* out) {
    const int64_t count = seen / kAttentionChunk;
    if (width == 64) return scores_of_64<V>(chunks, count, queries, out);
    for (int64_t n = 0; n < count; ++n, out += kAttentionChunk * kGroup) {
      clear<V>();
      for (int64_t d = 0; d < width; d += 32)
        multiply<V>(chunks[n].k + d, chunks[n].k_stride, queries + d / 2 * kGroup);
      store_sums<V>(out);
    }
  }

  /// With 64 features all queries of a group stay in tiles 4-7.
  template <int V>
  static void scores_of_64(const Chunk<uint16_t>* chunks, int64_t count, const float* queries,
                           float* out) {
    _tile_loadd(4, queries, kPitch);
    _tile_loadd(6, queries + 16 * kGroup, kPitch);
    if constexpr (V == 2) {
      _tile_loadd(5, queries + kLanes, kPitch);
      _tile_loadd(7, queries + 16 * kGroup + kLanes, kPitch);
    }
    for (int64_t n = 0; n < count; ++n) {
      const int64_t bytes = chunks[n].k_stride * 2;
      for (int64_t i = 0; i < kAttentionChunk; i += 16, out += 16 * kGroup) {
        const uint16_t* k = chunks[n].k + i * chunks[n].k_stride;
        _tile_loadd(2, k, bytes);
        _tile_loadd(3, k + 32, bytes);
        _tile_zero(0);
        if constexpr (V == 2) _tile_zero(1);
        _tile_dpbf16ps(0, 2, 4);
        if constexpr (V == 2) _tile_dpbf16ps(1, 2, 5);
        _tile_dpbf16ps(0, 3, 6);
        if constexpr (V == 2) _tile_dpbf16ps(1, 3, 7);
        _tile_stored(0, out, kPitch);
        if constexpr (V == 2) _tile_stored(1, out + kLanes, kPitch);
      }
    }
  }

  template <int V>
  static void values(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const uint32_t* weights, float* out) {
    const int64_t count = seen / kAttentionChunk;
    const float* b = reinterpret_cast<const float*>(weights);
    for (int64_t d = 0; d < width; d += 32, out += 32 * kGroup) {
      load_sums<V>(out);
      for (int64_t n = 0; n < count; ++n) {
        multiply<V>(chunks[n].v + d * chunks[n].v_stride, chunks[n].v_stride,
                    b + n * kAttentionChunk / 2 * kGroup);
      }
      store_sums<V>(out);
    }
  }
};

void tiled(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  if (call.cache == CacheType::bf16)
    return TiledAttention<TileEngine, ChunkReader<uint16_t>>(call, item, workspace).run();
  TiledAttention<TileEngine, ConvertingReader<uint16_t>>(call, item, workspace).run();
}

void packed(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  TiledAttention<TileEngine, PackedReader<uint16_t>>(call, item, workspace).run();
}

}  // namespace

const AttentionKernel tiled_attention = tiled;
const AttentionKernel packed_attention = packed;

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
