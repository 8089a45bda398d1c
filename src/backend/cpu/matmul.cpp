// The CPU kernel of matmul: one product per pair of matrices, in their own strides.
#include <algorithm>
#include <complex>
#include <vector>

#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/linear.h"
#include "core/half.h"
#include "ops/registry.h"
#include "ops/rows.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

// A batch of matrices by strides.
struct Matrices {
  const std::byte* data;
  int64_t rows, columns, row_stride, column_stride;
  Shape batch_strides;  // one for each dimension of the batch, 0 where it repeats

  Matrices(const Tensor& t, bool left, const Shape& batch)
      : data(static_cast<const std::byte*>(t.raw())),
        batch_strides(Shape::filled(batch.size(), 0)) {
    const int d = t.dim();
    const bool vector = d == 1;
    rows = vector ? (left ? 1 : t.size(0)) : t.size(-2);
    columns = vector ? (left ? t.size(0) : 1) : t.size(-1);
    row_stride = vector ? (left ? 0 : t.strides()[0]) : t.strides()[d - 2];
    column_stride = vector ? (left ? t.strides()[0] : 0) : t.strides()[d - 1];
    for (int i = 0; i + 2 < d; ++i) {
      if (t.shape()[i] != 1) batch_strides[batch.size() - (d - 2) + i] = t.strides()[i];
    }
    // A dimension of one element has any stride: the one that kernels like.
    if (columns == 1) column_stride = 1;
    if (rows == 1 && column_stride != 1) row_stride = 1;
  }
  bool repeats() const {
    return std::all_of(batch_strides.begin(), batch_strides.end(),
                       [](int64_t s) { return s == 0; });
  }
  int64_t offset(int64_t index, const Shape& batch) const {
    int64_t at = 0;
    for (int d = batch.size() - 1; d >= 0; --d) {
      at += index % batch[d] * batch_strides[d];
      index /= batch[d];
    }
    return at;
  }
};

// a's batch as more rows, where b is one matrix and a's strides allow it.
bool fold_batch(Matrices& a, const Matrices& b, Shape& batch) {
  if (batch.empty() || !b.repeats()) return false;
  int64_t rows = a.rows;
  for (int d = batch.size() - 1; d >= 0; --d) {
    if (batch[d] == 1) continue;
    if (rows == 1) a.row_stride = a.batch_strides[d];
    if (a.batch_strides[d] != a.row_stride * rows) return false;
    rows *= batch[d];
  }
  a.rows = rows;
  a.batch_strides = Shape{};
  batch = Shape{};
  return true;
}

template <class T>
Weight weight_of(const Matrices& b, const T* data, DType dtype) {
  Weight w;
  w.dtype = dtype;
  w.data = data;
  w.n = b.columns, w.k = b.rows, w.n_stride = b.column_stride, w.k_stride = b.row_stride;
  return w;
}

void multiply_one(const Matrices& a, const Matrices& b, const float* x, const float* w, float* y) {
  const Activations<float> rows{x, a.rows, a.columns, a.row_stride, a.column_stride};
  const Weight weight = weight_of(b, w, DType::f32);
  if (takes_few_rows(rows, weight)) return product_few(rows, weight, y, b.columns);
  product<float>(rows, {&weight, 1}, y, b.columns);
}

void multiply_one(const Matrices& a, const Matrices& b, const double* x, const double* w,
                  double* y) {
  const Weight weight = weight_of(b, w, DType::f64);
  product<double>({x, a.rows, a.columns, a.row_stride, a.column_stride}, {&weight, 1}, y,
                  b.columns);
}

void multiply_one(const Matrices& a, const Matrices& b, const uint16_t* x, const uint16_t* w,
                  uint16_t* y) {
  const Weight weight = weight_of(b, w, DType::bf16);
  const Activations<float> few{nullptr, a.rows, a.columns, a.columns, 1};
  const Bf16Rows rows{x, DType::bf16, a.rows, a.columns, a.row_stride, a.column_stride};
  if (!takes_few_rows(few, weight) || streams_weight(rows, weight)) {
    return product_bf16(rows, weight, y, b.columns);
  }
  const int64_t inputs = a.rows * a.columns;
  std::vector<float> wide(static_cast<size_t>(inputs + a.rows * b.columns));
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t c = 0; c < a.columns; ++c) {
      wide[static_cast<size_t>(r * a.columns + c)] =
          bf16_to_f32(x[r * a.row_stride + c * a.column_stride]);
    }
  }
  float* sums = wide.data() + inputs;
  product_few({wide.data(), a.rows, a.columns, a.columns, 1}, weight, sums, b.columns);
  info(DType::bf16).from_f32(sums, y, a.rows * b.columns);
}

// (p + qi)(r + si) as four real products in the strides of the complex ones.
template <class T>
void multiply_one(const Matrices& a, const Matrices& b, const std::complex<T>* x,
                  const std::complex<T>* w, std::complex<T>* y) {
  const int64_t count = a.rows * b.columns;
  std::vector<T> parts(static_cast<size_t>(4 * count));
  Matrices left = a, right = b;
  left.row_stride *= 2, left.column_stride *= 2;
  right.row_stride *= 2, right.column_stride *= 2;
  const auto* xs = reinterpret_cast<const T*>(x);
  const auto* ws = reinterpret_cast<const T*>(w);
  for (int i = 0; i < 4; ++i) {
    multiply_one(left, right, xs + i / 2, ws + i % 2, parts.data() + i * count);
  }
  const T *pr = parts.data(), *ps = pr + count, *qr = ps + count, *qs = qr + count;
  for (int64_t i = 0; i < count; ++i) y[i] = {pr[i] - qs[i], ps[i] + qr[i]};
}

template <class T>
void multiply(const Tensor& left, const Tensor& right, const Tensor& out) {
  if (out.numel() == 0) return;
  const int dims = out.dim() - (left.dim() > 1) - (right.dim() > 1);
  Shape batch(std::span(out.shape().begin(), static_cast<size_t>(dims)));
  Matrices a(left, true, batch), b(right, false, batch);
  fold_batch(a, b, batch);
  if (b.columns == 1 && a.rows > 1) {  // a matrix times a vector: the vector is the few rows
    std::swap(a, b);
    std::swap(a.rows, a.columns), std::swap(a.row_stride, a.column_stride);
    std::swap(b.rows, b.columns), std::swap(b.row_stride, b.column_stride);
  }
  const int64_t count = batch.numel(), size = a.rows * b.columns;
  // Many matrices are divided among threads, few are divided within.
  const bool many = count >= 2 * num_threads();
  const int64_t grain = many ? 1 : count;
  T* y = static_cast<T*>(out.raw());
  parallel_for(count, grain, [&](int64_t begin, int64_t end, int) {
    const UndividedProducts undivided(many);
    for (int64_t i = begin; i < end; ++i) {
      multiply_one(a, b, reinterpret_cast<const T*>(a.data) + a.offset(i, batch),
                   reinterpret_cast<const T*>(b.data) + b.offset(i, batch), y + i * size);
    }
  });
}

// One of the last two strides is 1, also when the batch has become rows: a single row's own stride
// is then another.
Tensor with_unit_stride(const Tensor& t) {
  if (t.dim() == 1) return t.contiguous();
  const bool rows = t.strides()[t.dim() - 1] == 1 || t.size(-1) == 1;
  const bool columns = t.strides()[t.dim() - 2] == 1 && t.size(-2) > 1;
  return rows || columns ? t : t.contiguous();
}

void matmul(Inputs in, Outputs out, const NoOptions& options) {
  NoGrad no_grad;
  switch (out[0].dtype()) {
    case DType::f64: return multiply<double>(in[0], in[1], out[0]);
    case DType::f32: return multiply<float>(in[0], in[1], out[0]);
    case DType::c64: return multiply<std::complex<float>>(in[0], in[1], out[0]);
    case DType::c128: return multiply<std::complex<double>>(in[0], in[1], out[0]);
    case DType::bf16:
      if (!has_bf16_product()) break;
      return multiply<uint16_t>(with_unit_stride(in[0]), with_unit_stride(in[1]), out[0]);
    default: break;
  }
  if (!is_real(out[0].dtype())) return matmul_op.fn.cpu(in, out, options);
  const Tensor wide = Tensor::empty(out[0].shape(), DType::f32);
  multiply<float>(in[0].to(DType::f32), in[1].to(DType::f32), wide);
  info(out[0].dtype()).from_f32(wide.data<float>(), out[0].raw(), out[0].numel());
}

}  // namespace

void bind_matmul() { matmul_op.bind(DeviceKind::cpu, matmul); }

}  // namespace tallow::cpu
