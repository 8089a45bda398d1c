// Reductions over any dimensions: sum, mean, amax. Sums accumulate in f64 (or i64), whatever the
// dtype.
#include <limits>

#include "ops/elements.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct ReduceOptions {
  uint32_t dims;  // a bit per dimension
  bool keepdim;
};

uint32_t reduced_dims(const Tensor& x, const Dims& dims, const char* op) {
  return !dims.given() ? (1u << x.dim()) - 1 : dim_bits(dims, x.dim(), op);
}

Shape reduced_shape(const Shape& shape, const ReduceOptions& o, bool keepdim) {
  Shape out;
  for (int i = 0; i < shape.size(); ++i) {
    bool reduced = o.dims >> i & 1;
    if (!reduced) out.push_back(shape[i]);
    if (reduced && keepdim) out.push_back(1);
  }
  return out;
}

Specs infer_as(const char* op, Inputs in, const ReduceOptions& o, bool integers_widen) {
  DType dtype = in[0].dtype();
  if (is_block(dtype)) fail(op, ": ", dtype, " is a block dtype; call .to(f32) first");
  if (!is_real(dtype) && integers_widen) dtype = DType::i64;
  return {{reduced_shape(in[0].shape(), o, o.keepdim), dtype}};
}

// x with the reduced dimensions last, and how many elements each result takes.
std::pair<Tensor, int64_t> grouped(const Tensor& x, const ReduceOptions& o) {
  std::vector<int64_t> order;
  int64_t count = 1;
  for (int i = 0; i < x.dim(); ++i) {
    if (!(o.dims >> i & 1)) order.push_back(i);
  }
  for (int i = 0; i < x.dim(); ++i) {
    if (!(o.dims >> i & 1)) continue;
    order.push_back(i);
    count *= x.shape()[i];
  }
  NoGrad no_grad;
  return {x.permute(order), count};
}

// Folds each group with f, from `start`, in chunks whose order does not depend on the threads.
template <class T, class A, class F>
void fold(const Tensor& x, const Tensor& out, const ReduceOptions& o, A start, double scale,
          const F& f) {
  auto [groups, count] = grouped(x, o);
  ElementReader<T> reader(groups, groups.shape());
  int64_t group_size = count;
  parallel_for(out.numel(), std::max<int64_t>(1, 16 * kChunk / std::max<int64_t>(count, 1)),
               [&](int64_t begin, int64_t end, int) {
                 T chunk[kChunk];
                 for (int64_t g = begin; g < end; ++g) {
                   A total = start;
                   for (int64_t i = 0; i < group_size; i += kChunk) {
                     int64_t n = std::min(kChunk, group_size - i);
                     const T* values = reader.read(g * group_size + i, n, chunk);
                     A part = start;
                     for (int64_t j = 0; j < n; ++j) part = f(part, static_cast<A>(values[j]));
                     total = f(total, part);
                   }
                   if constexpr (!std::is_integral_v<A>) total *= static_cast<A>(scale);
                   T result = static_cast<T>(total);
                   write_elements(out, g, 1, &result);
                 }
               });
}

void sum_scaled(const Tensor& x, const Tensor& out, const ReduceOptions& o, double scale) {
  auto plus = [](auto a, auto b) { return a + b; };
  switch (compute_type(x.dtype())) {
    case ComputeType::f32: return fold<float, double>(x, out, o, 0.0, scale, plus);
    case ComputeType::f64: return fold<double, double>(x, out, o, 0.0, scale, plus);
    case ComputeType::i64: return fold<int64_t, int64_t>(x, out, o, 0, 1, plus);
    case ComputeType::c128: return fold<Complex, Complex>(x, out, o, 0.0, scale, plus);
  }
}

int64_t group_count(const Tensor& x, const ReduceOptions& o) {
  int64_t n = 1;
  for (int i = 0; i < x.dim(); ++i) n *= o.dims >> i & 1 ? x.shape()[i] : 1;
  return n;
}

// The result, or its gradient, seen with the reduced dimensions as 1 and repeated over x's shape.
Tensor spread(const Tensor& y, const Tensor& x, const ReduceOptions& o) {
  return y.reshape(reduced_shape(x.shape(), o, true)).expand(x.shape());
}

constinit Op<ReduceOptions> sum_op{
    "sum",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer_as("sum", in, o, true); },
     .vjp = [](const Saved<ReduceOptions>& saved,
               Inputs grads) { return Tensors{spread(grads[0], saved.inputs[0], saved.options)}; },
     .cpu = [](Inputs in, Outputs out,
               const ReduceOptions& o) { sum_scaled(in[0], out[0], o, 1); }}};

constinit Op<ReduceOptions> mean_op{
    "mean",
    {.infer =
         [](Inputs in, const ReduceOptions& o) {
           if (!is_real(in[0].dtype())) {
             fail("mean: ", in[0].dtype(), " has no mean of its own dtype; call .to(f32) first");
           }
           return infer_as("mean", in, o, false);
         },
     .vjp =
         [](const Saved<ReduceOptions>& saved, Inputs grads) {
           const Tensor& x = saved.inputs[0];
           double scale = 1.0 / static_cast<double>(group_count(x, saved.options));
           return Tensors{spread(grads[0] * scale, x, saved.options)};
         },
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           sum_scaled(in[0], out[0], o, 1.0 / static_cast<double>(group_count(in[0], o)));
         }}};

// Ties share the gradient equally, as PyTorch's amax does.
Tensors amax_vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  Tensor top = spread(saved.outputs[0], x, saved.options);
  Tensor share = eq(x, top).to(x.dtype());
  Tensor ties = apply(sum_op, {share}, {saved.options.dims, true});
  return {share * spread(grads[0], x, saved.options) / ties};
}

constinit Op<ReduceOptions> amax_op{
    "amax",
    {.infer =
         [](Inputs in, const ReduceOptions& o) {
           if (group_count(in[0], o) == 0) fail("amax: ", in[0], " has no elements to choose from");
           return infer_as("amax", in, o, false);
         },
     .vjp = amax_vjp,
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           with_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
             T lowest = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                    : std::numeric_limits<T>::lowest();
             fold<T, T>(in[0], out[0], o, lowest, 1, [](T a, T b) {
               return a != a ? a : b != b ? b : a > b ? a : b;
             });
           });
         },
     .save_outputs = true}};

}  // namespace

Tensor sum(const Tensor& x, const Dims& dims, bool keepdim) {
  return apply(sum_op, {x}, {reduced_dims(x, dims, "sum"), keepdim});
}
Tensor mean(const Tensor& x, const Dims& dims, bool keepdim) {
  return apply(mean_op, {x}, {reduced_dims(x, dims, "mean"), keepdim});
}
Tensor amax(const Tensor& x, const Dims& dims, bool keepdim) {
  return apply(amax_op, {x}, {reduced_dims(x, dims, "amax"), keepdim});
}

}  // namespace tallow
