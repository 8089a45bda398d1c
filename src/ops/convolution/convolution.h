// The three ops that convolutions and their derivatives of any order are made of. Each is linear in
// both tensors, and the derivatives of each are the other two.
#pragma once

#include "tallow/ops.h"

namespace tallow {

enum class Activation : uint8_t { none, relu, silu };

/// Sizes are of depth, height and width; dimensions that a tensor lacks have size and stride 1.
struct ConvOptions {
  int64_t stride[3] = {1, 1, 1};
  int64_t padding[3] = {0, 0, 0};  ///< zeros before the first element; `out` says how many behind
  int64_t dilation[3] = {1, 1, 1};
  int64_t out[3] = {1, 1, 1};  ///< of the result; of the weight for conv_weight_op
  int64_t groups = 1;
  Activation activation = Activation::none;
};

/// x [batch, channels, ...], weight [out, channels / groups, ...], bias [out], residual as the
/// result; the last two may be absent.
extern Op<ConvOptions> conv_op;
/// x [batch, channels, ...], weight [channels, out / groups, ...], bias [out]
extern Op<ConvOptions> conv_transpose_op;
/// x [batch, channels, ...], g [batch, out, ...]: [out, channels / groups, ...]
extern Op<ConvOptions> conv_weight_op;

/// The sizes of a tensor's spatial dimensions, which begin at 2, as three.
struct Spatial {
  int64_t size[3] = {1, 1, 1};
  explicit Spatial(const Shape& shape) {
    for (int i = 2; i < shape.size(); ++i) size[i + 5 - shape.size() - 2] = shape[i];
  }
  int64_t numel() const { return size[0] * size[1] * size[2]; }
};

namespace conv {  // portable kernels
void forward(Inputs in, Outputs out, const ConvOptions& o);
void transposed(Inputs in, Outputs out, const ConvOptions& o);
void weight(Inputs in, Outputs out, const ConvOptions& o);
}  // namespace conv

}  // namespace tallow
