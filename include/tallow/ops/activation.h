// The activations of torch.nn.functional.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor relu(const Tensor& self);
Tensor silu(const Tensor& input);
Tensor softsign(const Tensor& input);  ///< x / (1 + |x|)
Tensor gelu(const Tensor& input);      ///< exact (erf)

}  // namespace tallow
