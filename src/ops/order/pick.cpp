// Elements picked along a dimension by index, and their gradient.
#include <cstring>

#include "ops/order/select.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct PickOptions {
  int dim;
  int64_t size;  // of the dimension that is indexed
};

int64_t inner_of(const Shape& shape, int dim) {
  int64_t inner = 1;
  for (int i = dim + 1; i < shape.size(); ++i) inner *= shape[i];
  return inner;
}

template <class T>
void pick(const Tensor& x, const Tensor& index, const Tensor& out, const PickOptions& o) {
  const int64_t n = index.shape()[o.dim], inner = inner_of(index.shape(), o.dim);
  const T* from = static_cast<const T*>(x.raw());
  T* to = static_cast<T*>(out.raw());
  const int64_t* at = index.data<int64_t>();
  parallel_for(out.numel(), 16 * kChunk, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t outer = i / (n * inner), column = i % inner;
      to[i] = from[(outer * o.size + at[i]) * inner + column];
    }
  });
}

void pick_cpu(Inputs in, Outputs out, const PickOptions& o) {
  const Tensor x = in[0].detach().contiguous(), index = in[1].contiguous();
  switch (info(x.dtype()).bytes) {
    case 1: return pick<uint8_t>(x, index, out[0], o);
    case 2: return pick<uint16_t>(x, index, out[0], o);
    case 4: return pick<uint32_t>(x, index, out[0], o);
    case 8: return pick<uint64_t>(x, index, out[0], o);
    default: return pick<Complex>(x, index, out[0], o);
  }
}

template <class T>
void add(const Tensor& g, const Tensor& index, const Tensor& out, const PickOptions& o) {
  const int64_t n = index.shape()[o.dim], inner = inner_of(index.shape(), o.dim);
  const bool direct = std::is_same_v<T, float> ? out.dtype() == DType::f32 : true;
  const Tensor total = direct ? out : Tensor::empty(out.shape(), DType::f32);
  std::memset(total.raw(), 0, static_cast<size_t>(total.nbytes()));
  T* to = static_cast<T*>(total.raw());
  const Tensor wide = g.to(total.dtype()).contiguous();
  const T* from = static_cast<const T*>(wide.raw());
  const int64_t* at = index.data<int64_t>();
  if (n * inner == 0) return;
  parallel_for(g.numel() / (n * inner), std::max<int64_t>(1, 16 * kChunk / (n * inner)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t outer = begin; outer < end; ++outer) {
                   for (int64_t i = outer * n * inner; i < (outer + 1) * n * inner; ++i) {
                     to[(outer * o.size + at[i]) * inner + i % inner] += from[i];
                   }
                 }
               });
  if constexpr (std::is_same_v<T, float>) {
    if (!direct) write_elements(out, 0, out.numel(), to);
  }
}

void add_cpu(Inputs in, Outputs out, const PickOptions& o) {
  const Tensor g = in[0].detach(), index = in[1].contiguous();
  switch (g.dtype()) {
    case DType::f64: return add<double>(g, index, out[0], o);
    case DType::c64: return add<std::complex<float>>(g, index, out[0], o);
    case DType::c128: return add<Complex>(g, index, out[0], o);
    default: return add<float>(g, index, out[0], o);
  }
}

Tensors add_vjp(const Saved<PickOptions>& saved, Inputs grads) {
  return {pick_along(grads[0], saved.options.dim, saved.inputs[1]), Tensor()};
}

constinit Op<PickOptions> add_along_op{"add_along",
                                       {.infer =
                                            [](Inputs in, const PickOptions& o) {
                                              Shape shape = in[0].shape();
                                              shape[o.dim] = o.size;
                                              return Specs{{shape, in[0].dtype()}};
                                            },
                                        .vjp = add_vjp,
                                        .cpu = add_cpu}};

constinit Op<PickOptions> pick_along_op{
    "pick_along",
    {.infer =
         [](Inputs in, const PickOptions&) {
           return Specs{{in[1].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<PickOptions>& saved, Inputs grads) {
           return Tensors{
               add_along(grads[0], saved.inputs[0].shape(), saved.options.dim, saved.inputs[1]),
               Tensor()};
         },
     .cpu = pick_cpu}};

}  // namespace

Tensor pick_along(const Tensor& x, int64_t dim, const Tensor& index) {
  if (x.dim() == 0) return pick_along(x.reshape({1}), 0, index.reshape({1})).reshape({});
  const int axis = normalize_dim(dim, x.dim(), "pick_along");
  return apply(pick_along_op, {x, index}, {axis, x.shape()[axis]});
}

Tensor add_along(const Tensor& g, const Shape& shape, int64_t dim, const Tensor& index) {
  if (shape.empty()) return g.reshape({});
  const int axis = normalize_dim(dim, shape.size(), "add_along");
  return apply(add_along_op, {g, index}, {axis, shape[axis]});
}

Tensor put_along(const Tensor& g, const Shape& shape, const ReduceOptions& o, const Tensor& index) {
  if (shape.empty()) return g.reshape({});
  const Shape kept = reduced_shape(shape, o.dims, true);
  return add_along(g.reshape(kept), shape, listed(o.dims)[0], index.reshape(kept));
}

}  // namespace tallow
