// all and any.
#include "ops/reduce/fold.h"

namespace tallow {
namespace {

template <class T, bool kAll>
struct Truth {
  static constexpr bool kOrdered = false;
  using State = uint8_t;
  const Tensor& out;
  State start() const { return kAll; }
  void take(State& s, T v, int64_t) const { kAll ? s &= v != T(0) : s |= v != T(0); }
  void merge(State& s, State other) const { kAll ? s &= other : s |= other; }
  void finish(State s, int64_t at) const { static_cast<uint8_t*>(out.raw())[at] = s; }
};

Specs infer(const char* op, Inputs in, const ReduceOptions& o) {
  check_not_block(op, in[0]);
  const DType dtype = in[0].dtype() == DType::u8 ? DType::u8 : DType::boolean;
  return {{reduced_shape(in[0].shape(), o.dims, o.keepdim), dtype}};
}

template <bool kAll>
void cpu(Inputs in, Outputs out, const ReduceOptions& o) {
  with_any_compute_type(compute_type(in[0].dtype()),
                        [&]<class T>(T) { fold<T>(in[0], o.dims, Truth<T, kAll>{out[0]}); });
}

constinit Op<ReduceOptions> all_op{
    "all",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer("all", in, o); },
     .cpu = cpu<true>}};
constinit Op<ReduceOptions> any_op{
    "any",
    {.infer = [](Inputs in, const ReduceOptions& o) { return infer("any", in, o); },
     .cpu = cpu<false>}};

}  // namespace

Tensor all(const Tensor& self, const Dims& dim, bool keepdim) {
  return apply(all_op, {self.detach()}, {reduced_dims(self, dim, "all"), keepdim});
}
Tensor any(const Tensor& self, const Dims& dim, bool keepdim) {
  return apply(any_op, {self.detach()}, {reduced_dims(self, dim, "any"), keepdim});
}

}  // namespace tallow
