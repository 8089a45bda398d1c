// Masks: filling, selecting and scattering where they are true; and the indices of what is not
// zero.
#include <cstring>

#include "ops/creation/fill.h"
#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct FillOptions {
  bool where;  // the value of the mask that is filled
};

void fill_cpu(Inputs in, Outputs outputs, const FillOptions& o) {
  const Tensor& out = outputs[0];
  move_elements(expand(in[0], out.shape()), static_cast<std::byte*>(out.raw()), out.strides());
  const Tensor mask = contiguous(expand(in[1], out.shape()));
  const auto* flags = static_cast<const bool*>(mask.raw());
  alignas(16) std::byte element[16];
  write_scalar(out.dtype(), scalar_of(in[2]), element);
  with_bytes(info(out.dtype()).bytes, [&]<class T>(T value) {
    std::memcpy(&value, element, sizeof value);
    T* to = static_cast<T*>(out.raw());
    parallel_for(out.numel(), 32 << 10, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) to[i] = flags[i] == o.where ? value : to[i];
    });
  });
}

extern Op<FillOptions> fill_op;

Tensors fill_vjp(const Saved<FillOptions>& saved, Inputs grads) {
  const Tensor &mask = saved.inputs[1], &g = grads[0], none = zeros({}, g.dtype());
  const bool where = saved.options.where;
  Tensors result(3);
  if (saved.inputs[0].requires_grad()) result[0] = apply(fill_op, {g, mask, none}, {where});
  if (saved.inputs[2].requires_grad()) result[2] = sum(apply(fill_op, {g, mask, none}, {!where}));
  return result;
}

constinit Op<FillOptions> fill_op{"masked_fill",
                                  {.infer =
                                       [](Inputs in, const FillOptions&) {
                                         const Shape shape = broadcast_shapes(
                                             in[0].shape(), in[1].shape(), "masked_fill");
                                         return Specs{{shape, in[0].dtype()}};
                                       },
                                   .vjp = fill_vjp,
                                   .cpu = fill_cpu,
                                   .reads = [](uint32_t) { return 2u; }}};

void check_mask(const char* op, const Tensor& mask) {
  if (mask.dtype() != DType::boolean) fail(op, ": mask is ", mask, "; it needs bool");
}

}  // namespace

Tensor masked_fill(const Tensor& self, const Tensor& mask, const Tensor& value) {
  check_not_block("masked_fill", self);
  check_mask("masked_fill", mask);
  if (value.dim() != 0) {
    fail("masked_fill: value is ", value, "; it must be a number or 0-dimensional");
  }
  if (is_complex(value.dtype()) && !is_complex(self.dtype())) {
    fail("masked_fill: value is complex, which ", self.dtype(), " cannot hold");
  }
  return apply(fill_op, {self, mask, value}, {true});
}

Tensor masked_select(const Tensor& self, const Tensor& mask) {
  check_mask("masked_select", mask);
  const Shape shape = broadcast_shapes(self.shape(), mask.shape(), "masked_select");
  return index(reshape(expand(self, shape), {-1}), {true_positions(expand(mask, shape))});
}

Tensor masked_scatter(const Tensor& self, const Tensor& mask, const Tensor& source) {
  check_mask("masked_scatter", mask);
  if (source.dtype() != self.dtype()) {
    fail("masked_scatter: source is ", source.dtype(), " and self is ", self.dtype(),
         "; convert one with .to()");
  }
  const Shape shape = broadcast_shapes(self.shape(), mask.shape(), "masked_scatter");
  const Tensor at = true_positions(expand(mask, shape));
  if (source.numel() < at.numel()) {
    fail("masked_scatter: source has ", source.numel(), " elements for ", at.numel(),
         " places of the mask");
  }
  const Tensor values = narrow(reshape(source, {-1}), 0, 0, at.numel());
  return reshape(index_put(reshape(expand(self, shape), {-1}), {at}, values), shape);
}

Tensor nonzero(const Tensor& self) {
  check_not_block("nonzero", self);
  const Tensor flat = true_positions(self);
  const int dims = self.dim();
  Tensor result = Tensor::empty({flat.numel(), dims}, DType::i64);
  const int64_t* from = flat.data<int64_t>();
  int64_t* to = result.data<int64_t>();
  parallel_for(flat.numel(), 16 << 10, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t* at = to + i * dims;
      // Most often in the row of the one before.
      const int64_t column = i > begin && dims > 0 ? at[-1] + from[i] - from[i - 1] : INT64_MAX;
      if (dims > 0 && column < self.shape()[dims - 1]) {
        std::copy_n(at - dims, dims - 1, at);
        at[dims - 1] = column;
        continue;
      }
      int64_t rest = from[i];
      for (int d = dims - 1; d >= 0; --d) {
        at[d] = rest % self.shape()[d];
        rest /= self.shape()[d];
      }
    }
  });
  return result;
}

Tensor nonzero_static(const Tensor& self, int64_t size, int64_t fill_value) {
  if (size < 0) fail("nonzero_static: size ", size, " is negative");
  const Tensor found = nonzero(self);
  if (found.size(0) >= size) return clone(narrow(found, 0, 0, size));
  return cat({found, full({size - found.size(0), found.size(1)}, fill_value, DType::i64)});
}

Tensor argwhere(const Tensor& self) { return nonzero(self); }

}  // namespace tallow
