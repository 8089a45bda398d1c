// The public functions: arguments as PyTorch takes them, checked and brought into one form.
#include <algorithm>

#include "ops/convolution/convolution.h"
#include "ops/elements.h"
#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

// No tensor is as long; products of two such numbers do not overflow.
constexpr int64_t kMost = int64_t{1} << 30;

struct Call {
  const char* name;
  int dims;  // spatial
  bool transposed = false;
};

// One number for each spatial dimension, behind those that are missing.
void read(const Call& call, const char* what, const Dims& values, int64_t least, int64_t (&to)[3]) {
  if (values.size() != 1 && values.size() != call.dims) {
    fail(call.name, ": ", what, " has ", values.size(), " values; give one or ", call.dims);
  }
  for (int i = 0; i < call.dims; ++i) {
    const int64_t value = values[values.size() == 1 ? 0 : i];
    if (value < least || value > kMost) {
      fail(call.name, ": ", what, " ", value, " is out of range; it must be at least ", least,
           " and at most ", kMost);
    }
    to[3 - call.dims + i] = value;
  }
}

void check_weight(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                  int64_t groups) {
  if (w.dim() != call.dims + 2) {
    fail(call.name, ": weight ", w, " needs ", call.dims + 2, " dimensions");
  }
  if (x.dtype() == DType::boolean || w.dtype() != x.dtype() || (bias && bias.dtype() != x.dtype()))
    fail(call.name, ": input ", x, ", weight ", w, bias ? str(" and bias ", bias) : "",
         " need one dtype, and not bool; convert them with .to");
  if (groups < 1 || w.size(0) % groups != 0)
    fail(call.name, ": groups ", groups, " does not divide the ", w.size(0), " rows of weight ", w);
  const int64_t inner = call.transposed ? w.size(0) : w.size(1) * groups;
  if (x.size(1) != inner) {
    fail(call.name, ": input ", x, " has ", x.size(1), " channels where weight ", w,
         " with groups ", groups, " takes ", inner);
  }
  const int64_t outs = call.transposed ? w.size(1) * groups : w.size(0);
  if (bias && (bias.dim() != 1 || bias.size(0) != outs))
    fail(call.name, ": bias ", bias, " does not fit weight ", w, "; it needs [", outs, "]");
  for (int i = 2; i < w.dim(); ++i) {
    if (w.size(i) < 1) fail(call.name, ": weight ", w, " has an empty kernel; give at least 1");
  }
}

// The input with a batch dimension.
Tensor batched(const Call& call, const Tensor& x) {
  check_not_block(call.name, x);
  if (x.dim() == call.dims + 1) return x.unsqueeze(0);
  if (x.dim() != call.dims + 2) {
    fail(call.name, ": input ", x, " needs ", call.dims + 2, " dimensions, or ", call.dims + 1,
         " without the batch");
  }
  return x;
}

int64_t span_of(const ConvOptions& o, const Spatial& kernel, int d) {
  if (kernel.size[d] > kMost) fail("convolution: kernel size ", kernel.size[d], " is too large");
  return o.dilation[d] * (kernel.size[d] - 1) + 1;
}

// padding = "same" or "valid": sets o.padding, and o.out.
void read_mode(const Call& call, std::string_view mode, const Spatial& in, const Spatial& kernel,
               ConvOptions& o) {
  if (mode != "same" && mode != "valid")
    fail(call.name, ": padding is \"", mode, "\"; give numbers, \"same\" or \"valid\"");
  for (int d = 3 - call.dims; d < 3; ++d) {
    const int64_t span = span_of(o, kernel, d);
    if (mode == "valid") {
      o.out[d] = (in.size[d] - span) / o.stride[d] + 1;
      if (in.size[d] < span) o.out[d] = 0;
    } else {
      if (o.stride[d] != 1) fail(call.name, ": padding \"same\" needs stride 1, not ", o.stride[d]);
      o.padding[d] = (span - 1) / 2;
      o.out[d] = in.size[d];
    }
  }
}

ConvOptions forward_options(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                            const Dims& stride, const Padding& padding, const Dims& dilation,
                            int64_t groups) {
  ConvOptions o;
  o.groups = groups;
  check_weight(call, x, w, bias, groups);
  read(call, "stride", stride, 1, o.stride);
  read(call, "dilation", dilation, 1, o.dilation);
  const Spatial in(x.shape()), kernel(w.shape());
  if (!padding.mode().empty()) {
    read_mode(call, padding.mode(), in, kernel, o);
  } else {
    read(call, "padding", padding.zeros(), 0, o.padding);
    for (int d = 3 - call.dims; d < 3; ++d) {
      const int64_t room = in.size[d] + 2 * o.padding[d] - span_of(o, kernel, d);
      o.out[d] = room < 0 ? 0 : room / o.stride[d] + 1;
    }
  }
  for (int d = 3 - call.dims; d < 3; ++d) {
    if (o.out[d] > 0) continue;
    fail(call.name, ": the kernel of weight ", w, " spans ", span_of(o, kernel, d),
         " elements, more than input ", x, " has with its padding");
  }
  return o;
}

Tensor convolve(const Call& call, const Tensor& input, const Tensor& w, const Tensor& bias,
                const Dims& stride, const Padding& padding, const Dims& dilation, int64_t groups) {
  const Tensor x = batched(call, input);
  const ConvOptions o = forward_options(call, x, w, bias, stride, padding, dilation, groups);
  const Tensor y = apply(conv_op, {x, w, bias, Tensor()}, o);
  return input.dim() == x.dim() ? y : y.squeeze(0);
}

Tensor transpose(const Call& call, const Tensor& input, const Tensor& w, const Tensor& bias,
                 const Dims& stride, const Dims& padding, const Dims& output_padding,
                 int64_t groups, const Dims& dilation) {
  const Tensor x = batched(call, input);
  ConvOptions o;
  o.groups = groups;
  check_weight(call, x, w, bias, groups);
  int64_t extra[3] = {0, 0, 0};
  read(call, "stride", stride, 1, o.stride);
  read(call, "padding", padding, 0, o.padding);
  read(call, "output_padding", output_padding, 0, extra);
  read(call, "dilation", dilation, 1, o.dilation);
  const Spatial in(x.shape()), kernel(w.shape());
  for (int d = 3 - call.dims; d < 3; ++d) {
    if (extra[d] >= std::max(o.stride[d], o.dilation[d])) {
      fail(call.name, ": output_padding ", extra[d], " must be smaller than stride ", o.stride[d],
           " or dilation ", o.dilation[d]);
    }
    o.out[d] = (in.size[d] - 1) * o.stride[d] - 2 * o.padding[d] + span_of(o, kernel, d) + extra[d];
    if (in.size[d] < 1 || o.out[d] < 1)
      fail(call.name, ": the result of input ", x, " would have size ", o.out[d],
           "; give less padding");
  }
  const Tensor y = apply(conv_transpose_op, {x, w, bias}, o);
  return input.dim() == x.dim() ? y : y.squeeze(0);
}

}  // namespace

Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Padding& padding, const Dims& dilation, int64_t groups) {
  return convolve({"conv1d", 1}, input, weight, bias, stride, padding, dilation, groups);
}
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Padding& padding, const Dims& dilation, int64_t groups) {
  return convolve({"conv2d", 2}, input, weight, bias, stride, padding, dilation, groups);
}
Tensor conv3d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Padding& padding, const Dims& dilation, int64_t groups) {
  return convolve({"conv3d", 3}, input, weight, bias, stride, padding, dilation, groups);
}

Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias,
                        const Dims& stride, const Dims& padding, const Dims& output_padding,
                        int64_t groups, const Dims& dilation) {
  return transpose({"conv_transpose1d", 1, true}, input, weight, bias, stride, padding,
                   output_padding, groups, dilation);
}
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias,
                        const Dims& stride, const Dims& padding, const Dims& output_padding,
                        int64_t groups, const Dims& dilation) {
  return transpose({"conv_transpose2d", 2, true}, input, weight, bias, stride, padding,
                   output_padding, groups, dilation);
}
Tensor conv_transpose3d(const Tensor& input, const Tensor& weight, const Tensor& bias,
                        const Dims& stride, const Dims& padding, const Dims& output_padding,
                        int64_t groups, const Dims& dilation) {
  return transpose({"conv_transpose3d", 3, true}, input, weight, bias, stride, padding,
                   output_padding, groups, dilation);
}

Tensor conv_tbc(const Tensor& self, const Tensor& weight, const Tensor& bias, int64_t pad) {
  if (self.dim() != 3 || weight.dim() != 3 || bias.dim() != 1) {
    fail("conv_tbc: input ", self, ", weight ", weight, " and bias ", bias,
         " need 3, 3 and 1 dimensions");
  }
  const Tensor y = conv1d(self.permute({1, 2, 0}), weight.permute({2, 1, 0}), bias, 1, pad);
  return y.permute({2, 0, 1});
}

Tensor conv2d_activation(const Tensor& input, const Tensor& weight, const Tensor& bias,
                         const Dims& stride, const Padding& padding, const Dims& dilation,
                         int64_t groups, std::string_view activation, const Tensor& residual) {
  const Call call{"conv2d_activation", 2};
  if (activation != "none" && activation != "relu" && activation != "silu") {
    fail("conv2d_activation: activation is \"", activation, "\"; give none, relu or silu");
  }
  const Tensor x = batched(call, input);
  ConvOptions o = forward_options(call, x, weight, bias, stride, padding, dilation, groups);
  const Shape shape{x.size(0), weight.size(0), o.out[1], o.out[2]};
  const Tensor added = residual ? batched(call, residual) : residual;
  if (residual && (added.shape() != shape || added.dtype() != x.dtype())) {
    fail("conv2d_activation: residual ", residual, " is not of the result's ", x.dtype(), " ",
         shape);
  }
  if (is_integral(x.dtype()) || is_complex(x.dtype()))
    fail("conv2d_activation: input ", x, " is not of a real dtype; call .to(f32)");
  auto wants = [](const Tensor& t) { return t && t.requires_grad(); };
  const bool tracked =
      grad_enabled() && (wants(x) || wants(weight) || wants(bias) || wants(residual));
  Tensor y;
  if (tracked) {
    y = apply(conv_op, {x, weight, bias, added}, o);
    if (activation == "relu") y = maximum(y, 0);
    if (activation == "silu") y = y * sigmoid(y);
  } else {
    if (activation == "relu") o.activation = Activation::relu;
    if (activation == "silu") o.activation = Activation::silu;
    y = apply(conv_op, {x, weight, bias, added}, o);
  }
  return input.dim() == x.dim() ? y : y.squeeze(0);
}

}  // namespace tallow
