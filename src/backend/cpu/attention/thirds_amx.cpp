// Dense attention in f32 with AMX: keys, values, queries and weights are cut into thirds of bf16
// (gemm/thirds.h), of which six products give f32's precision.
#include "backend/cpu/amx_tiles.h"
#include "backend/cpu/attention/tiled.h"
#include "backend/cpu/gemm/thirds_tiles.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct ThirdsEngine {
  using Element = uint16_t;
  using Weight = uint32_t;
  static constexpr int64_t kPad = 32, kPerWeight = 2, kParts = 3, kKeys = kAttentionChunk;
  static constexpr bool kRounds = false;
  static constexpr int64_t kPitch = kGroup * 4;
  static constexpr int64_t kWeightsThird = kAttentionBlock / 2 * kGroup;

  /// Eight tiles of 16 rows of 64 bytes.
  static void start() { _tile_loadconfig(&kFullTiles); }

  static TALLOW_INLINE void put_thirds(Floats low, Floats high, uint32_t* target, int64_t third) {
    const Thirds t = thirds(low, high);
    for (int i = 0; i < 3; ++i) _mm512_storeu_si512(target + i * third, t.v[i]);
  }

  static void pack(const float* const* from, int64_t dim, int64_t width, float scale, float* group,
                   int64_t lane) {
    uint32_t* target = reinterpret_cast<uint32_t*>(group) + lane;
    for (int64_t d = 0; d < width; d += kLanes, target += kLanes / 2 * kGroup) {
      const int64_t n = smaller(kLanes, dim - d);
      Floats tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        tile[i] = n == kLanes ? load(from[i] + d) : n > 0 ? load_first(from[i] + d, n) : Floats{};
        tile[i] *= scale;
      }
      transpose(tile);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kLanes; i += 2) {
        put_thirds(tile[i], tile[i + 1], target + i / 2 * kGroup, width / 2 * kGroup);
      }
    }
  }

  /// sums += rows a, b [16, 32] each times lanes [16 pairs, V vectors].
  template <int V>
  static TALLOW_INLINE void multiply(const uint16_t* a, const uint16_t* b, const uint32_t* lanes,
                                     int64_t lanes_third) {
    step<2, V>(
        a, b, [&](int third) __attribute__((always_inline)) {
          _tile_loadd(6, lanes + third * lanes_third, kPitch);
          if (V == 2) _tile_loadd(7, lanes + third * lanes_third + kLanes, kPitch);
        });
  }

  template <int V>
  static void scores(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const float* queries, float* out) {
    const auto* lanes = reinterpret_cast<const uint32_t*>(queries);
    for (int64_t n = 0; n < seen / kAttentionChunk; ++n, out += kAttentionChunk * kGroup) {
      const uint16_t* k = chunks[n].k;
      clear<2, V>();
      for (int64_t d = 0; d < width; d += kSplitDepth, k += kSplitTile) {
        multiply<V>(k, k + chunks[n].k_stride, lanes + d / 2 * kGroup, width / 2 * kGroup);
      }
      put<2, V>(out, kGroup);
    }
  }

  template <int V>
  static void values(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const uint32_t* weights, float* out) {
    const int64_t stride = chunks[0].v_stride;
    const uint16_t* v = chunks[0].v;
    for (int64_t d = 0; d < width; d += 32, out += 32 * kGroup, v += 2 * stride) {
      get<2, V>(out, kGroup);
      for (int64_t n = 0; n < seen / kAttentionChunk; ++n) {
        const uint16_t* a = v + n * kSplitTile;
        multiply<V>(a, a + stride, weights + n * kAttentionChunk / 2 * kGroup, kWeightsThird);
      }
      put<2, V>(out, kGroup);
    }
  }

  static TALLOW_INLINE Floats power(Floats x) { return exp2_exact(x); }

  static TALLOW_INLINE void put_weights(uint32_t* weights, Floats a, Floats b) {
    put_thirds(a, b, weights, kWeightsThird);
  }
};

/// Reads what SplitHead packed; strides are those between groups of 16 keys and of 16 features.
struct ThirdsReader {
  const uint16_t* keys;
  const uint16_t* values;
  int64_t k_stride, v_stride;

  ThirdsReader(const AttentionCall&, const AttentionItem& item, int64_t width, Arena&)
      : keys(static_cast<const uint16_t*>(item.keys)),
        values(static_cast<const uint16_t*>(item.values)),
        k_stride(width / kSplitDepth * kSplitTile),
        v_stride(round_up(item.length, kAttentionChunk) / kAttentionChunk * kSplitTile) {}

  Chunk<uint16_t> read(int64_t position, int64_t) const {
    const int64_t chunk = position / kAttentionChunk;
    return {keys + 2 * chunk * k_stride, values + chunk * kSplitTile, k_stride, v_stride};
  }
};

void packed(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  TiledAttention<ThirdsEngine, ThirdsReader>(call, item, workspace).run();
}

}  // namespace

const AttentionKernel thirds_attention = packed;

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
