// Largest and smallest elements, and where they stand. NaN counts as both.
#include <limits>

#include "ops/order/select.h"
#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow {
namespace {

// Whether v stands before s: NaN before all numbers.
template <bool kMin, class T>
bool before(T v, T s) {
  return (kMin ? v < s : v > s) || (v != v && s == s);
}

template <class T, bool kMin>
struct Extremum {
  static constexpr bool kOrdered = false;
  using State = T;
  const Tensor& out;
  State start() const {
    using Limits = std::numeric_limits<T>;
    if constexpr (std::is_integral_v<T>) return kMin ? Limits::max() : Limits::lowest();
    return kMin ? Limits::infinity() : -Limits::infinity();
  }
  void take(State& s, T v, int64_t) const { s = before<kMin>(v, s) ? v : s; }
  void merge(State& s, State other) const { take(s, other, 0); }
  void finish(State s, int64_t at) const { write_result(out, at, s); }
};

// The first element that no other stands before; `values` may be undefined.
template <class T, bool kMin>
struct IndexedExtremum {
  static constexpr bool kOrdered = true;
  struct State {
    T value;
    int64_t index;
  };
  const Tensor &values, &indices;
  State start() const { return {T(0), -1}; }
  void take(State& s, T v, int64_t index) const {
    if (s.index < 0 || before<kMin>(v, s.value)) s = {v, index};
  }
  void merge(State& s, const State& other) const {
    if (other.index < 0) return;
    const bool tie = s.index >= 0 && !before<kMin>(s.value, other.value);
    if (s.index < 0 || before<kMin>(other.value, s.value) || (tie && other.index < s.index)) {
      s = other;
    }
  }
  void finish(const State& s, int64_t at) const {
    if (values) write_result(values, at, s.value);
    indices.data<int64_t>()[at] = s.index;
  }
};

Specs infer(const char* op, Inputs in, const ReduceOptions& o) {
  check_not_block(op, in[0]);
  check_not_complex(op, in[0]);
  check_not_empty(op, in[0], o.dims);
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), in[0].dtype()}};
}

Specs infer_indexed(const char* op, Inputs in, const ReduceOptions& o) {
  Specs specs = infer(op, in, o);
  specs.push_back({specs[0].shape, DType::i64});
  return specs;
}

// Ties share the gradient equally; where a NaN was chosen, all NaN do.
Tensors extremum_vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  const Tensor x = saved.inputs[0].detach();
  const uint32_t dims = saved.options.dims;
  const Tensor extremum = spread(saved.outputs[0].detach(), x, dims);
  const Tensor both_nan = logical_and(ne(x, x), ne(extremum, extremum));
  const Tensor chosen = logical_or(eq(x, extremum), both_nan).to(x.dtype());
  return {chosen * spread(grads[0], x, dims) / sum(chosen, listed(dims), true)};
}

Tensors indexed_vjp(const Saved<ReduceOptions>& saved, Inputs grads) {
  return {put_along(grads[0], saved.inputs[0].shape(), saved.options, saved.outputs[1])};
}

template <bool kMin>
void cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  with_compute_type(compute_type(in[0].dtype()),
                    [&]<class T>(T) { fold<T>(in[0], o.dims, Extremum<T, kMin>{out[0]}); });
}

template <bool kMin>
void indexed_cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  with_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    fold<T>(in[0], o.dims, IndexedExtremum<T, kMin>{out[0], out[1]});
  });
}

template <bool kMin>
void arg_cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  with_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    fold<T>(in[0], o.dims, IndexedExtremum<T, kMin>{Tensor(), out[0]});
  });
}

}  // namespace

#define EXTREMUM(name, amname, argname, is_min)                                                \
  constinit Op<ReduceOptions> amname##_op{                                                     \
      #amname,                                                                                 \
      {.infer = [](Inputs in, const ReduceOptions& o) { return infer(#amname, in, o); },       \
       .vjp = extremum_vjp,                                                                    \
       .cpu = cpu<is_min>,                                                                     \
       .save_outputs = true}};                                                                 \
  constinit Op<ReduceOptions> name##_op{                                                       \
      #name,                                                                                   \
      {.infer = [](Inputs in, const ReduceOptions& o) { return infer_indexed(#name, in, o); }, \
       .vjp = indexed_vjp,                                                                     \
       .cpu = indexed_cpu<is_min>,                                                             \
       .save_outputs = true,                                                                   \
       .shapes_only = true}};                                                                  \
  constinit Op<ReduceOptions> argname##_op{#argname,                                           \
                                           {.infer =                                           \
                                                [](Inputs in, const ReduceOptions& o) {        \
                                                  Specs specs = infer(#argname, in, o);        \
                                                  specs[0].dtype = DType::i64;                 \
                                                  return specs;                                \
                                                },                                             \
                                            .cpu = arg_cpu<is_min>}};                          \
  Tensor amname(const Tensor& self, const Dims& dim, bool keepdim) {                           \
    return apply(amname##_op, {self}, {reduced_dims(self, dim, #amname), keepdim});            \
  }                                                                                            \
  Tensor name(const Tensor& self) {                                                            \
    return apply(amname##_op, {self}, {reduced_dims(self, Dims(), #name)});                    \
  }                                                                                            \
  ValuesIndices name(const Tensor& self, int64_t dim, bool keepdim) {                          \
    Tensors r =                                                                                \
        apply_many(name##_op, {&self, 1}, {reduced_dims(self, Dims(dim), #name), keepdim});    \
    return {r[0], r[1]};                                                                       \
  }                                                                                            \
  Tensor name(const Tensor& self, const Tensor& other) { return name##imum(self, other); }     \
  Tensor argname(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {               \
    return apply(argname##_op, {self.detach()}, {reduced_dims(self, dim, #argname), keepdim}); \
  }
EXTREMUM(max, amax, argmax, false)
EXTREMUM(min, amin, argmin, true)
#undef EXTREMUM

MinMax aminmax(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
  const Dims dims = dim ? Dims(*dim) : Dims();
  return {amin(self, dims, keepdim), amax(self, dims, keepdim)};
}

}  // namespace tallow
