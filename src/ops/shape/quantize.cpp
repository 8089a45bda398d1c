// Rounding to block dtypes with an importance for every column.
#include "core/encode.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

Tensor quantize(const Tensor& input, DType dtype, const Tensor& importance) {
  if (!is_block(dtype)) fail("quantize: ", dtype, " is not a block dtype; call .to(dtype)");
  const Tensor x = input.detach();
  if (!importance.defined()) return x.to(dtype);
  if (!is_real(x.dtype())) fail("quantize: input is ", x, "; it needs real numbers");
  const int64_t k = x.dim() > 0 ? x.size(-1) : 0;
  if (importance.dim() != 1 || importance.size(0) != k || !is_real(importance.dtype())) {
    fail("quantize: importance is ", importance, "; it needs a real [", k, "]");
  }
  const Tensor wide = x.to(DType::f32).contiguous();
  const Tensor weights = importance.detach().to(DType::f32).contiguous();
  Tensor out = Tensor::empty(x.shape(), dtype);
  if (out.numel() > 0) {
    encode_blocks(dtype, wide.data<float>(), out.raw(), wide.numel() / k, k,
                  weights.data<float>());
  }
  return out;
}

}  // namespace tallow
