// Ops on the parts of floating-point numbers: frexp and nextafter.
#include <bit>

#include "core/half.h"
#include "ops/elements.h"
#include "ops/elementwise/kernel.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constinit Op<> frexp_op{
    "frexp",
    {.infer =
         [](Inputs in, const NoOptions&) {
           if (!is_real(in[0].dtype())) fail("frexp: ", in[0], " is not real; call .to(f32) first");
           return Specs{{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::i32}};
         },
     .vjp =
         [](const Saved<NoOptions>& saved, Inputs grads) {
           return Tensors{ldexp(grads[0], neg(saved.outputs[1])).to(grads[0].dtype())};
         },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           ElementReader<double> reader(in[0], in[0].shape());
           parallel_for(in[0].numel(), 32 * kChunk, [&](int64_t begin, int64_t end, int) {
             double scratch[kChunk], mantissas[kChunk];
             int64_t exponents[kChunk];
             for (int64_t i = begin; i < end; i += kChunk) {
               int64_t n = std::min(kChunk, end - i);
               const double* x = reader.read(i, n, scratch);
               for (int64_t j = 0; j < n; ++j) {
                 int exponent = 0;
                 mantissas[j] = std::frexp(x[j], &exponent);
                 exponents[j] = std::isfinite(x[j]) ? exponent : 0;
               }
               write_elements(out[0], i, n, mantissas);
               write_elements(out[1], i, n, exponents);
             }
           });
         },
     .save_outputs = true}};

// The neighbour of `a` towards b, of a 16-bit format whose conversions are given: their patterns
// without the sign are in the order of the magnitudes.
template <uint16_t (*from_f32)(float)>
float neighbour(float a, float b) {
  if (a != a || b != b) return a + b;
  if (a == b) return b;
  uint16_t bits = from_f32(a);
  if (a == 0) {
    bits = static_cast<uint16_t>((b < 0 ? 0x8000 : 0) | 1);
  } else {
    bits = static_cast<uint16_t>((a < b) == (a > 0) ? bits + 1 : bits - 1);
  }
  if constexpr (from_f32 == f32_to_f16) return f16_to_f32(bits);
  return bf16_to_f32(bits);
}

template <class T, T (*next)(T, T)>
void next_loop(const void* const* in, void* out, int64_t n, unsigned single, const double*) {
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  const int64_t i0 = ~single & 1, i1 = ~single >> 1 & 1;
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = next(a[i * i0], b[i * i1]);
}

float next_f32(float a, float b) { return std::nextafter(a, b); }
double next_f64(double a, double b) { return std::nextafter(a, b); }

constexpr elementwise::Rule kFloating = elementwise::rules::floating;

constinit Op<> nextafter_op{
    "nextafter",
    {.infer = [](Inputs in,
                 const NoOptions&) { return elementwise::infer("nextafter", in, kFloating); },
     .vjp =
         [](const Saved<NoOptions>& saved, Inputs grads) {
           const Tensor &a = saved.inputs[0], &b = saved.inputs[1];
           return Tensors{where(ne(a, b), grads[0], 0), Tensor()};
         },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           DType type = out[0].dtype() == DType::f64 ? DType::f64 : DType::f32;
           elementwise::Loop loop = next_loop<float, next_f32>;
           if (type == DType::f64) loop = next_loop<double, next_f64>;
           if (out[0].dtype() == DType::f16) loop = next_loop<float, neighbour<f32_to_f16>>;
           if (out[0].dtype() == DType::bf16) loop = next_loop<float, neighbour<f32_to_bf16>>;
           const DType types[] = {type, type};
           elementwise::run_loop(loop, in, types, out[0], type, {});
         }}};

}  // namespace

MantissaExponent frexp(const Tensor& self) {
  Tensors parts = apply_many(frexp_op, {&self, 1});
  return {parts[0], parts[1]};
}

Tensor nextafter(const Tensor& self, const Tensor& other) {
  return apply(nextafter_op, {self, other});
}

}  // namespace tallow
