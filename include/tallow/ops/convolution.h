// Convolutions.
#pragma once

#include "tallow/op.h"
#include "tallow/padding.h"
#include "tallow/tensor.h"

namespace tallow {

/// Slides weight [out, channels / groups, k] over input [batch, channels, length] (or without the
/// batch): [batch, out, (length + 2 padding - dilation (k - 1) - 1) / stride + 1]. All tensors are
/// of one dtype. Throws Error for shapes that do not fit.
Tensor conv1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
              const Dims& stride = 1, const Padding& padding = 0, const Dims& dilation = 1,
              int64_t groups = 1);
/// The same over input [batch, channels, height, width].
Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
              const Dims& stride = 1, const Padding& padding = 0, const Dims& dilation = 1,
              int64_t groups = 1);
/// The same over input [batch, channels, depth, height, width].
Tensor conv3d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
              const Dims& stride = 1, const Padding& padding = 0, const Dims& dilation = 1,
              int64_t groups = 1);

/// The gradient of conv1d with respect to its input, as an op: weight [channels, out / groups, k]
/// over input [batch, channels, length] gives [batch, out, (length - 1) stride - 2 padding +
/// dilation (k - 1) + output_padding + 1].
Tensor conv_transpose1d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                        const Dims& stride = 1, const Dims& padding = 0,
                        const Dims& output_padding = 0, int64_t groups = 1,
                        const Dims& dilation = 1);
/// The same over input [batch, channels, height, width].
Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                        const Dims& stride = 1, const Dims& padding = 0,
                        const Dims& output_padding = 0, int64_t groups = 1,
                        const Dims& dilation = 1);
/// The same over input [batch, channels, depth, height, width].
Tensor conv_transpose3d(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                        const Dims& stride = 1, const Dims& padding = 0,
                        const Dims& output_padding = 0, int64_t groups = 1,
                        const Dims& dilation = 1);

/// conv1d in the order of time first: self [length, batch, channels], weight [k, channels, out],
/// bias [out], `pad` zeros on each side: [length + 2 pad - k + 1, batch, out].
Tensor conv_tbc(const Tensor& self, const Tensor& weight, const Tensor& bias, int64_t pad = 0);

/// conv2d, then plus `residual` (of the result's shape) where given, then `activation`: "none",
/// "relu" or "silu". In one pass over the output where no gradient is wanted.
Tensor conv2d_activation(const Tensor& input, const Tensor& weight, const Tensor& bias = {},
                         const Dims& stride = 1, const Padding& padding = 0,
                         const Dims& dilation = 1, int64_t groups = 1,
                         std::string_view activation = "none", const Tensor& residual = {});

}  // namespace tallow
