// Reductions and cumulative ops over any dimensions (all when none is given).
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor sum(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
Tensor mean(const Tensor& self, const Dims& dim = {}, bool keepdim = false);
Tensor amax(const Tensor& self, const Dims& dim = {}, bool keepdim = false);

}  // namespace tallow
