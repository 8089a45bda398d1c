// Sums: sum, mean, nansum, count_nonzero. They accumulate in f64, or i64, whatever the dtype.
#include <cmath>

#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow {
namespace {

template <class T>
struct SumOf {
  static constexpr bool kOrdered = false;
  using State = std::conditional_t<std::is_same_v<T, Complex>, Complex,
                                   std::conditional_t<std::is_integral_v<T>, uint64_t, double>>;
  const Tensor& out;
  double count = 1;

  State start() const { return State(0); }
  void take(State& s, T v, int64_t) const { s += static_cast<State>(v); }
  void merge(State& s, State other) const { s += other; }
  void finish(State s, int64_t at) const {
    if constexpr (!std::is_integral_v<T>) s /= count;
    if constexpr (std::is_same_v<T, float>) return write_result(out, at, s);
    write_result(out, at, static_cast<T>(s));
  }
};

template <class T>
struct NanSumOf : SumOf<T> {
  using State = typename SumOf<T>::State;
  void take(State& s, T v, int64_t) const { s += v == v ? static_cast<State>(v) : State(0); }
};

template <class T>
struct NonZeros {
  static constexpr bool kOrdered = false;
  using State = int64_t;
  const Tensor& out;
  State start() const { return 0; }
  void take(State& s, T v, int64_t) const { s += v != T(0); }
  void merge(State& s, State other) const { s += other; }
  void finish(State s, int64_t at) const { write_result(out, at, s); }
};

Specs infer_sum(const char* op, Inputs in, const ReduceOptions& o) {
  check_not_block(op, in[0]);
  const DType dtype = is_integral(in[0].dtype()) ? DType::i64 : in[0].dtype();
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), dtype}};
}

constinit Op<ReduceOptions> nansum_op{
    "nansum",
    {.infer =
         [](Inputs in, const ReduceOptions& o) {
           check_not_complex("nansum", in[0]);
           return infer_sum("nansum", in, o);
         },
     .vjp =
         [](const Saved<ReduceOptions>& saved, Inputs grads) {
           const Tensor& x = saved.inputs[0];
           return Tensors{spread(grads[0], x, saved.options.dims) * equal_to(x, x)};
         },
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           with_compute_type(compute_type(in[0].dtype()),
                             [&]<class T>(T) { fold<T>(in[0], o.dims, NanSumOf<T>{{out[0]}}); });
         }}};

constinit Op<ReduceOptions> count_nonzero_op{
    "count_nonzero",
    {.infer =
         [](Inputs in, const ReduceOptions& o) {
           check_not_block("count_nonzero", in[0]);
           return Specs{{reduced_shape(in[0].shape(), o.dims, o.keepdim), DType::i64}};
         },
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           with_any_compute_type(compute_type(in[0].dtype()),
                                 [&]<class T>(T) { fold<T>(in[0], o.dims, NonZeros<T>{out[0]}); });
         }}};

}  // namespace

constinit Op<ReduceOptions> sum_op{
    "sum",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer_sum("sum", in, o); },
     .vjp =
         [](const Saved<ReduceOptions>& saved, Inputs grads) {
           return Tensors{spread(grads[0], saved.inputs[0], saved.options.dims)};
         },
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           with_any_compute_type(compute_type(in[0].dtype()),
                                 [&]<class T>(T) { fold<T>(in[0], o.dims, SumOf<T>{out[0]}); });
         },
     .shapes_only = true}};

constinit Op<ReduceOptions> mean_op{
    "mean",
    {.infer =
         [](Inputs in, const ReduceOptions& o) {
           if (is_integral(in[0].dtype())) {
             fail("mean: ", in[0], " has no mean of its own dtype; call .to(f32), or give dtype");
           }
           return infer_sum("mean", in, o);
         },
     .vjp =
         [](const Saved<ReduceOptions>& saved, Inputs grads) {
           const Tensor& x = saved.inputs[0];
           const auto count = static_cast<double>(group_count(x, saved.options.dims));
           return Tensors{spread(grads[0] / count, x, saved.options.dims)};
         },
     .cpu =
         [](Inputs in, Outputs out, const ReduceOptions& o) {
           const auto count = static_cast<double>(group_count(in[0], o.dims));
           with_any_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
             fold<T>(in[0], o.dims, SumOf<T>{out[0], count});
           });
         },
     .shapes_only = true}};

Tensor sum(const Tensor& self, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  const Tensor y =
      apply(sum_op, {as_dtype(self, dtype)}, {reduced_dims(self, dim, "sum"), keepdim});
  return as_dtype(y, dtype);
}
Tensor mean(const Tensor& self, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  return apply(mean_op, {as_dtype(self, dtype)}, {reduced_dims(self, dim, "mean"), keepdim});
}
Tensor nansum(const Tensor& self, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  const Tensor x = as_dtype(self, dtype);
  if (is_integral(x.dtype())) return sum(x, dim, keepdim, dtype);
  return apply(nansum_op, {x}, {reduced_dims(self, dim, "nansum"), keepdim});
}
Tensor nanmean(const Tensor& self, const Dims& dim, bool keepdim, std::optional<DType> dtype) {
  const Tensor x = as_dtype(self, dtype);
  if (!is_differentiable(x.dtype())) fail("nanmean: ", x, " holds no NaN; use mean, or give dtype");
  const Tensor counted = sum(equal_to(x.detach(), x.detach()), dim, keepdim, DType::i64);
  return nansum(x, dim, keepdim) / counted;
}
Tensor count_nonzero(const Tensor& self, const Dims& dim) {
  return apply(count_nonzero_op, {self}, {reduced_dims(self, dim, "count_nonzero")});
}

}  // namespace tallow
