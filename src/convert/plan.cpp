// Tensors as they are planned: dtypes, and the order of rows that rope wants.
#include "convert/plan.h"

#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow::converting {
namespace {

Tensor reordered(const Tensor& x, int64_t heads, int64_t outer) {
  const int64_t rows = x.size(0);
  if (heads < 1 || rows % (2 * heads) != 0) {
    fail("rows of ", x, " do not divide into ", heads, " heads of pairs");
  }
  const int64_t half = rows / heads / 2, inner = outer == 2 ? half : 2;
  return x.reshape({heads, outer, inner, -1}).transpose(1, 2).reshape(x.shape());
}

}  // namespace

Tensor interleave_rows(const Tensor& x, int64_t heads) { return reordered(x, heads, 2); }
Tensor separate_rows(const Tensor& x, int64_t heads) {
  return reordered(x, heads, x.size(0) / std::max<int64_t>(1, heads) / 2);
}

DType converted_dtype(const Tensor& x, std::optional<DType> wanted, DType otherwise) {
  const bool block = is_block(x.dtype());
  if (wanted && (block || is_real(x.dtype()))) {
    const bool fits = x.dim() >= 2 && x.size(-1) % info(*wanted).block == 0;
    if (!is_block(*wanted) || fits) return *wanted;
  }
  return block ? otherwise : x.dtype();
}

void check_dims(const Weights& weights, const std::string& name, int dims) {
  const Tensor x = weights.get_any(name);
  if (x.dim() == dims) return;
  fail(weights.path(), ": tensor ", quoted(name), " is ", x, "; it must have ", dims,
       " dimensions");
}

PlannedTensor planned(const Weights& weights, const std::string& name, std::string new_name,
                      DType dtype) {
  return {std::move(new_name), weights.get_any(name).shape(), dtype,
          [weights, name, dtype] { return weights.get_any(name).to(dtype); }};
}

}  // namespace tallow::converting
