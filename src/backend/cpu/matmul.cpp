// The CPU kernel of matmul: one product per pair of matrices, in their own strides.
#include <algorithm>

#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/linear.h"
#include "ops/registry.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

// Offsets, in elements, of the matrices of a tensor broadcast over `batch` (row-major index).
class BatchOffsets {
 public:
  BatchOffsets(const Tensor& t, const Shape& batch)
      : batch_(batch), strides_(Shape::filled(batch.size(), 0)) {
    const int own = std::max(0, t.dim() - 2);
    for (int i = 0; i < own; ++i) {
      if (t.shape()[i] != 1) strides_[batch.size() - own + i] = t.strides()[i];
    }
  }
  int64_t operator[](int64_t index) const {
    int64_t offset = 0;
    for (int d = batch_.size() - 1; d >= 0; --d) {
      offset += index % batch_[d] * strides_[d];
      index /= batch_[d];
    }
    return offset;
  }

 private:
  Shape batch_, strides_;
};

template <class T>
void multiply(const Tensor& a, const Tensor& b, const Tensor& out) {
  const bool row = a.dim() == 1, column = b.dim() == 1;
  const int64_t k = a.shape().back(), m = row ? 1 : a.size(-2), n = column ? 1 : b.size(-1);
  if (m * n == 0) return;
  const int dims = out.dim() - (row ? 0 : 1) - (column ? 0 : 1);
  const Shape batch(std::span(out.shape().begin(), static_cast<size_t>(dims)));
  const BatchOffsets a_offset(a, batch), b_offset(b, batch);
  const int64_t a_row = row ? 0 : a.strides()[a.dim() - 2], a_k = a.strides()[a.dim() - 1];
  const int64_t b_k = column ? b.strides()[0] : b.strides()[b.dim() - 2];
  const int64_t b_column = column ? 0 : b.strides()[b.dim() - 1];
  const int64_t count = batch.numel();
  // Many matrices are divided among threads, few are divided within.
  const int64_t grain = count >= 2 * num_threads() ? 1 : count;
  parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      Weight w;
      w.dtype = sizeof(T) == 8 ? DType::f64 : DType::f32;
      w.data = static_cast<const T*>(b.raw()) + b_offset[i];
      w.n = n, w.k = k, w.n_stride = b_column, w.k_stride = b_k;
      const Activations<T> x{static_cast<const T*>(a.raw()) + a_offset[i], m, k, a_row, a_k};
      product<T>(x, {&w, 1}, static_cast<T*>(out.raw()) + i * m * n, n);
    }
  });
}

void matmul(Inputs in, Outputs out, const NoOptions& options) {
  const DType type = out[0].dtype();
  if (type == DType::f64) return multiply<double>(in[0], in[1], out[0]);
  if (type == DType::f32) return multiply<float>(in[0], in[1], out[0]);
  if (!is_real(type)) return matmul_op.fn.cpu(in, out, options);
  const Tensor wide = Tensor::empty(out[0].shape(), DType::f32);
  multiply<float>(in[0].to(DType::f32), in[1].to(DType::f32), wide);
  info(type).from_f32(wide.data<float>(), out[0].raw(), out[0].numel());
}

}  // namespace

void bind_matmul() { matmul_op.bind(DeviceKind::cpu, matmul); }

}  // namespace tallow::cpu
