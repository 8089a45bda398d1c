// The ops: shapes and gradients. The public functions, in api.cpp, check the arguments.
#include "ops/convolution/convolution.h"

#include "ops/elements.h"
#include "tallow/error.h"

namespace tallow {
namespace {

Shape result_shape(int64_t first, int64_t second, int dims, const ConvOptions& o) {
  Shape shape{first, second};
  for (int i = 2; i < dims; ++i) shape.push_back(o.out[i + 3 - dims]);
  return shape;
}

// o for a call whose result has the spatial sizes of `like`.
ConvOptions sized_as(ConvOptions o, const Tensor& like) {
  const Spatial sizes(like.shape());
  std::copy_n(sizes.size, 3, o.out);
  o.activation = Activation::none;
  return o;
}

Tensor convolve(const Tensor& x, const Tensor& weight, const ConvOptions& o) {
  return apply(conv_op, {x, weight, Tensor(), Tensor()}, o);
}
Tensor transpose(const Tensor& x, const Tensor& weight, const ConvOptions& o) {
  return apply(conv_transpose_op, {x, weight, Tensor()}, o);
}
Tensor weight_gradient(const Tensor& x, const Tensor& g, const ConvOptions& o) {
  return apply(conv_weight_op, {x, g}, o);
}

Tensor conjugate(const Tensor& x) { return is_complex(x.dtype()) ? conj(x) : x; }

Tensor sum_channels(const Tensor& g) {
  std::vector<int64_t> dims{0};
  for (int i = 2; i < g.dim(); ++i) dims.push_back(i);
  return sum(g, dims);
}

Specs infer(Inputs in, const ConvOptions& o) {
  const Tensor &x = in[0], &weight = in[1];
  return {{result_shape(x.size(0), weight.size(0), x.dim(), o), x.dtype()}};
}

Tensors vjp(const Saved<ConvOptions>& saved, Inputs grads) {
  const Tensor &x = saved.inputs[0], &w = saved.inputs[1], &bias = saved.inputs[2], &g = grads[0];
  const ConvOptions& o = saved.options;
  Tensors result(4);
  if (x.requires_grad()) result[0] = transpose(g, conjugate(w), sized_as(o, x));
  if (w.requires_grad()) result[1] = weight_gradient(conjugate(x), g, sized_as(o, w));
  if (bias && bias.requires_grad()) result[2] = sum_channels(g);
  if (saved.inputs[3] && saved.inputs[3].requires_grad()) result[3] = g;
  return result;
}

Specs transpose_infer(Inputs in, const ConvOptions& o) {
  const Tensor &x = in[0], &weight = in[1];
  return {{result_shape(x.size(0), weight.size(1) * o.groups, x.dim(), o), x.dtype()}};
}

Tensors transpose_vjp(const Saved<ConvOptions>& saved, Inputs grads) {
  const Tensor &x = saved.inputs[0], &w = saved.inputs[1], &bias = saved.inputs[2], &g = grads[0];
  const ConvOptions& o = saved.options;
  Tensors result(3);
  if (x.requires_grad()) result[0] = convolve(g, conjugate(w), sized_as(o, x));
  if (w.requires_grad()) result[1] = weight_gradient(g, conjugate(x), sized_as(o, w));
  if (bias && bias.requires_grad()) result[2] = sum_channels(g);
  return result;
}

Specs weight_infer(Inputs in, const ConvOptions& o) {
  const Tensor &x = in[0], &g = in[1];
  return {{result_shape(g.size(1), x.size(1) / o.groups, x.dim(), o), x.dtype()}};
}

Tensors weight_vjp(const Saved<ConvOptions>& saved, Inputs grads) {
  const Tensor &x = saved.inputs[0], &g = saved.inputs[1], &v = grads[0];
  const ConvOptions& o = saved.options;
  Tensors result(2);
  if (x.requires_grad()) result[0] = transpose(conjugate(g), v, sized_as(o, x));
  if (g.requires_grad()) result[1] = convolve(conjugate(x), v, sized_as(o, g));
  return result;
}

double flops(const Tensor& weight, const Tensor& by) {
  const Spatial pixels(by.shape());
  return 2.0 * static_cast<double>(weight.numel()) * static_cast<double>(by.size(0)) *
         static_cast<double>(pixels.numel());
}

Work work(Inputs in, Outputs out, const ConvOptions&) { return {.flops = flops(in[1], out[0])}; }
Work transpose_work(Inputs in, Outputs, const ConvOptions&) {
  return {.flops = flops(in[1], in[0])};
}
Work weight_work(Inputs in, Outputs out, const ConvOptions&) {
  return {.flops = flops(out[0], in[1])};
}

}  // namespace

constinit Op<ConvOptions> conv_op{
    "convolution",
    {.infer = infer, .vjp = vjp, .cpu = conv::forward, .work = work, .reads = reads_the_other}};
constinit Op<ConvOptions> conv_transpose_op{"conv_transpose",
                                            {.infer = transpose_infer,
                                             .vjp = transpose_vjp,
                                             .cpu = conv::transposed,
                                             .work = transpose_work,
                                             .reads = reads_the_other}};
constinit Op<ConvOptions> conv_weight_op{"conv_weight",
                                         {.infer = weight_infer,
                                          .vjp = weight_vjp,
                                          .cpu = conv::weight,
                                          .work = weight_work,
                                          .reads = reads_the_other}};

}  // namespace tallow
