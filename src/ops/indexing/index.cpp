// NumPy's advanced indexing: reading and writing.
#include <bit>
#include <cstring>
#include <optional>

#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct IndexOptions {
  uint32_t dims;  // the indexed ones, a bit each
};
struct PutOptions {
  uint32_t dims;
  bool accumulate;
  Shape shape;
};

// Where the parts of a result come from: [outer, indices, inner]. Indices that stand together stay
// in their place; otherwise they come first.
struct Plan {
  Shape outer, inner, indices;
  int first = 0;
  Shape result;
};

Plan plan(const Shape& shape, uint32_t dims, const Shape& indices) {
  Plan p;
  p.indices = indices;
  const uint32_t run = dims >> std::countr_zero(dims);
  const bool together = (run & (run + 1)) == 0;
  for (int i = 0; i < shape.size(); ++i) {
    if (dims >> i & 1) continue;
    (together && i < std::countr_zero(dims) ? p.outer : p.inner).push_back(shape[i]);
  }
  for (const Shape* part : {&p.outer, &p.indices, &p.inner}) {
    for (int64_t n : *part) p.result.push_back(n);
  }
  return p;
}

Shape broadcast_indices(Inputs indices) {
  Shape shape = indices[0].shape();
  for (const Tensor& t : indices.subspan(1)) shape = broadcast_shapes(shape, t.shape(), "index");
  return shape;
}

// Of each place in the broadcast indices, the position of its slice.
Tensor positions(const char* op, const Shape& shape, const Shape& strides, uint32_t dims,
                 Inputs indices, const Shape& broadcast) {
  NoGrad no_grad;
  Tensor total;
  size_t next = 0;
  for (int d = 0; d < shape.size(); ++d) {
    if (!(dims >> d & 1)) continue;
    const Tensor list = checked_index(op, indices[next++], shape[d], true);
    const Tensor wide = contiguous(expand(list, broadcast));
    const int64_t stride = strides[d], n = wide.numel();
    if (!total.defined() && dims == 1u << d && stride == 1) return wide;
    const int64_t* from = wide.data<int64_t>();
    const bool first = !total.defined();
    if (first) total = Tensor::empty(broadcast, DType::i64);
    int64_t* to = total.data<int64_t>();
    parallel_for(n, 32 << 10, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) to[i] = from[i] * stride + (first ? 0 : to[i]);
    });
  }
  return total;
}

Slices slices_of(const Shape& shape, const Shape& strides, uint32_t dims, const Plan& p,
                 const Tensor& at) {
  Slices s{p.outer, {}, p.inner, {}, at.data<int64_t>(), at.numel()};
  for (int i = 0, outer = 0; i < shape.size(); ++i) {
    if (dims >> i & 1) continue;
    (outer++ < p.outer.size() ? s.outer_strides : s.inner_strides).push_back(strides[i]);
  }
  return s;
}

Specs index_infer(Inputs in, const IndexOptions& o) {
  return {{plan(in[0].shape(), o.dims, broadcast_indices(in.subspan(1))).result, in[0].dtype()}};
}

void index_cpu(Inputs in, Outputs out, const IndexOptions& o) {
  const Tensor& x = in[0];
  const Plan p = plan(x.shape(), o.dims, broadcast_indices(in.subspan(1)));
  const Tensor at = positions("index", x.shape(), x.strides(), o.dims, in.subspan(1), p.indices);
  read_slices(x, slices_of(x.shape(), x.strides(), o.dims, p, at), out[0]);
}

Tensor put_at(const Tensor& self, const Tensor& values, Inputs indices, const PutOptions& o);

Tensors index_vjp(const Saved<IndexOptions>& saved, Inputs grads) {
  const Shape& shape = saved.inputs[0].shape();
  Tensors result(saved.inputs.size());
  result[0] = put_at({}, grads[0], saved.inputs.subspan(1), {saved.options.dims, true, shape});
  return result;
}

constinit Op<IndexOptions> index_op{
    "index", {.infer = index_infer, .vjp = index_vjp, .cpu = index_cpu, .reads = [](uint32_t) {
                return ~1u;
              }}};

Tensor at(const Tensor& x, Inputs indices, uint32_t dims) {
  Tensors inputs{x};
  inputs.insert(inputs.end(), indices.begin(), indices.end());
  return apply_many(index_op, inputs, {dims})[0];
}

Specs put_infer(Inputs in, const PutOptions& o) {
  const Shape result = plan(o.shape, o.dims, broadcast_indices(in.subspan(2))).result;
  const Tensor& values = in[1];
  bool fits = values.dim() <= result.size();
  for (int i = 1; fits && i <= values.dim(); ++i) {
    const int64_t n = values.shape()[values.dim() - i];
    fits = n == 1 || n == result[result.size() - i];
  }
  if (!fits) {
    fail("index_put: values ", values, " do not broadcast to the ", result,
         " elements that the indices name");
  }
  return {{o.shape, values.dtype()}};
}

void put_cpu(Inputs in, Outputs out, const PutOptions& o) {
  const Shape& shape = o.shape;
  const Inputs indices = in.subspan(2);
  const Plan p = plan(shape, o.dims, broadcast_indices(indices));
  const DType dtype = o.accumulate ? accumulation_dtype(out[0].dtype()) : out[0].dtype();
  // Narrow dtypes are added up in wide ones, to be rounded once.
  const Tensor to = dtype == out[0].dtype() ? out[0] : Tensor::empty(shape, dtype);
  if (in[0].defined()) {
    move_elements(in[0].to(dtype), static_cast<std::byte*>(to.raw()), to.strides());
  } else {
    std::memset(to.raw(), 0, static_cast<size_t>(to.nbytes()));
  }
  const Tensor list = positions("index_put", shape, to.strides(), o.dims, indices, p.indices);
  const Tensor values = contiguous(expand(in[1].to(dtype), p.result));
  write_slices(to, slices_of(shape, to.strides(), o.dims, p, list), values, o.accumulate);
  if (dtype != out[0].dtype()) {
    move_elements(to.to(out[0].dtype()), static_cast<std::byte*>(out[0].raw()), out[0].strides());
  }
}

Tensors put_vjp(const Saved<PutOptions>& saved, Inputs grads) {
  const PutOptions& o = saved.options;
  const Inputs indices = saved.inputs.subspan(2);
  Tensors result(saved.inputs.size());
  if (saved.inputs[0].requires_grad()) {
    result[0] = o.accumulate ? grads[0]
                             : put_at(grads[0], zeros({}, grads[0].dtype()), indices,
                                      {o.dims, false, o.shape});
  }
  if (saved.inputs[1].requires_grad()) result[1] = at(grads[0], indices, o.dims);
  return result;
}

constinit Op<PutOptions> put_op{
    "index_put",
    {.infer = put_infer, .vjp = put_vjp, .cpu = put_cpu, .reads = [](uint32_t) { return ~3u; }}};

Tensor put_at(const Tensor& self, const Tensor& values, Inputs indices, const PutOptions& o) {
  Tensors inputs{self, values};
  inputs.insert(inputs.end(), indices.begin(), indices.end());
  return apply_many(put_op, inputs, o)[0];
}

// Masks become the positions of their true elements, a tensor per dimension.
void add_mask(const char* op, const Tensor& self, const Tensor& mask, Tensors& all) {
  const int first = static_cast<int>(all.size());
  for (int i = 0; i < mask.dim(); ++i) {
    if (first + i >= self.dim() || self.shape()[first + i] != mask.shape()[i]) {
      fail_index(op, ": a mask of shape ", mask.shape(), " does not fit dimension ", first + i,
                 " of ", self);
    }
  }
  if (mask.dim() == 1) {
    all.push_back(true_positions(mask));
    return;
  }
  for (const Tensor& column : unbind(nonzero(mask), 1)) all.push_back(column);
}

struct Chosen {
  Tensors indices;
  uint32_t dims = 0;
};

// A mask without dimensions chooses all or nothing: as an index of a dimension of size 1.
Chosen chosen(const char* op, const Tensor& self, const Tensors& indices) {
  Tensors all;
  for (const Tensor& t : indices) {
    if (!t.defined()) {
      all.emplace_back();
    } else if (t.dtype() == DType::boolean || t.dtype() == DType::u8) {
      add_mask(op, self, t, all);
    } else {
      if (t.dtype() != DType::i64 && t.dtype() != DType::i32 && t.dtype() != DType::i16 &&
          t.dtype() != DType::i8) {
        fail_index(op, ": indices are ", t, "; they need integers or a mask");
      }
      all.push_back(t);
    }
  }
  if (static_cast<int>(all.size()) > self.dim()) {
    fail_index(op, ": ", all.size(), " indices for ", self);
  }
  Chosen result;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i].defined()) continue;
    result.dims |= 1u << i;
    result.indices.push_back(all[i]);
  }
  return result;
}

bool is_flag(const Tensor& t) {
  return t.defined() && t.dim() == 0 && (t.dtype() == DType::boolean || t.dtype() == DType::u8);
}

// Indices whose 0-dimensional masks stand for dimensions of size 1, which `self` gets.
std::pair<Tensor, Tensors> with_flags(const Tensor& self, const Tensors& indices) {
  Tensor x = self;
  Tensors result = indices;
  int at = 0;
  for (Tensor& t : result) {
    if (is_flag(t)) {
      x = unsqueeze(x, at);
      t = true_positions(reshape(t, {1}));
    }
    const bool mask = t.defined() && (t.dtype() == DType::boolean || t.dtype() == DType::u8);
    at += mask ? t.dim() : 1;
  }
  return {x, result};
}

}  // namespace

Tensor index(const Tensor& self, const Tensors& indices) {
  check_not_block("index", self);
  for (const Tensor& t : indices) {
    if (!is_flag(t)) continue;
    const auto [x, rest] = with_flags(self, indices);
    return index(x, rest);
  }
  const Chosen c = chosen("index", self, indices);
  if (c.dims == 0) return clone(self);
  return at(self, c.indices, c.dims);
}

Tensor index_put(const Tensor& self, const Tensors& indices, const Tensor& values,
                 bool accumulate) {
  check_not_block("index_put", self);
  for (const Tensor& t : indices) {
    if (!is_flag(t)) continue;
    const auto [x, rest] = with_flags(self, indices);
    return reshape(index_put(x, rest, values, accumulate), self.shape());
  }
  if (values.dtype() != self.dtype() && values.dim() > 0) {
    fail("index_put: values are ", values.dtype(), " and self is ", self.dtype(),
         "; convert one with .to()");
  }
  const Tensor same = values.to(self.dtype());
  const Chosen c = chosen("index_put", self, indices);
  if (c.dims > 0) return put_at(self, same, c.indices, {c.dims, accumulate, self.shape()});
  return accumulate ? self + same : clone(expand(same, self.shape()));
}

}  // namespace tallow
