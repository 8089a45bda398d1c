// Attention over caches of bf16 and blocks with vdpbf16ps, for machines without AMX, and for few
// rows on all.
#include "backend/cpu/attention/converted.h"
#include "backend/cpu/attention/few.h"
#include "backend/cpu/attention/pairs.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct DotEngine : PairEngine {
  static constexpr int kHeight = 8;

  static void start() {}

  /// c [kHeight, V vectors] = (plus c) a [kHeight, 2 pairs] * b [pairs, V vectors].
  template <int V, bool kAdd>
  static TALLOW_INLINE void multiply(const uint16_t* a, int64_t stride, int64_t pairs,
                                     const float* b, float* c) {
    __m512 sum[kHeight][V];
#pragma GCC unroll 8
    for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        sum[i][v] = kAdd ? _mm512_loadu_ps(c + i * kGroup + v * kLanes) : _mm512_setzero_ps();
      }
    }
    for (int64_t k = 0; k < pairs; ++k, b += kGroup) {
      __m512bh row[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) row[v] = load_as<__m512bh>(b + v * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kHeight; ++i) {
        const __m512bh x = (__m512bh)_mm512_set1_epi32(load_as<int>(a + i * stride + 2 * k));
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], x, row[v]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) _mm512_storeu_ps(c + i * kGroup + v * kLanes, sum[i][v]);
    }
  }

  template <int V>
  static void scores(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const float* queries, float* out) {
    const int64_t count = seen / kAttentionChunk;
    for (int64_t n = 0; n < count; ++n) {
      const Chunk<uint16_t>& chunk = chunks[n];
      for (int64_t i = 0; i < kAttentionChunk; i += kHeight, out += kHeight * kGroup) {
        multiply<V, false>(chunk.k + i * chunk.k_stride, chunk.k_stride, width / 2, queries, out);
      }
    }
  }

  template <int V>
  static void values(const Chunk<uint16_t>* chunks, int64_t seen, int64_t width,
                     const uint32_t* weights, float* out) {
    const int64_t count = seen / kAttentionChunk;
    constexpr int64_t kPairs = kAttentionChunk / 2;
    for (int64_t n = 0; n < count; ++n, weights += kPairs * kGroup) {
      const Chunk<uint16_t>& chunk = chunks[n];
      for (int64_t d = 0; d < width; d += kHeight) {
        multiply<V, true>(chunk.v + d * chunk.v_stride, chunk.v_stride, kPairs,
                          reinterpret_cast<const float*>(weights), out + d * kGroup);
      }
    }
  }
};

struct PairDot {
  using Element = uint16_t;
  using Operand = uint16_t;
  static constexpr int64_t kStep = 2 * kLanes;

  static TALLOW_INLINE __m512bh load_row(const uint16_t* a) { return load_as<__m512bh>(a); }
  static TALLOW_INLINE void multiply(Floats& sum, __m512bh a, const uint16_t* b) {
    sum = _mm512_dpbf16_ps(sum, a, load_as<__m512bh>(b));
  }
  static void store_operand(const float* from, uint16_t* to, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) store_as(to + i, _mm512_cvtneps_pbh(load(from + i)));
  }
};

void tiled(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  if (call.cache == CacheType::bf16)
    return TiledAttention<DotEngine, ChunkReader<uint16_t>>(call, item, workspace).run();
  TiledAttention<DotEngine, ConvertingReader<uint16_t>>(call, item, workspace).run();
}

void few(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  FewAttention<PairDot, ChunkReader<uint16_t>>(call, item, workspace).run();
}

void packed(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  TiledAttention<DotEngine, PackedReader<uint16_t>>(call, item, workspace).run();
}

}  // namespace

const AttentionKernels attention_kernels{tiled, few, packed};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
