// Which kernel computes which dtype: f64 in f64, f32 and narrower in f32, and the rest, integers
// and complex numbers, in the ops' portable kernels.
#include "backend/cpu/conv/conv.h"
#include "ops/elements.h"

namespace tallow::cpu {
namespace {

template <class F64, class F32>
bool compute(const Tensor& out, const F64& f64, const F32& f32) {
  if (!is_real(out.dtype())) return false;
  if (out.dtype() == DType::f64) return f64(out), true;
  const Tensor wide = out.dtype() == DType::f32 ? out : Tensor::empty(out.shape(), DType::f32);
  f32(wide);
  if (out.dtype() != DType::f32) {
    write_elements(out, 0, out.numel(), static_cast<const float*>(wide.data<float>()));
  }
  return true;
}

void forward(Inputs in, Outputs out, const ConvOptions& o) {
  const bool done = compute(
      out[0], [&](const Tensor& y) { conv_forward<double>(in, y, o); },
      [&](const Tensor& y) { conv_forward<float>(in, y, o); });
  if (!done) conv::forward(in, out, o);
}

void transposed(Inputs in, Outputs out, const ConvOptions& o) {
  const bool done = compute(
      out[0], [&](const Tensor& y) { conv_transposed<double>(in, y, o); },
      [&](const Tensor& y) { conv_transposed<float>(in, y, o); });
  if (!done) conv::transposed(in, out, o);
}

void weight(Inputs in, Outputs out, const ConvOptions& o) {
  const bool done = compute(
      out[0], [&](const Tensor& y) { conv_weight<double>(in, y, o); },
      [&](const Tensor& y) { conv_weight<float>(in, y, o); });
  if (!done) conv::weight(in, out, o);
}

}  // namespace

void bind_conv() {
  conv_op.bind(DeviceKind::cpu, forward);
  conv_transpose_op.bind(DeviceKind::cpu, transposed);
  conv_weight_op.bind(DeviceKind::cpu, weight);
}

}  // namespace tallow::cpu
