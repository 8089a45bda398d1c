// Attention of a handful of rows over blocks, compiled once per level: codes become f32 in
// registers, where they meet all rows.
#include "backend/cpu/attention/blocks.h"
#include "backend/cpu/attention/sums.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

template <class C>
class VectorEngine {
 public:
  using Codes = C;

  VectorEngine(int64_t d, int64_t r, Arena& arena)
      : dim(d),
        blocks(d / kBlock),
        row_bytes(blocks * C::kBytes),
        rows(r),
        queries(arena.take<float>(kBlockRows * d)),
        scales(arena.take<float>(kAttentionBlock * blocks)) {}

  void start(const float* from) {
    __builtin_memcpy(queries, from, static_cast<size_t>(kBlockRows * dim) * 4);
  }

  void scores(const BlockChunk& chunk, float* out) const {
    if (rows == 1) return scores_of<1>(chunk, out);
    if (rows == 2) return scores_of<2>(chunk, out);
    if (rows <= 4) return scores_of<4>(chunk, out);
    scores_of<8>(chunk, out);
  }

  void values(const BlockChunk* chunks, int64_t count, const float* weights, float* sums) const {
    read_scales(chunks, count);
    if (rows == 1) return values_of<1>(chunks, count, weights, sums);
    if (rows == 2) return values_of<2>(chunks, count, weights, sums);
    if (rows <= 4) return values_of<4>(chunks, count, weights, sums);
    values_of<8>(chunks, count, weights, sums);
  }

 private:
  template <int R>
  void scores_of(const BlockChunk& chunk, float* out) const {
    const uint8_t* k = chunk.k;
    for (int64_t t = 0; t < kAttentionChunk; ++t, out += kRowLanes) {
      prefetch(chunk.v + t * row_bytes);
      Floats sum[R < 4 ? 4 : R] = {};
      for (int64_t d = 0; d < dim; d += kBlock, k += C::kBytes) {
        const float scale = widen_f16(load_as<uint16_t>(k));
#pragma GCC unroll 8
        for (int64_t at = 0; at < kBlock; at += kLanes) {
          const Floats x = C::codes(k, at) * scale;
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) sum[r] += x * load(queries + r * dim + d + at);
        }
      }
#pragma GCC unroll 2
      for (int r = 0; r < R; r += 4)
        store_as(out + r, sum_four(sum[r], sum[r + 1], sum[r + 2], sum[r + 3]));
    }
  }

  void prefetch(const uint8_t* row) const {
    for (int64_t i = 0; i < row_bytes; i += 64) __builtin_prefetch(row + i);
  }

  /// [blocks, kAttentionBlock], as the values' loop reads them.
  void read_scales(const BlockChunk* chunks, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* v = chunks[i].v;
      for (int64_t t = 0; t < chunks[i].live; ++t) {
        for (int64_t b = 0; b < blocks; ++b, v += C::kBytes)
          scales[b * kAttentionBlock + i * kAttentionChunk + t] = widen_f16(load_as<uint16_t>(v));
      }
    }
  }

  template <int R>
  void values_of(const BlockChunk* chunks, int64_t count, const float* weights, float* sums) const {
    for (int64_t b = 0; b < blocks; ++b) {
#pragma GCC unroll 8
      for (int64_t at = 0; at < kBlock; at += kLanes) {
        float* to = sums + b * kBlock + at;
        Floats sum[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] = load(to + r * dim);
        for (int64_t i = 0; i < count; ++i) {
          const uint8_t* v = chunks[i].v + b * C::kBytes;
          const float* scale = scales + b * kAttentionBlock + i * kAttentionChunk;
          const float* w = weights + i * kAttentionChunk * kRowLanes;
          for (int64_t t = 0; t < chunks[i].live; ++t, v += row_bytes, w += kRowLanes) {
            const Floats x = C::codes(v, at) * scale[t];
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[r] += x * w[r];
          }
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) store(to + r * dim, sum[r]);
      }
    }
  }

  int64_t dim, blocks, row_bytes, rows;
  float* queries;  // [kBlockRows, dim]
  float* scales;   // of the values of a block of positions
};

}  // namespace

const AttentionKernel blocks_attention = block_attention<VectorEngine>;

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
