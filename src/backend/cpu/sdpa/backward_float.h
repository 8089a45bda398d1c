// The backward pass in f32, on the tiles of the matrix product. In their terms (x: rows of a panel
// interleaved; w: groups of 16 columns):
//   S = Q K^T, dP = dO V^T   x: queries; w: keys
//   dV^T += dO^T P           x: dims of dO; w: P as it is written, keys
//   dK^T += Q^T dS           the same
//   dQ += dS K               x: dS interleaved; w: dims of K
#pragma once

#include <cstring>

#include "backend/cpu/gemm/panels.h"
#include "backend/cpu/sdpa/sdpa.h"

namespace tallow::cpu {

class FloatBackward {
 public:
  using Element = float;
  static constexpr int64_t kQueries = 336;  // a multiple of every tile's rows

  explicit FloatBackward(const SdpaSizes& sizes)
      : kernels_(gemm_kernels()),
        tiles_(kernels_.f32),
        dim_(sizes.dim),
        width_(round_up(dim_, kGroup)),
        columns_(sizes.columns),
        keys_(round_up(columns_, kSdpaKeys)),
        panel_rows_(ceil_div(dim_, ceil_div(dim_, tiles_.rows))),
        panels_(ceil_div(dim_, panel_rows_)) {
    Memory m{reinterpret_cast<float*>(scratch(Scratch::x, 5 * keys_ * width_ * 4 + 4096))};
    key_columns_ = m.take(keys_ * width_), value_columns_ = m.take(keys_ * width_);
    key_dims_ = m.take(keys_ * width_);
    grad_keys_ = m.take(keys_ * width_), grad_values_ = m.take(keys_ * width_);
    const int64_t block = kQueries * (width_ + kGroup) + 64;
    Memory q{reinterpret_cast<float*>(
        scratch(Scratch::panel, (5 * block + 3 * kQueries * kSdpaKeys + 8192) * 4))};
    query_rows_ = q.take(block), grad_rows_ = q.take(block);
    query_dims_ = q.take(block), grad_dims_ = q.take(block);
    grad_queries_ = q.take(block);
    weights_ = q.take(kQueries * kSdpaKeys), grad_scores_ = q.take(kQueries * kSdpaKeys);
    panel_ = q.take(kMaxTileRows * kSdpaKeys + kPackSlack);
    scores_ = q.take(kMaxTileRows * kSdpaKeys), grad_weights_ = q.take(kMaxTileRows * kSdpaKeys);
    delta_ = q.take(kQueries);
  }

  int64_t unit() const { return tiles_.rows; }

  void load_keys(const HeadRows<float>& k, const HeadRows<float>& v) {
    pack_columns(k, key_columns_);
    pack_columns(v, value_columns_);
    // [block of keys][16 dims][keys][16]
    for (int64_t i = 0; i < keys_; ++i) {
      float* block = key_dims_ + i / kSdpaKeys * kSdpaKeys * width_ + i % kSdpaKeys * kGroup;
      for (int64_t d = 0; d < width_; d += kGroup) {
        float* to = block + d * kSdpaKeys;
        const int64_t n = i < k.rows ? std::min<int64_t>(kGroup, dim_ - d) : 0;
        if (n > 0) std::memcpy(to, k.row(i) + d, static_cast<size_t>(n) * 4);
        std::fill(to + n, to + kGroup, 0.f);
      }
    }
    std::fill_n(grad_keys_, keys_ * width_, 0.f);
    std::fill_n(grad_values_, keys_ * width_, 0.f);
  }

  void load_queries(const HeadRows<float>& q, const HeadRows<float>& grad,
                    const HeadRows<float>& out, int64_t row, int64_t count) {
    pack_rows(q, row, count, query_rows_);
    pack_rows(grad, row, count, grad_rows_);
    pack_dims(q, row, count, query_dims_);
    pack_dims(grad, row, count, grad_dims_);
    for (int64_t i = 0; i < count; ++i)
      delta_[i] = sdpa_kernels().dot(grad.row(row + i), out.row(row + i), dim_);
    std::fill_n(grad_queries_, count * width_, 0.f);
    count_ = count;
  }

  void block(int64_t key, int64_t begin, int64_t end, SdpaBackRows rows) {
    const float* lse = rows.lse;
    const float* mask = rows.mask;
    const int64_t diagonal = rows.diagonal;
    for (int64_t i = begin; i < end; i += tiles_.rows) {
      rows.rows = std::min<int64_t>(tiles_.rows, end - i);
      rows.lse = lse + (i - begin), rows.delta = delta_ + i;
      rows.mask = mask ? mask + (i - begin) * rows.mask_row_stride : nullptr;
      rows.diagonal = diagonal + (i - begin);
      row_panel(key, i, rows);
    }
    for (int64_t p = 0; p < panels_; ++p) {
      const int64_t d = p * panel_rows_, size = std::min(panel_rows_, dim_ - d);
      const int64_t from = p * panel_rows_ * count_ + begin * size,
                    to = key * width_ + d * kSdpaKeys;
      multiply(size, kSdpaKeys, end - begin, grad_dims_ + from, weights_ + begin * kGroup,
               kQueries * kGroup, grad_values_ + to, kSdpaKeys, true);
      multiply(size, kSdpaKeys, end - begin, query_dims_ + from, grad_scores_ + begin * kGroup,
               kQueries * kGroup, grad_keys_ + to, kSdpaKeys, true);
    }
  }

  void store_queries(float* to, int64_t count) const {
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(to + i * dim_, grad_queries_ + i * width_, static_cast<size_t>(dim_) * 4);
  }

  void store_keys(float* grad_k, float* grad_v) {
    store(grad_keys_, grad_k);
    store(grad_values_, grad_v);
  }

 private:
  struct Memory {
    float* at;
    float* take(int64_t n) {
      float* p = at;
      at += round_up(n, 16);
      return p;
    }
  };

  /// [16 keys][dim][16]
  void pack_columns(const HeadRows<float>& x, float* to) const {
    for (int64_t i = 0; i < keys_; i += kGroup, to += dim_ * kGroup) {
      const int rows = static_cast<int>(std::clamp<int64_t>(x.rows - i, 0, kGroup));
      if (rows == 0) {
        std::fill_n(to, dim_ * kGroup, 0.f);
      } else {
        interleave<float>(kernels_, rows, dim_, x.row(i), x.stride, 1, to, kGroup);
      }
    }
  }

  /// [panel][dim][rows of the panel]
  void pack_rows(const HeadRows<float>& x, int64_t row, int64_t count, float* to) const {
    for (int64_t i = 0; i < count; i += tiles_.rows) {
      const int rows = static_cast<int>(std::min<int64_t>(tiles_.rows, count - i));
      interleave<float>(kernels_, rows, dim_, x.row(row + i), x.stride, 1, to + i * dim_, rows);
    }
  }

  /// [panel of dims][count][dims of the panel]
  void pack_dims(const HeadRows<float>& x, int64_t row, int64_t count, float* to) const {
    for (int64_t d = 0; d < dim_; d += panel_rows_) {
      const int64_t size = std::min(panel_rows_, dim_ - d);
      for (int64_t i = 0; i < count; ++i, to += size)
        std::memcpy(to, x.row(row + i) + d, static_cast<size_t>(size) * 4);
    }
  }

  /// c [rows, columns] (+)= x w.
  void multiply(int64_t rows, int64_t columns, int64_t k, const float* x, const float* w,
                int64_t group_stride, float* c, int64_t ldc, bool accumulate) const {
    const int64_t step = tiles_.groups * kGroup;
    for (int64_t j = 0; j < columns; j += step) {
      const int64_t groups = std::min<int64_t>(tiles_.groups, (columns - j) / kGroup);
      tiles_.fn[rows - 1][groups - 1](k, x, w + j / kGroup * group_stride, group_stride, c + j, ldc,
                                      accumulate);
    }
  }

  /// A panel of queries from row i of the block.
  void row_panel(int64_t key, int64_t i, SdpaBackRows& rows) {
    const int64_t count = rows.rows, at = key * dim_;
    multiply(count, kSdpaKeys, dim_, query_rows_ + i * dim_, key_columns_ + at, dim_ * kGroup,
             scores_, kSdpaKeys, false);
    multiply(count, kSdpaKeys, dim_, grad_rows_ + i * dim_, value_columns_ + at, dim_ * kGroup,
             grad_weights_, kSdpaKeys, false);
    rows.scores = scores_, rows.grad_weights = grad_weights_;
    float* grads = grad_scores_ + i * kGroup;
    sdpa_kernels().back_rows(rows, {weights_ + i * kGroup, grads, kQueries * kGroup});
    for (int64_t g = 0; g < kSdpaKeys / kGroup; ++g) {
      interleave<float>(kernels_, static_cast<int>(count), kGroup, grads + g * kQueries * kGroup,
                        kGroup, 1, panel_ + g * kGroup * count, count);
    }
    multiply(count, width_, kSdpaKeys, panel_, key_dims_ + key * width_, kSdpaKeys * kGroup,
             grad_queries_ + i * width_, width_, true);
  }

  /// Rows from [block of keys][dim][keys].
  void store(const float* from, float* to) {
    for (int64_t key = 0; key < columns_; key += kSdpaKeys) {
      const int64_t count = std::min(kSdpaKeys, columns_ - key);
      for (int64_t d = 0; d < dim_; d += kGroup) {
        const int size = static_cast<int>(std::min<int64_t>(kGroup, dim_ - d));
        float* tile = weights_;
        interleave<float>(kernels_, size, count, from + key * width_ + d * kSdpaKeys, kSdpaKeys, 1,
                          tile, kGroup);
        for (int64_t i = 0; i < count; ++i)
          std::memcpy(to + (key + i) * dim_ + d, tile + i * kGroup, static_cast<size_t>(size) * 4);
      }
    }
  }

  const GemmKernels& kernels_;
  const Tiles<float, float, float>& tiles_;
  int64_t dim_, width_, columns_, keys_, panel_rows_, panels_, count_ = 0;
  float *key_columns_, *value_columns_, *key_dims_, *grad_keys_, *grad_values_;
  float *query_rows_, *grad_rows_, *query_dims_, *grad_dims_, *grad_queries_;
  float *weights_, *grad_scores_, *panel_, *scores_, *grad_weights_, *delta_;
};

}  // namespace tallow::cpu
