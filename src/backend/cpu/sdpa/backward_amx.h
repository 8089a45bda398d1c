// The backward pass in bf16, on AMX tiles, where A are rows of 32 of k and B pairs of k:
//   S = Q K^T, dP = dO V^T   A: queries as they are; B: keys, in pairs of dims
//   dV^T += dO^T P           A: dO transposed; B: P in pairs of queries
//   dK^T += Q^T dS           the same
//   dQ += dS K               A: dS as it is; B: keys in pairs, by dims
#pragma once

#include <cstring>

#include "backend/cpu/gemm/panels.h"
#include "backend/cpu/sdpa/sdpa.h"

namespace tallow::cpu {

class AmxBackward {
 public:
  using Element = uint16_t;
  static constexpr int64_t kQueries = 512;
  static constexpr int64_t kUnit = 32;

  explicit AmxBackward(const SdpaSizes& sizes)
      : dim_(sizes.dim),
        width_(round_up(dim_, 32)),
        columns_(sizes.columns),
        keys_(round_up(columns_, kSdpaKeys)) {
    const int64_t head = keys_ * width_, block = kQueries * width_;
    Memory m{scratch(Scratch::x, head * 14 + 4096)};
    key_columns_ = m.take<uint32_t>(head / 2), value_columns_ = m.take<uint32_t>(head / 2);
    key_dims_ = m.take<uint32_t>(head / 2);
    grad_keys_ = m.take<float>(head), grad_values_ = m.take<float>(head);
    Memory q{scratch(Scratch::panel, block * 12 + kQueries * kSdpaKeys * 6 + width_ * 512 + 65536)};
    query_rows_ = q.take<uint16_t>(block), grad_rows_ = q.take<uint16_t>(block);
    query_dims_ = q.take<uint16_t>(block), grad_dims_ = q.take<uint16_t>(block);
    grad_queries_ = q.take<float>(block);
    weights_ = q.take<uint32_t>(kQueries / 2 * kSdpaKeys);
    grad_scores_ = q.take<uint32_t>(kQueries / 2 * kSdpaKeys);
    score_rows_ = q.take<uint16_t>(kQueries * kSdpaKeys);
    scores_ = q.take<float>(kUnit * kSdpaKeys), grad_weights_ = q.take<float>(kUnit * kSdpaKeys);
    delta_ = q.take<float>(kQueries), copy_ = q.take<float>(64 * width_);
    amx_configure();
  }

  int64_t unit() const { return kUnit; }

  void load_keys(const HeadRows<uint16_t>& k, const HeadRows<uint16_t>& v) {
    auto* rows = reinterpret_cast<uint16_t*>(copy_);
    const int64_t words = width_ / 2;
    for (int64_t key = 0; key < keys_; key += kSdpaKeys) {
      copy_rows(k, key, kSdpaKeys, rows);
      pack_columns(rows, key_columns_ + key * words);
      // [16 dims][pairs of keys][16]
      for (int64_t i = 0; i < kSdpaKeys; i += 2) {
        for (int64_t d = 0; d < width_; d += kGroup) {
          amx_pair_rows(rows + i * width_ + d, rows + (i + 1) * width_ + d, kGroup,
                        key_dims_ + key * words + d * kSdpaKeys / 2 + i / 2 * kGroup);
        }
      }
      copy_rows(v, key, kSdpaKeys, rows);
      pack_columns(rows, value_columns_ + key * words);
    }
    std::fill_n(grad_keys_, keys_ * width_, 0.f);
    std::fill_n(grad_values_, keys_ * width_, 0.f);
  }

  void load_queries(const HeadRows<uint16_t>& q, const HeadRows<uint16_t>& grad,
                    const HeadRows<uint16_t>& out, int64_t row, int64_t count) {
    const int64_t padded = round_up(count, kUnit);
    copy_rows(q, row, padded, query_rows_);
    copy_rows(grad, row, padded, grad_rows_);
    transpose(query_rows_, padded, query_dims_);
    transpose(grad_rows_, padded, grad_dims_);
    const GemmKernels& kernels = gemm_kernels();
    float* wide = copy_;
    for (int64_t i = 0; i < count; ++i) {
      kernels.bf16_to_f32(grad.row(row + i), wide, dim_);
      kernels.bf16_to_f32(out.row(row + i), wide + width_, dim_);
      delta_[i] = sdpa_kernels().dot(wide, wide + width_, dim_);
    }
    std::fill_n(grad_queries_, padded * width_, 0.f);
  }

  void block(int64_t key, int64_t begin, int64_t end, SdpaBackRows rows) {
    const float* lse = rows.lse;
    const float* mask = rows.mask;
    const int64_t diagonal = rows.diagonal;
    for (int64_t i = begin; i < end; i += kUnit) {
      rows.rows = std::min(kUnit, end - i);
      rows.lse = lse + (i - begin), rows.delta = delta_ + i;
      rows.mask = mask ? mask + (i - begin) * rows.mask_row_stride : nullptr;
      rows.diagonal = diagonal + (i - begin);
      row_tiles(key, i, rows);
    }
    const int64_t k = round_up(end - begin, 32);
    TileProduct p{width_ / 16,
                  kSdpaKeys / 32,
                  k,
                  grad_dims_ + begin * width_,
                  32,
                  32 * width_,
                  weights_ + begin / 2 * kGroup,
                  kQueries / 2 * kGroup,
                  grad_values_ + key * width_,
                  kSdpaKeys,
                  true};
    amx_product(p);
    p.a = query_dims_ + begin * width_;
    p.b = grad_scores_ + begin / 2 * kGroup;
    p.c = grad_keys_ + key * width_;
    amx_product(p);
  }

  void store_queries(uint16_t* to, int64_t count) const {
    for (int64_t i = 0; i < count; ++i)
      gemm_kernels().f32_to_bf16(grad_queries_ + i * width_, to + i * dim_, dim_);
  }

  void store_keys(uint16_t* grad_k, uint16_t* grad_v) {
    store(grad_keys_, grad_k);
    store(grad_values_, grad_v);
  }

 private:
  struct Memory {
    std::byte* at;
    template <class T>
    T* take(int64_t n) {
      T* p = reinterpret_cast<T*>(at);
      at += round_up(n * int64_t{sizeof(T)}, 64);
      return p;
    }
  };

  /// Rows of `width_`, zeros past the last.
  void copy_rows(const HeadRows<uint16_t>& x, int64_t row, int64_t count, uint16_t* to) const {
    for (int64_t i = 0; i < count; ++i, to += width_) {
      const int64_t n = row + i < x.rows ? dim_ : 0;
      if (n > 0) std::memcpy(to, x.row(row + i), static_cast<size_t>(n) * 2);
      std::memset(to + n, 0, static_cast<size_t>(width_ - n) * 2);
    }
  }

  /// [16 keys][pairs of dims][16] of a block's rows.
  void pack_columns(const uint16_t* rows, uint32_t* to) const {
    const int64_t words = width_ / 2;
    for (int64_t i = 0; i < kSdpaKeys; i += kGroup, to += words * kGroup) {
      gemm_kernels().interleave_32(
          kGroup, words, reinterpret_cast<const uint32_t*>(rows + i * width_), words, to, kGroup);
    }
  }

  /// [32 rows][dim][32]
  void transpose(const uint16_t* rows, int64_t count, uint16_t* to) const {
    for (int64_t i = 0; i < count; i += 16) {
      sdpa_kernels().transpose_16(rows + i * width_, width_, width_,
                                  to + i / 32 * 32 * width_ + i % 32, 32);
    }
  }

  /// 32 queries from row i of the block.
  void row_tiles(int64_t key, int64_t i, SdpaBackRows& rows) {
    const int64_t words = width_ / 2;
    TileProduct p{2,
                  kSdpaKeys / 32,
                  width_,
                  query_rows_ + i * width_,
                  width_,
                  32,
                  key_columns_ + key * words,
                  words * kGroup,
                  scores_,
                  kSdpaKeys,
                  false};
    amx_product(p);
    p.a = grad_rows_ + i * width_, p.b = value_columns_ + key * words, p.c = grad_weights_;
    amx_product(p);
    rows.scores = scores_, rows.grad_weights = grad_weights_;
    const int64_t at = i / 2 * kGroup;
    uint16_t* by_rows = score_rows_ + i * kSdpaKeys;
    amx_back_rows(rows, {weights_ + at, grad_scores_ + at, kQueries / 2 * kGroup, by_rows});
    if (rows.rows < kUnit) clear_rows(i, round_up(rows.rows, 2));
    const TileProduct q{2,
                        width_ / 32,
                        kSdpaKeys,
                        by_rows,
                        kSdpaKeys,
                        32,
                        key_dims_ + key * words,
                        kSdpaKeys / 2 * kGroup,
                        grad_queries_ + i * width_,
                        width_,
                        true};
    amx_product(q);
  }

  /// Zeros for the rows from `used` on of the 32 from row i.
  void clear_rows(int64_t i, int64_t used) {
    const size_t words = static_cast<size_t>((kUnit - used) / 2 * kGroup);
    for (int64_t g = 0; g < kSdpaKeys / kGroup; ++g) {
      const int64_t at = g * kQueries / 2 * kGroup + (i + used) / 2 * kGroup;
      std::memset(weights_ + at, 0, words * 4);
      std::memset(grad_scores_ + at, 0, words * 4);
    }
    std::memset(score_rows_ + (i + used) * kSdpaKeys, 0,
                static_cast<size_t>((kUnit - used) * kSdpaKeys) * 2);
  }

  /// Rows from [block of keys][dim][keys].
  void store(const float* from, uint16_t* to) {
    for (int64_t key = 0; key < columns_; key += kSdpaKeys) {
      const int64_t count = std::min(kSdpaKeys, columns_ - key);
      for (int64_t d = 0; d < width_; d += kGroup) {
        interleave<float>(gemm_kernels(), kGroup, count, from + key * width_ + d * kSdpaKeys,
                          kSdpaKeys, 1, copy_ + d, width_);
      }
      for (int64_t i = 0; i < count; ++i)
        gemm_kernels().f32_to_bf16(copy_ + i * width_, to + (key + i) * dim_, dim_);
    }
  }

  int64_t dim_, width_, columns_, keys_;
  uint32_t *key_columns_, *value_columns_, *key_dims_;
  float *grad_keys_, *grad_values_;
  uint16_t *query_rows_, *grad_rows_, *query_dims_, *grad_dims_;
  float* grad_queries_;
  uint32_t *weights_, *grad_scores_;
  uint16_t* score_rows_;
  float *scores_, *grad_weights_, *delta_, *copy_;
};

}  // namespace tallow::cpu
