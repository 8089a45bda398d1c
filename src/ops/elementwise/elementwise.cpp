// The rows of elementwise.def as ops: portable kernels, gradients and public functions.
#include "ops/elementwise/elementwise.h"

#include <cmath>

#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int64_t kGrain = 32 * kChunk;

using Unary = Saved<NoOptions>;

Specs unary_spec(const char* name, Inputs in, bool real) {
  DType dtype = in[0].dtype();
  check_not_block(name, in[0]);
  return {{in[0].shape(), real ? real_result(dtype) : dtype}};
}

Specs binary_spec(const char* name, Inputs in, bool real) {
  DType dtype = promote(in[0], in[1], name);
  if (real) dtype = real_result(dtype);
  return {{broadcast_shapes(in[0].shape(), in[1].shape(), name), dtype}};
}

// Calls body(T{}, begin, n) over chunks of the output, in its compute type.
template <class F>
void for_chunks(const Tensor& out, const F& body) {
  with_compute_type(compute_type(out.dtype()), [&]<class T>(T) {
    parallel_for(out.numel(), kGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i += kChunk) body(T{}, i, std::min(kChunk, end - i));
    });
  });
}

template <class F>
void unary_kernel(const Tensor& x, const Tensor& out, const F& f) {
  for_chunks(out, [&]<class T>(T, int64_t begin, int64_t n) {
    T source[kChunk], target[kChunk];
    const T* from = ElementReader<T>(x, out.shape()).read(begin, n, source);
    T* to = element_target(out, begin, target);
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(f(from[i]));
    write_elements(out, begin, n, to);
  });
}

template <class F>
void binary_kernel(const Tensor& a, const Tensor& b, const Tensor& out, const F& f) {
  for_chunks(out, [&]<class T>(T, int64_t begin, int64_t n) {
    T left[kChunk], right[kChunk], target[kChunk];
    const T* x = ElementReader<T>(a, out.shape()).read(begin, n, left);
    const T* y = ElementReader<T>(b, out.shape()).read(begin, n, right);
    T* to = element_target(out, begin, target);
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(f(x[i], y[i]));
    write_elements(out, begin, n, to);
  });
}

// Gradients may use any of the names, and few use all.
#define UNARY_OP(name, value, gradient, real)                                            \
  constinit Op<> name##_op{                                                              \
      #name,                                                                             \
      {.infer = [](Inputs in, const NoOptions&) { return unary_spec(#name, in, real); }, \
       .vjp =                                                                            \
           [](const Saved<NoOptions>& saved, Inputs grads) {                             \
             [[maybe_unused]] const Tensor &x = saved.inputs[0], &y = saved.outputs[0];  \
             const Tensor& g = grads[0];                                                 \
             return Tensors{gradient};                                                   \
           },                                                                            \
       .cpu =                                                                            \
           [](Inputs in, Outputs out, const NoOptions&) {                                \
             unary_kernel(in[0], out[0], []<class T>(T x) { return value; });            \
           },                                                                            \
       .save_outputs = true}};

#define BINARY_OP(name, value, grad_a, grad_b, real)                                       \
  constinit Op<> name##_op{                                                                \
      #name,                                                                               \
      {.infer = [](Inputs in, const NoOptions&) { return binary_spec(#name, in, real); },  \
       .vjp =                                                                              \
           [](const Saved<NoOptions>& saved, Inputs grads) {                               \
             [[maybe_unused]] const Tensor &a = saved.inputs[0], &b = saved.inputs[1];     \
             const Tensor& g = grads[0];                                                   \
             Tensors result(2);                                                            \
             if (a.requires_grad()) result[0] = sum_to(grad_a, a.shape());                 \
             if (b.requires_grad()) result[1] = sum_to(grad_b, b.shape());                 \
             return result;                                                                \
           },                                                                              \
       .cpu =                                                                              \
           [](Inputs in, Outputs out, const NoOptions&) {                                  \
             binary_kernel(in[0], in[1], out[0], []<class T>(T a, T b) { return value; }); \
           }}};

#define UNARY(name, value, gradient) UNARY_OP(name, value, gradient, false)
#define UNARY_REAL(name, value, gradient) UNARY_OP(name, value, gradient, true)
#define BINARY(name, value, grad_a, grad_b) BINARY_OP(name, value, grad_a, grad_b, false)
#define BINARY_REAL(name, value, grad_a, grad_b) BINARY_OP(name, value, grad_a, grad_b, true)
#include "ops/elementwise/elementwise.def"
#undef UNARY
#undef UNARY_REAL
#undef BINARY
#undef BINARY_REAL

}  // namespace

#define UNARY(name, ...) \
  Tensor name(const Tensor& x) { return apply(name##_op, {x}); }
#define BINARY(name, ...) \
  Tensor name(const Tensor& a, const Tensor& b) { return apply(name##_op, {a, b}); }
#define UNARY_REAL UNARY
#define BINARY_REAL BINARY
#include "ops/elementwise/elementwise.def"
#undef UNARY
#undef UNARY_REAL
#undef BINARY
#undef BINARY_REAL

}  // namespace tallow
