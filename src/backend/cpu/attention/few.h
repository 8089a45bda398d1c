// Attention of a handful of rows, as in decoding: every byte of K and V is read once and meets all
// rows, so that memory is the limit. Scores are dot products of rows of K, values of rows of V^T.
// A Dot does them:
//   Element, Operand         what K and V are read as; what queries and weights are stored as
//   kStep                    elements at a time
//   load_row, multiply       a vector of a row; sum += its products with operands
//   store_operand(...)       f32 to operands
#pragma once

#include "backend/cpu/attention/chunks.h"
#include "backend/cpu/attention/sums.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int kFewRows = 4;  // rows whose sums stay in registers together

template <class Dot, class Reader>
class FewAttention {
  using Element = typename Dot::Element;
  using Operand = typename Dot::Operand;
  static constexpr int64_t kChunks = kAttentionBlock / kAttentionChunk;

 public:
  FewAttention(const AttentionCall& c, const AttentionItem& i, std::byte* workspace)
      : call(c),
        item(i),
        arena{workspace},
        width(round_up(c.dim, larger(Dot::kStep, 4))),
        rows(i.row_end - i.row_begin),
        reader(c, i, width, arena),
        queries(arena.take<Operand>(width * kAttentionRows)),
        sums(arena.take<float>(width * kAttentionRows)) {}

  void run() {
    for (int64_t r = 0; r < rows; r += kFewRows) {
      switch (smaller(kFewRows, rows - r)) {
        case 1: some<1>(r); break;
        case 2: some<2>(r); break;
        case 3: some<3>(r); break;
        default: some<4>(r);
      }
    }
  }

 private:
  template <int R>
  void some(int64_t row) {
    const float scale = query_scale(call);
    RowCursor cursor(call, item, row);
    for (int r = 0; r < R; ++r, cursor.next()) {
      const float* q = cursor.query();
      positions[r] = cursor.position();
      lasts[r] = cursor.last();
      results[r] = cursor.result();
      float* padded = sums;
      for (int64_t d = 0; d < width; ++d) padded[d] = d < call.dim ? q[d] * scale : 0;
      Dot::store_operand(padded, queries + r * width, width);
      tops[r] = kNoScore;
      totals[r] = 0;
    }
    __builtin_memset(sums, 0, static_cast<size_t>(R * width) * 4);
    const int64_t end = smaller(item.kv_end, lasts[R - 1] + 1);
    for (int64_t at = item.kv_begin; at < end; at += kAttentionBlock)
      block<R>(at, smaller(kAttentionBlock, end - at));
    for (int r = 0; r < R; ++r)
      write_result(call, item, sums + r * width, tops[r], totals[r], results[r]);
  }

  template <int R>
  void block(int64_t at, int64_t seen) {
    const int64_t count = (seen + kAttentionChunk - 1) / kAttentionChunk;
    Chunk<Element> chunks[kChunks];
    for (int64_t i = 0; i < count; ++i) {
      chunks[i] = reader.read(at + i * kAttentionChunk, i);
      Rows keys{chunks[i].k, chunks[i].k_stride};
      for (int64_t j = 0; j < kAttentionChunk; j += 4, keys.at += 4 * keys.stride) {
        Quad dots[R];
        products<R>(&keys, 1, width, queries, width, dots);
        float* s = scores + i * kAttentionChunk + j;
        for (int r = 0; r < R; ++r) store_as(s + r * kAttentionBlock, dots[r]);
      }
    }
    float shrink[R];
    for (int r = 0; r < R; ++r) shrink[r] = soften(r, at, seen, count * kAttentionChunk);
    Rows values[kChunks];
    for (int64_t i = 0; i < count; ++i) values[i] = {chunks[i].v, chunks[i].v_stride};
    for (int64_t d = 0; d < width; d += 4) {
      Quad dots[R];
      products<R>(values, count, kAttentionChunk, weights, kAttentionBlock, dots);
      for (int r = 0; r < R; ++r) {
        float* o = sums + r * width + d;
        store_as(o, load_as<Quad>(o) * shrink[r] + dots[r]);
      }
      for (int64_t i = 0; i < count; ++i) values[i].at += 4 * values[i].stride;
    }
  }

  struct Rows {
    const Element* at;
    int64_t stride;
  };

  /// The products of four rows with R operands; a row is `count` pieces of `length` elements.
  template <int R>
  static TALLOW_INLINE void products(const Rows* pieces, int64_t count, int64_t length,
                                     const Operand* operands, int64_t operand_stride, Quad* dots) {
    Floats sum[4][R] = {};
    for (int64_t i = 0; i < count; ++i) {
      const Element* at = pieces[i].at;
      const int64_t stride = pieces[i].stride;
      const Operand* b = operands + i * length;
      for (int64_t x = 0; x < length; x += Dot::kStep) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          const auto a = Dot::load_row(at + k * stride + x);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) Dot::multiply(sum[k][r], a, b + r * operand_stride + x);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) dots[r] = sum_four(sum[0][r], sum[1][r], sum[2][r], sum[3][r]);
  }

  /// Scores of row r to weights; returns what earlier sums are to be multiplied by.
  float soften(int r, int64_t at, int64_t seen, int64_t padded) {
    float* s = scores + r * kAttentionBlock;
    if (call.soft_cap > 0) {
      for (int64_t i = 0; i < padded; i += kLanes)
        store(s + i, tanh(load(s + i)) * (call.soft_cap * kLog2e));
    }
    const int64_t end = larger(0, smaller(seen, lasts[r] - at + 1));
    const int64_t low = positions[r] - at - call.window + 1;
    const int64_t begin = call.window > 0 ? smaller(end, larger(0, low)) : 0;
    for (int64_t i = 0; i < begin; ++i) s[i] = -__builtin_inff();
    for (int64_t i = end; i < padded; ++i) s[i] = -__builtin_inff();

    Floats top = splat(tops[r]);
    for (int64_t i = 0; i < padded; i += kLanes) top = max(load(s + i), top);
    const float now = max_lanes(top);
    Floats total = {};
    for (int64_t i = 0; i < padded; i += kLanes) {
      const Floats p = exp2_exact(load(s + i) - now);
      total += p;
      store(s + i, p);
    }
    Dot::store_operand(s, weights + r * kAttentionBlock, padded);
    float shrinks[kLanes];
    store(shrinks, exp2_exact(splat(tops[r] - now)));
    totals[r] = totals[r] * shrinks[0] + sum_lanes(total);
    tops[r] = now;
    return shrinks[0];
  }

  const AttentionCall& call;
  const AttentionItem& item;
  Arena arena;
  int64_t width, rows;
  Reader reader;
  Operand* queries;  // [kFewRows, width]
  float* sums;       // [kFewRows, width]
  alignas(64) float scores[kFewRows * kAttentionBlock];
  alignas(64) Operand weights[kFewRows * kAttentionBlock];
  float tops[kFewRows], totals[kFewRows];
  int64_t positions[kFewRows], lasts[kFewRows];
  float* results[kFewRows];
};

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
