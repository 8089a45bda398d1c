// Products of matrices and vectors.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// The matrix product of self [..., m, k] and other [..., k, n]; batch dimensions broadcast;
/// vectors as PyTorch's matmul.
Tensor matmul(const Tensor& self, const Tensor& other);

/// input [..., k] times weight [n, k] transposed, plus bias [n] if given: [..., n] in f32 (f64 for
/// f64). The weight may be any real or block dtype.
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {});

}  // namespace tallow
