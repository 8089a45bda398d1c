// cummax and cummin: the extreme element so far, and the last index at which it stands.
#include "ops/order/select.h"
#include "ops/reduce/scan.h"

namespace tallow {
namespace {

template <class T, bool kMin>
struct RunningExtremum {
  struct State {
    T value;
    int64_t index;
  };
  using Result = State;
  const Tensor &values, &indices;

  State start() const { return {T(0), -1}; }
  void take(State& s, T v, int64_t index, Result& r) const {
    const bool reaches = kMin ? v <= s.value : v >= s.value;
    if (index == 0 || v != v || (s.value == s.value && reaches)) s = {v, index};
    r = s;
  }
  void store(int64_t at, int64_t n, const Result* r) const {
    T chunk[kChunk];
    int64_t* to = indices.data<int64_t>() + at;
    for (int64_t i = 0; i < n; ++i) chunk[i] = r[i].value;
    for (int64_t i = 0; i < n; ++i) to[i] = r[i].index;
    write_elements(values, at, n, chunk);
  }
};

template <bool kMin>
Specs infer(Inputs in, const ScanOptions&) {
  const char* op = kMin ? "cummin" : "cummax";
  check_not_block(op, in[0]);
  check_not_complex(op, in[0]);
  return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::i64}};
}

Tensors vjp(const Saved<ScanOptions>& saved, Inputs grads) {
  return {add_along(grads[0], saved.inputs[0].shape(), saved.options.dim, saved.outputs[1])};
}

template <bool kMin>
void cpu(Inputs in, Outputs out, const ScanOptions& o) {
  with_compute_type(compute_type(in[0].dtype()), [&]<class T>(T) {
    scan<T>(in[0], o.dim, RunningExtremum<T, kMin>{out[0], out[1]});
  });
}

constinit Op<ScanOptions> cummax_op{"cummax",
                                    {.infer = infer<false>,
                                     .vjp = vjp,
                                     .cpu = cpu<false>,
                                     .save_outputs = true,
                                     .shapes_only = true}};
constinit Op<ScanOptions> cummin_op{"cummin",
                                    {.infer = infer<true>,
                                     .vjp = vjp,
                                     .cpu = cpu<true>,
                                     .save_outputs = true,
                                     .shapes_only = true}};

ValuesIndices run(const Op<ScanOptions>& op, const Tensor& x, int64_t dim) {
  Tensors r = apply_many(op, {&x, 1}, {checked_dim(x, dim, op.name)});
  return {r[0], r[1]};
}

}  // namespace

ValuesIndices cummax(const Tensor& self, int64_t dim) { return run(cummax_op, self, dim); }
ValuesIndices cummin(const Tensor& self, int64_t dim) { return run(cummin_op, self, dim); }

}  // namespace tallow
