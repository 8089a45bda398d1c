// Products. The gradient multiplies what stands before an element by what stands after it, so that
// zeros need no division.
#include "ops/reduce/fold.h"

namespace tallow {
namespace {

template <class T>
struct ProductOf {
  static constexpr bool kOrdered = false;
  using State = std::conditional_t<std::is_same_v<T, Complex>, Complex,
                                   std::conditional_t<std::is_integral_v<T>, uint64_t, double>>;
  const Tensor& out;
  State start() const { return State(1); }
  void take(State& s, T v, int64_t) const { s *= static_cast<State>(v); }
  void merge(State& s, State other) const { s *= other; }
  void finish(State s, int64_t at) const {
    if constexpr (std::is_integral_v<T>) return write_result(out, at, static_cast<int64_t>(s));
    if constexpr (!std::is_integral_v<T>) write_result(out, at, s);
  }
};

Specs infer(Inputs in, const ReduceOptions& o) {
  check_not_block("prod", in[0]);
  const DType dtype = is_integral(in[0].dtype()) ? DType::i64 : in[0].dtype();
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), dtype}};
}

// The products of the elements before each one of the last dimension.
Tensor products_before(const Tensor& x) {
  const Tensor ones =
      Tensor::full(reduced_shape(x.shape(), 1u << (x.dim() - 1), true), 1, x.dtype());
  return cumprod(cat({ones, x.narrow(-1, 0, x.size(-1) - 1)}, -1), -1);
}

Tensors vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const uint32_t dims = saved.options.dims;
  const Tensor& x = saved.inputs[0];
  if (x.numel() == 0) return {x * 0.0};
  const Tensor rows = conjugate(flattened_last(x, dims));
  const Tensor after = flip(products_before(flip(rows, -1)), -1);
  const Tensor g = grads[0].reshape(reduced_shape(rows.shape(), 1u << (rows.dim() - 1), true));
  const Tensor flat = g * (products_before(rows) * after);
  // Back to the order of x's dimensions.
  std::vector<int64_t> order;
  Shape shape;
  for (int i = 0; i < x.dim(); ++i) {
    if (!(dims >> i & 1)) order.push_back(i);
  }
  for (int64_t dim : listed(dims)) order.push_back(dim);
  std::vector<int64_t> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    shape.push_back(x.size(order[i]));
    back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  }
  return {flat.reshape(shape).permute(back)};
}

constinit Op<ReduceOptions> prod_op{
    "prod", {.infer = infer, .vjp = vjp, .cpu = [](Inputs in, Outputs out, const ReduceOptions& o) {
               with_any_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
                 fold<T>(in[0], o.dims, ProductOf<T>{out[0]});
               });
             }}};

}  // namespace

Tensor prod(const Tensor& self, std::optional<int64_t> dim, bool keepdim,
            std::optional<DType> dtype) {
  const ReduceOptions options{reduced_dims(self, dim, "prod"), keepdim};
  return as_dtype(apply(prod_op, {as_dtype(self, dtype)}, options), dtype);
}

}  // namespace tallow
