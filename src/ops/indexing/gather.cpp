// gather and the scatters: an index for each element along a dimension.
#include <algorithm>
#include <limits>

#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/indexing/lanes.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct GatherOptions {
  int dim;
};

void gather_cpu(Inputs in, Outputs out, const GatherOptions& o) {
  const Tensor& x = in[0];
  const Tensor index = as_indices(in[1]);
  with_bytes(info(x.dtype()).bytes, [&]<class T>(T) {
    const T* from = static_cast<const T*>(x.raw());
    T* to = static_cast<T*>(out[0].raw());
    gather_lanes(index, x.strides(), o.dim, x.shape()[o.dim], from, to);
  });
}

constinit Op<GatherOptions> gather_op{
    "gather",
    {.infer =
         [](Inputs in, const GatherOptions&) {
           return Specs{{in[1].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<GatherOptions>& saved, Inputs grads) {
           const Tensor none = zeros(saved.inputs[0].shape(), grads[0].dtype());
           return Tensors{scatter_add(none, saved.options.dim, saved.inputs[1], grads[0]),
                          Tensor()};
         },
     .cpu = gather_cpu,
     .reads = [](uint32_t) { return 2u; }}};

struct ScatterOptions {
  int dim;
  Reduce reduce;
  bool include_self;
};

template <class T>
T identity(Reduce reduce) {
  if (reduce == Reduce::prod) return T(1);
  if constexpr (std::is_arithmetic_v<T>) {
    using Limits = std::numeric_limits<T>;
    if (reduce == Reduce::amax)
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    if (reduce == Reduce::amin) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  return T(0);
}

template <class T>
void combine(const ScatterOptions& o, const Tensor& out, const Tensor& index, const Tensor& src) {
  const auto run = [&](const auto& f) { scatter_lanes<T>(out, o.dim, index, src, f); };
  switch (o.reduce) {
    case Reduce::prod: return run([](T& a, T b) { a *= b; });
    case Reduce::amax:
      if constexpr (std::is_arithmetic_v<T>) {
        run([](T& a, T b) { a = a != a || b <= a ? a : b; });
      }
      return;
    case Reduce::amin:
      if constexpr (std::is_arithmetic_v<T>) {
        run([](T& a, T b) { a = a != a || b >= a ? a : b; });
      }
      return;
    default: return run([](T& a, T b) { a += b; });
  }
}

// Sums become means. Integers round towards minus infinity.
template <class T>
void divide(const ScatterOptions& o, const Tensor& out, const Tensor& index) {
  Tensor counts = Tensor::full(out.shape(), o.include_self ? 1 : 0, DType::i64);
  Tensor one = expand(Tensor::full({}, 1, DType::i64), index.shape());
  scatter_lanes<int64_t>(counts, o.dim, index, one, [](int64_t& a, int64_t b) { a += b; });
  T* to = static_cast<T*>(out.raw());
  const int64_t* count = counts.data<int64_t>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (count[i] <= 1) continue;
    if constexpr (std::is_integral_v<T>) {
      const T remainder = to[i] % count[i];
      to[i] = to[i] / count[i] - (remainder < 0);
    } else {
      to[i] /= static_cast<T>(count[i]);
    }
  }
}

void scatter_cpu(Inputs in, Outputs outputs, const ScatterOptions& o) {
  const Tensor &self = in[0], &out = outputs[0];
  const Tensor index = as_indices(in[1]);
  const bool assigns = o.reduce == Reduce::assign;
  const DType dtype = assigns ? self.dtype() : accumulation_dtype(self.dtype());
  const Tensor to = dtype == self.dtype() ? out : Tensor::empty(self.shape(), dtype);
  move_elements(self.to(dtype), static_cast<std::byte*>(to.raw()), to.strides());
  const Tensor src = in[2].to(dtype);
  if (assigns) {
    with_bytes(info(dtype).bytes, [&]<class T>(T) {
      scatter_lanes<T>(to, o.dim, index, src, [](T& a, T b) { a = b; });
    });
    return;
  }
  with_accumulation_type(dtype, [&]<class T>(T) {
    if (!o.include_self) {
      // What is written to starts anew.
      Tensor first = Tensor::empty({}, dtype);
      *static_cast<T*>(first.raw()) = identity<T>(o.reduce);
      scatter_lanes<T>(to, o.dim, index, expand(first, index.shape()), [](T& a, T b) { a = b; });
    }
    combine<T>(o, to, index, src);
    if (o.reduce == Reduce::mean) divide<T>(o, to, index);
  });
  if (dtype != self.dtype()) {
    move_elements(to.to(self.dtype()), static_cast<std::byte*>(out.raw()), out.strides());
  }
}

// x with zeros behind, to `shape`.
Tensor filled_up(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  std::vector<int64_t> sizes;
  for (int i = shape.size() - 1; i >= 0; --i) {
    sizes.push_back(0);
    sizes.push_back(shape[i] - x.shape()[i]);
  }
  return pad(x, sizes);
}

// src may be larger than the index: what the index does not reach has no gradient.
Tensor grad_of_src(const Tensor& g, int dim, const Tensor& index, const Tensor& src) {
  return filled_up(gather(g, dim, index), src.shape());
}

Tensor cut(const Tensor& src, const Shape& shape) {
  Tensor part = src;
  for (int i = 0; i < shape.size(); ++i) {
    if (part.shape()[i] != shape[i]) part = narrow(part, i, 0, shape[i]);
  }
  return part;
}

// Zeros among the factors: a single one gets the product of the others.
Tensors prod_vjp(const Saved<ScatterOptions>& saved, const Tensor& g, const Tensor& src) {
  const ScatterOptions& o = saved.options;
  const Tensor &self = saved.inputs[0], &index = saved.inputs[1], &result = saved.outputs[0];
  const auto product = [&](const Tensor& x, const Tensor& y) {
    return scatter_reduce(x, o.dim, index, y, "prod", o.include_self);
  };
  const Tensor own = masked_fill(self, eq(self, 0), 1);
  const Tensor grad_self = g * product(own, src) / own;
  const Tensor zero = eq(src, 0);
  const Tensor met = scatter_add(zeros_like(self), o.dim, index, zero.to(self.dtype()));
  const Tensor single = logical_and(zero, eq(gather(met, o.dim, index), 1));
  const Tensor others = gather(g * product(self, masked_fill(src, single, 1)), o.dim, index);
  const Tensor all = gather(g * result, o.dim, index) / masked_fill(src, zero, 1);
  return {grad_self, where(single, others, all)};
}

Tensors extreme_vjp(const Saved<ScatterOptions>& saved, const Tensor& g, const Tensor& src) {
  const ScatterOptions& o = saved.options;
  const Tensor &self = saved.inputs[0], &index = saved.inputs[1], &result = saved.outputs[0];
  const Tensor is_self = eq(self, result).to(g.dtype());
  const Tensor is_src = eq(src, gather(result, o.dim, index)).to(g.dtype());
  const Tensor share = g / scatter_add(is_self, o.dim, index, is_src);
  return {is_self * share, is_src * gather(share, o.dim, index)};
}

Tensors mean_vjp(const Saved<ScatterOptions>& saved, const Tensor& g, const Tensor& src) {
  const ScatterOptions& o = saved.options;
  const Tensor& index = saved.inputs[1];
  Tensor count = full(g.shape(), o.include_self ? 1 : 0, g.dtype());
  count = scatter_add(count, o.dim, index, ones(src.shape(), g.dtype()));
  const Tensor share = g / maximum(count, 1);
  return {share, gather(share, o.dim, index)};
}

Tensors scatter_vjp(const Saved<ScatterOptions>& saved, Inputs grads) {
  const ScatterOptions& o = saved.options;
  const Tensor &g = grads[0], &self = saved.inputs[0], &index = saved.inputs[1];
  Tensors result(3);
  if (saved.inputs[2].requires_grad()) {
    result[2] = grad_of_src(g, o.dim, index, saved.inputs[2]);
  }
  if (self.requires_grad()) {
    const bool replaced = o.reduce == Reduce::assign || !o.include_self;
    result[0] = replaced ? scatter(g, o.dim, index, 0) : g;
  }
  return result;
}

Tensors reduce_vjp(const Saved<ScatterOptions>& saved, Inputs grads) {
  const ScatterOptions& o = saved.options;
  const Tensor &g = grads[0], &index = saved.inputs[1];
  Tensors result(3);
  const Tensor src = cut(saved.inputs[2], index.shape());
  Tensors both = o.reduce == Reduce::prod   ? prod_vjp(saved, g, src)
                 : o.reduce == Reduce::mean ? mean_vjp(saved, g, src)
                                            : extreme_vjp(saved, g, src);
  if (!o.include_self) both[0] = scatter(both[0], o.dim, index, 0);
  result[0] = both[0];
  result[2] = filled_up(both[1], saved.inputs[2].shape());
  return result;
}

Specs scatter_infer(Inputs in, const ScatterOptions&) { return {{in[0].shape(), in[0].dtype()}}; }

// Of assignments and sums, whose gradient reads the index only.
constinit Op<ScatterOptions> scatter_op{
    "scatter",
    {.infer = scatter_infer, .vjp = scatter_vjp, .cpu = scatter_cpu, .reads = [](uint32_t) {
       return 2u;
     }}};
constinit Op<ScatterOptions> scatter_reduce_op{
    "scatter_reduce",
    {.infer = scatter_infer, .vjp = reduce_vjp, .cpu = scatter_cpu, .save_outputs = true}};

// The index may be smaller than `sizes` outside dim (-1: everywhere), never larger.
void check_index(const char* op, const Tensor& index, const Tensor& x, int dim, const char* what) {
  if (index.dim() != x.dim() && index.numel() > 0) {
    fail(op, ": index ", index, " and ", what, " ", x, " need as many dimensions");
  }
  for (int i = 0; i < index.dim() && index.numel() > 0; ++i) {
    if (i != dim && index.shape()[i] > x.shape()[i]) {
      fail(op, ": index ", index, " is larger than ", what, " ", x, " in dimension ", i);
    }
  }
}

Tensor scattered(const char* op, const Tensor& self, int64_t dim, const Tensor& index,
                 const Tensor& src, Reduce reduce, bool include_self) {
  check_not_block(op, self);
  check_index_dtype(op, index);
  const int d = normalize_dim(dim, self.dim(), op);
  if (src.dtype() != self.dtype() && !src.is_number()) {
    fail(op, ": src is ", src.dtype(), " and self is ", self.dtype(), "; convert one with .to()");
  }
  if (is_complex(self.dtype()) && (reduce == Reduce::amax || reduce == Reduce::amin)) {
    check_not_complex(op, self);
  }
  if (self.dim() == 0) {
    return reshape(scattered(op, reshape(self, {1}), 0, reshape(index, {-1}),
                             src.is_number() ? src : reshape(src, {-1}), reduce, include_self),
                   {});
  }
  Tensor at = index, values = src;
  if (index.dim() == 0) at = reshape(index, {1});
  if (src.is_number()) {
    if (is_complex(src.dtype()) && !is_complex(self.dtype())) {
      fail(op, ": src is complex, which ", self.dtype(), " cannot hold");
    }
    values = expand(src.to(self.dtype()), at.shape());
  } else if (src.dim() == 0) {
    values = reshape(src, {1});
  }
  check_index(op, at, self, d, "self");
  check_index(op, at, values, -1, "src");
  if (at.numel() == 0) return clone(self);
  const bool linear = reduce == Reduce::assign || reduce == Reduce::sum;
  return apply(linear ? scatter_op : scatter_reduce_op, {self, at, values},
               {d, reduce, include_self});
}

}  // namespace

Tensor gather(const Tensor& self, int64_t dim, const Tensor& index,
              [[maybe_unused]] bool sparse_grad) {
  check_not_block("gather", self);
  if (index.numel() == 0 && index.dtype() != DType::i64) {
    return gather(self, dim, index.to(DType::i64));
  }
  check_index_dtype("gather", index);
  const int d = normalize_dim(dim, self.dim(), "gather");
  if (self.dim() == 0 || index.dim() == 0) {
    const Tensor picked = gather(atleast_1d(self), dim, atleast_1d(index));
    return reshape(picked, index.shape());
  }
  check_index("gather", index, self, d, "self");
  return apply(gather_op, {self, index}, {d});
}

Tensor scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
               std::string_view reduce) {
  const Reduce how = reduce.empty()         ? Reduce::assign
                     : reduce == "add"      ? Reduce::sum
                     : reduce == "multiply" ? Reduce::prod
                                            : Reduce::mean;
  if (how == Reduce::mean) fail("scatter: reduce \"", reduce, "\" is neither add nor multiply");
  return scattered("scatter", self, dim, index, src, how, true);
}

Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  return scattered("scatter_add", self, dim, index, src, Reduce::sum, true);
}

Tensor scatter_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                      std::string_view reduce, bool include_self) {
  static constexpr std::pair<std::string_view, Reduce> kNames[] = {{"sum", Reduce::sum},
                                                                   {"prod", Reduce::prod},
                                                                   {"mean", Reduce::mean},
                                                                   {"amax", Reduce::amax},
                                                                   {"amin", Reduce::amin}};
  for (const auto& [name, how] : kNames) {
    if (name == reduce) {
      return scattered("scatter_reduce", self, dim, index, src, how, include_self);
    }
  }
  fail("scatter_reduce: reduce \"", reduce, "\" is none of sum, prod, mean, amax, amin");
}

}  // namespace tallow
