// Attention in f32, compiled once per level; other caches are converted as they are read.
#include "backend/cpu/attention/converted.h"
#include "backend/cpu/attention/few.h"
#include "backend/cpu/attention/tiled.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct FloatEngine {
  using Element = float;
  using Weight = float;
  static constexpr int kHeight = kLanes == 16 ? 8 : 4;  // rows of A whose sums stay in registers
  static constexpr int64_t kPad = 8, kPerWeight = 1, kParts = 1,
                           kKeys = kHeight;  // packed heads have kPad too
  static constexpr bool kRounds = false;

  static void start() {}

  static void pack(const float* const* from, int64_t dim, int64_t width, float scale, float* group,
                   int64_t lane) {
    for (int64_t d = 0; d < width; d += kLanes) {
      const int64_t n = smaller(kLanes, dim - d);
      Floats tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        tile[i] = !from[i]      ? Floats{}
                  : n == kLanes ? load(from[i] + d)
                                : load_first(from[i] + d, n);
        tile[i] *= scale;
      }
      transpose(tile);
      for (int64_t i = 0; i < smaller(kLanes, width - d); ++i)
        store(group + (d + i) * kGroup + lane, tile[i]);
    }
  }

  /// sum [kHeight, V vectors] += a [kHeight, depth] * b [depth, V vectors].
  template <int V>
  static TALLOW_INLINE void multiply(const float* a, int64_t stride, int64_t depth, const float* b,
                                     Floats (&sum)[kHeight][V]) {
    for (int64_t k = 0; k < depth; ++k, b += kGroup) {
      Floats row[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) row[v] = load(b + v * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < kHeight; ++i) {
        const Floats x = splat(a[i * stride + k]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[i][v] += x * row[v];
      }
    }
  }
  template <int V>
  static TALLOW_INLINE void put(const Floats (&sum)[kHeight][V], float* c) {
#pragma GCC unroll 8
    for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) store(c + i * kGroup + v * kLanes, sum[i][v]);
    }
  }

  template <int V>
  static void scores(const Chunk<float>* chunks, int64_t seen, int64_t width, const float* queries,
                     float* out) {
    for (int64_t at = 0; at < seen; at += kHeight, out += kHeight * kGroup) {
      const Chunk<float>& chunk = chunks[at / kAttentionChunk];
      Floats sum[kHeight][V] = {};
      multiply<V>(chunk.k + at % kAttentionChunk * chunk.k_stride, chunk.k_stride, width, queries,
                  sum);
      put<V>(sum, out);
    }
  }

  template <int V>
  static void values(const Chunk<float>* chunks, int64_t seen, int64_t width, const float* weights,
                     float* out) {
    for (int64_t d = 0; d < width; d += kHeight, out += kHeight * kGroup) {
      Floats sum[kHeight][V];
#pragma GCC unroll 8
      for (int i = 0; i < kHeight; ++i) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[i][v] = load(out + i * kGroup + v * kLanes);
      }
      for (int64_t at = 0; at < seen; at += kAttentionChunk) {
        const Chunk<float>& chunk = chunks[at / kAttentionChunk];
        multiply<V>(chunk.v + d * chunk.v_stride, chunk.v_stride,
                    smaller(kAttentionChunk, seen - at), weights + at * kGroup, sum);
      }
      put<V>(sum, out);
    }
  }

  static TALLOW_INLINE Floats power(Floats x) { return exp2_exact(x); }

  static TALLOW_INLINE void put_weights(float* weights, Floats a, Floats b) {
    store(weights, a);
    store(weights + kGroup, b);
  }
};

struct F16 {
  uint16_t bits;
};

template <class C>
struct FloatDot {
  using Element = C;
  using Operand = float;
  static constexpr int64_t kStep = kLanes;

  static TALLOW_INLINE Floats load_row(const float* a) { return load(a); }
  static TALLOW_INLINE Floats load_row(const uint16_t* a) { return widen(load_as<Halves>(a)); }
  static TALLOW_INLINE Floats load_row(const F16* a) { return widen_f16(load_as<Halves>(a)); }
  static TALLOW_INLINE void multiply(Floats& sum, Floats a, const float* b) { sum += a * load(b); }
  static void store_operand(const float* from, float* to, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) store(to + i, load(from + i));
  }
};

void tiled(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  if (call.cache == CacheType::f32)
    return TiledAttention<FloatEngine, ChunkReader<float>>(call, item, workspace).run();
  TiledAttention<FloatEngine, ConvertingReader<float>>(call, item, workspace).run();
}

void few(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  switch (call.cache) {
    case CacheType::f32:
      return FewAttention<FloatDot<float>, ChunkReader<float>>(call, item, workspace).run();
    case CacheType::bf16:
      return FewAttention<FloatDot<uint16_t>, ChunkReader<uint16_t>>(call, item, workspace).run();
    default: FewAttention<FloatDot<F16>, ChunkReader<F16>>(call, item, workspace).run();
  }
}

void packed(const AttentionCall& call, const AttentionItem& item, std::byte* workspace) {
  TiledAttention<FloatEngine, PackedReader<float>>(call, item, workspace).run();
}

}  // namespace

const AttentionKernels attention_kernels{tiled, few, packed};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
