// Slices along a dimension picked, added and written by a list of indices.
#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct SelectOptions {
  int dim;
};
struct WriteOptions {
  int dim;
  bool add;
};

Shape part(const Shape& shape, int begin, int end) {
  return Shape(std::span(shape.begin() + begin, static_cast<size_t>(end - begin)));
}

// Fills in all but the positions.
Slices slices_along(const Tensor& x, int dim) {
  return {part(x.shape(), 0, dim),
          part(x.strides(), 0, dim),
          part(x.shape(), dim + 1, x.dim()),
          part(x.strides(), dim + 1, x.dim()),
          nullptr,
          0};
}

// The positions of indexed slices: indices times the dimension's stride.
Tensor scaled(const Tensor& index, int64_t stride) {
  if (stride == 1) return index;
  Tensor at = Tensor::empty(index.shape(), DType::i64);
  const int64_t* from = index.data<int64_t>();
  for (int64_t i = 0; i < index.numel(); ++i) at.data<int64_t>()[i] = from[i] * stride;
  return at;
}

Specs select_infer(Inputs in, const SelectOptions& o) {
  Shape shape = in[0].shape();
  shape[o.dim] = in[1].numel();
  return {{shape, in[0].dtype()}};
}

void select_cpu(Inputs in, Outputs out, const SelectOptions& o) {
  const Tensor& x = in[0];
  const Tensor at =
      scaled(checked_index("index_select", in[1], x.shape()[o.dim], false), x.strides()[o.dim]);
  Slices s = slices_along(x, o.dim);
  s.positions = at.data<int64_t>();
  s.count = at.numel();
  read_slices(x, s, out[0]);
}

Tensors select_vjp(const Saved<SelectOptions>& saved, Inputs grads) {
  const Tensor none = zeros(saved.inputs[0].shape(), grads[0].dtype());
  return {index_add(none, saved.options.dim, saved.inputs[1], grads[0]), Tensor()};
}

constinit Op<SelectOptions> select_op{
    "index_select",
    {.infer = select_infer, .vjp = select_vjp, .cpu = select_cpu, .reads = [](uint32_t) {
       return 2u;
     }}};

void write_cpu(Inputs in, Outputs out, const WriteOptions& o) {
  const Tensor& self = in[0];
  const DType dtype = o.add ? accumulation_dtype(self.dtype()) : self.dtype();
  const Tensor to = dtype == self.dtype() ? out[0] : Tensor::empty(self.shape(), dtype);
  move_elements(self.to(dtype), static_cast<std::byte*>(to.raw()), to.strides());
  const Tensor at =
      scaled(checked_index(o.add ? "index_add" : "index_copy", in[1], self.shape()[o.dim], false),
             to.strides()[o.dim]);
  Slices s = slices_along(to, o.dim);
  s.positions = at.data<int64_t>();
  s.count = at.numel();
  write_slices(to, s, contiguous(in[2].to(dtype)), o.add);
  if (dtype != self.dtype()) {
    move_elements(to.to(self.dtype()), static_cast<std::byte*>(out[0].raw()), out[0].strides());
  }
}

Tensors write_vjp(const Saved<WriteOptions>& saved, Inputs grads) {
  const WriteOptions& o = saved.options;
  const Tensor &self = saved.inputs[0], &index = saved.inputs[1], &source = saved.inputs[2];
  Tensors result(3);
  if (self.requires_grad()) {
    result[0] = o.add ? grads[0] : index_fill(grads[0], o.dim, index, 0);
  }
  if (source.requires_grad()) {
    result[2] = reshape(apply(select_op, {grads[0], index}, {o.dim}), source.shape());
  }
  return result;
}

constinit Op<WriteOptions> write_op{"index_add",
                                    {.infer =
                                         [](Inputs in, const WriteOptions&) {
                                           return Specs{{in[0].shape(), in[0].dtype()}};
                                         },
                                     .vjp = write_vjp,
                                     .cpu = write_cpu,
                                     .reads = [](uint32_t) { return 2u; }}};

void check_list(const char* op, const Tensor& self, const Tensor& index) {
  check_not_block(op, self);
  check_index_dtype(op, index);
  if (index.dim() > 1) fail(op, ": index is ", index, "; it needs a vector");
}

// Each index once, so that the value's gradient counts it once.
Tensor distinct(const Tensor& list, int64_t size) {
  std::vector<bool> seen(static_cast<size_t>(size), false);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < list.numel(); ++i) {
    const int64_t at = list.data<int64_t>()[i];
    if (!seen[static_cast<size_t>(at)]) kept.push_back(at);
    seen[static_cast<size_t>(at)] = true;
  }
  return Tensor::from(kept, {static_cast<int64_t>(kept.size())});
}

Tensor write(const char* op, const Tensor& self, int64_t dim, const Tensor& index,
             const Tensor& source, bool add) {
  check_list(op, self, index);
  if (source.dtype() != self.dtype()) {
    fail(op, ": source is ", source.dtype(), " and self is ", self.dtype(),
         "; convert one with .to()");
  }
  const int d = normalize_dim(dim, self.dim(), op);
  if (self.dim() == 0) {
    if (source.numel() != 1 || index.numel() != 1) {
      fail(op, ": source ", source, " and index ", index, " do not fit ", self);
    }
    return reshape(write(op, reshape(self, {1}), 0, reshape(index, {1}), reshape(source, {1}), add),
                   {});
  }
  Shape expected = self.shape();
  expected[d] = index.numel();
  const Tensor values = source.dim() == 0 && self.dim() == 1 ? reshape(source, {1}) : source;
  if (values.shape() != expected) {
    fail(op, ": source is ", source, "; ", index.numel(), " indices along dimension ", d, " of ",
         self, " need ", expected);
  }
  return apply(write_op, {self, index, values}, {d, add});
}

}  // namespace

Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index) {
  check_list("index_select", self, index);
  const int d = normalize_dim(dim, self.dim(), "index_select");
  if (self.dim() == 0) {
    if (index.numel() != 1) fail("index_select: ", index.numel(), " indices into ", self);
    return reshape(index_select(reshape(self, {1}), 0, index), {});
  }
  return apply(select_op, {self, index.dim() == 0 ? reshape(index, {1}) : index}, {d});
}

Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                 const Scalar& alpha) {
  const bool is_one = !alpha.is_complex() && alpha.real() == 1;
  return write("index_add", self, dim, index, is_one ? source : (source * alpha).to(source.dtype()),
               true);
}

Tensor index_copy(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source) {
  return write("index_copy", self, dim, index, source, false);
}

Tensor index_fill(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& value) {
  check_list("index_fill", self, index);
  const int d = normalize_dim(dim, self.dim(), "index_fill");
  if (value.dim() != 0) {
    fail("index_fill: value is ", value, "; it must be a number or 0-dimensional");
  }
  if (is_complex(value.dtype()) && !is_complex(self.dtype())) {
    fail("index_fill: value is complex, which ", self.dtype(), " cannot hold");
  }
  if (self.dim() == 0) return reshape(index_fill(reshape(self, {1}), 0, index, value), {});
  const int64_t n = self.shape()[d];
  Tensor list = index.dim() == 0 ? reshape(index, {1}) : index;
  list = distinct(checked_index("index_fill", list, n, true), n);
  Shape shape = self.shape();
  shape[d] = list.numel();
  return index_copy(self, d, list, expand(value.to(self.dtype()), shape));
}

Tensor index_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                    std::string_view reduce, bool include_self) {
  check_list("index_reduce", self, index);
  if (reduce != "prod" && reduce != "mean" && reduce != "amax" && reduce != "amin") {
    fail("index_reduce: reduce \"", reduce, "\" is none of prod, mean, amax, amin");
  }
  const int d = normalize_dim(dim, self.dim(), "index_reduce");
  if (self.dim() == 0) {
    return reshape(index_reduce(reshape(self, {1}), 0, reshape(index, {-1}), reshape(source, {-1}),
                                reduce, include_self),
                   {});
  }
  Shape expected = self.shape(), along = Shape::filled(self.dim(), 1);
  along[d] = expected[d] = index.numel();
  checked_index("index_reduce", index, self.size(d), false);
  if (source.shape() != expected) {
    fail("index_reduce: source is ", source, "; ", index.numel(), " indices along dimension ", d,
         " of ", self, " need ", expected);
  }
  return scatter_reduce(self, d, expand(reshape(index.to(DType::i64), along), expected), source,
                        reduce, include_self);
}

}  // namespace tallow
