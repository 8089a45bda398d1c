// Conversion between dtypes, and copies: contiguous(), clone() and to() are this one op.
#include <cstring>

#include "core/encode.h"
#include "ops/block_rows.h"
#include "ops/elements.h"
#include "ops/shape/move.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct CopyOptions {
  DType dtype;
};

// A tensor of blocks as rows along its last dimension: calls f(source row, index) for each.
template <class F>
void for_block_rows(const Tensor& x, int64_t row_bytes, const F& f) {
  const DTypeInfo& row = info(x.dtype());
  int64_t rows = x.dim() ? x.numel() / std::max<int64_t>(x.shape().back(), 1) : 0;
  parallel_for(rows, std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(row_bytes, 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t r = begin; r < end; ++r) {
                   int64_t rest = r, offset = 0;
                   for (int i = x.dim() - 2; i >= 0; --i) {
                     offset += rest % x.shape()[i] * x.strides()[i];
                     rest /= x.shape()[i];
                   }
                   f(static_cast<const std::byte*>(x.raw()) + offset / row.block * row.bytes, r);
                 }
               });
}

Specs infer(Inputs in, const CopyOptions& o) {
  DType from = in[0].dtype();
  if (from != o.dtype && is_block(o.dtype)) {
    if (!info(o.dtype).from_f32) fail("to: ", o.dtype, " cannot be quantized to, only read");
    if (in[0].dim() == 0 || in[0].shape().back() % info(o.dtype).block != 0) {
      fail("to: the last dimension of ", in[0], " is not a multiple of the ", info(o.dtype).block,
           " elements of a ", o.dtype, " block");
    }
  }
  return {{in[0].shape(), o.dtype}};
}

void from_blocks(const Tensor& x, const Tensor& out) {
  int64_t n = x.shape().back(), bytes = storage_bytes(x.dtype(), n);
  bool same = x.dtype() == out.dtype();
  for_block_rows(x, bytes, [&](const std::byte* source, int64_t r) {
    if (same) {
      std::memcpy(static_cast<std::byte*>(out.raw()) + r * bytes, source, bytes);
    } else {
      block_row_to_f32(x, source, out.data<float>() + r * n);
    }
  });
  if (same) out.buffer()->set_column_order(x.buffer()->column_order());
}

void to_blocks(const Tensor& x, const Tensor& out) {
  if (x.dtype() == DType::f32 && x.is_contiguous()) {
    const int64_t k = x.shape().back();
    return encode_blocks(out.dtype(), x.data<float>(), out.raw(), x.numel() / k, k);
  }
  int64_t n = x.shape().back(), bytes = storage_bytes(out.dtype(), n);
  for_block_rows(x, n * 4, [&](const std::byte* source, int64_t r) {
    info(out.dtype())
        .from_f32(reinterpret_cast<const float*>(source),
                  static_cast<std::byte*>(out.raw()) + r * bytes, n);
  });
}

// The type that holds every value of both dtypes on the way from one to the other.
ComputeType transit(DType from, DType to) {
  ComputeType a = compute_type(from), b = compute_type(to);
  if (a == b) return a;
  if (a == ComputeType::c128 || b == ComputeType::c128) return ComputeType::c128;
  if (a == ComputeType::f64 || b == ComputeType::f64) return ComputeType::f64;
  return ComputeType::f32;
}

void cpu(Inputs in, Outputs outputs, const CopyOptions&) {
  const Tensor &x = in[0], &out = outputs[0];
  if (out.numel() == 0) return;
  if (is_block(x.dtype())) return from_blocks(x, out);
  if (x.dtype() == out.dtype()) {
    return move_elements(x, static_cast<std::byte*>(out.raw()), out.strides());
  }
  if (is_block(out.dtype())) return to_blocks(x, out);
  with_any_compute_type(transit(x.dtype(), out.dtype()), [&]<class T>(T) {
    ElementReader<T> reader(x, out.shape());
    parallel_for(out.numel(), 32 * kChunk, [&](int64_t begin, int64_t end, int) {
      T source[kChunk];
      for (int64_t i = begin; i < end; i += kChunk) {
        int64_t n = std::min(kChunk, end - i);
        T* to = element_target(out, i, source);
        const T* from = reader.read(i, n, to);
        if (from != to && to != source) std::memcpy(to, from, n * sizeof(T));
        write_elements(out, i, n, from);
      }
    });
  });
}

Tensors vjp(const Saved<CopyOptions>& saved, Inputs grads) {
  return {grads[0].to(saved.inputs[0].dtype())};
}

constinit Op<CopyOptions> copy_op{"copy",
                                  {.infer = infer, .vjp = vjp, .cpu = cpu, .shapes_only = true}};

// The same bytes as elements of another dtype.
constinit Op<CopyOptions> view_dtype_op{
    "view",
    {.infer =
         [](Inputs in, const CopyOptions& o) {
           const Tensor& x = in[0];
           const int64_t from = info(x.dtype()).bytes, to = info(o.dtype).bytes;
           Shape shape = x.shape(), strides = x.strides();
           const int last = x.dim() - 1;
           const auto scale = [&](int64_t n) {
             return from > to ? n * (from / to) : n / (to / from);
           };
           if (from != to) {
             bool fits = last >= 0 && (strides[last] == 1 || shape[last] == 1);
             if (fits && to > from) {
               fits = shape[last] % (to / from) == 0 && x.offset() % to == 0;
               for (int i = 0; i < last; ++i) fits &= strides[i] % (to / from) == 0;
             }
             if (!fits) {
               fail("view: ", x, " with strides ", strides, " cannot be seen as ", o.dtype,
                    ", whose elements have ", to, " bytes");
             }
             shape[last] = scale(shape[last]);
             for (int i = 0; i < last; ++i) strides[i] = scale(strides[i]);
             strides[last] = 1;
           }
           return Specs{{shape, o.dtype, 0, true, strides, x.offset()}};
         },
     .shapes_only = true}};

}  // namespace

Tensor view(const Tensor& self, DType dtype) {
  if (is_block(self.dtype()) || is_block(dtype)) {
    fail("view: ", self, " cannot be seen as ", dtype, ": block dtypes are not plain elements");
  }
  return apply(view_dtype_op, {self}, {dtype});
}

Tensor contiguous(const Tensor& self) { return self.is_contiguous() ? self : clone(self); }
Tensor clone(const Tensor& self) { return apply(copy_op, {self}, {self.dtype()}); }

Tensor Tensor::contiguous() const { return tallow::contiguous(*this); }
Tensor Tensor::clone() const { return tallow::clone(*this); }

Tensor Tensor::to(DType target) const {
  if (dtype() == target) return *this;
  bool blocks_in = is_block(dtype()), blocks_out = is_block(target);
  if (blocks_in && target != DType::f32) return to(DType::f32).to(target);
  if (blocks_out && dtype() != DType::f32) return to(DType::f32).to(target);
  Tensor source = blocks_out ? contiguous() : *this;
  return apply(copy_op, {source}, {target});
}

}  // namespace tallow
