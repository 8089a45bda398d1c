// What the forward and backward kernels of dense attention share.
#pragma once

#include "backend/cpu/attention/attention.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/sdpa/kernels.h"
#include "ops/attention/sdpa.h"

namespace tallow::cpu {

/// A matrix by rows of contiguous elements: the [L, D] of a head.
template <class T>
struct HeadRows {
  const T* data;
  int64_t rows, dim, stride;
  const T* row(int64_t i) const { return data + i * stride; }
};

/// The sizes of a call.
struct SdpaSizes {
  int64_t batch, heads, kv_heads, group, rows, columns, dim;
  explicit SdpaSizes(Inputs in)
      : batch(in[0].size(0)),
        heads(in[0].size(1)),
        kv_heads(in[1].size(1)),
        group(heads / kv_heads),
        rows(in[0].size(2)),
        columns(in[1].size(2)),
        dim(in[0].size(3)) {}
};

/// x [batch, heads, rows, dim], copied where the last dimension has gaps.
inline Tensor with_rows(const Tensor& x) {
  return x.strides()[3] == 1 || x.size(3) == 1 ? x : x.contiguous();
}
template <class T>
HeadRows<T> head_rows(const Tensor& x, int64_t batch, int64_t head) {
  return {static_cast<const T*>(x.raw()) + batch * x.strides()[0] + head * x.strides()[1],
          x.size(2), x.size(3), x.strides()[2]};
}

/// The mask as f32 and where each head's begins; null where there is none.
class SdpaMask {
 public:
  SdpaMask(const Tensor& mask, const SdpaSizes& sizes) {
    if (!mask.defined()) return;
    mask_ = mask.to(DType::f32).expand({sizes.batch, sizes.heads, sizes.rows, sizes.columns});
  }
  const float* head(int64_t batch, int64_t head) const {
    if (!mask_.defined()) return nullptr;
    return static_cast<const float*>(mask_.raw()) + batch * mask_.strides()[0] +
           head * mask_.strides()[1];
  }
  int64_t row_stride() const { return mask_.defined() ? mask_.strides()[2] : 0; }
  int64_t key_stride() const { return mask_.defined() ? mask_.strides()[3] : 0; }

 private:
  Tensor mask_;
};

/// Whether bf16 is multiplied as it is; else it is widened first.
inline bool multiplies_bf16(DType type) { return type == DType::bf16 && has_bf16_product(); }

void bind_sdpa();
void bind_sdpa_backward();

}  // namespace tallow::cpu
