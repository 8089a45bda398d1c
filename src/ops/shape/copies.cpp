// Views as copies of their own.
#include "tallow/ops.h"

namespace tallow {

Tensor alias_copy(const Tensor& self) { return clone(self); }
Tensor as_strided_copy(const Tensor& self, const Shape& size, const Shape& stride,
                       std::optional<int64_t> storage_offset) {
  return clone(as_strided(self, size, stride, storage_offset));
}
Tensor diagonal_copy(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
  return clone(diagonal(self, offset, dim1, dim2));
}
Tensor expand_copy(const Tensor& self, const Shape& size) { return clone(expand(self, size)); }
Tensor permute_copy(const Tensor& self, const Dims& dims) { return clone(permute(self, dims)); }
Tensor select_copy(const Tensor& self, int64_t dim, int64_t index) {
  return clone(select(self, dim, index));
}
Tensor slice_copy(const Tensor& self, int64_t dim, std::optional<int64_t> start,
                  std::optional<int64_t> end, int64_t step) {
  return clone(slice(self, dim, start, end, step));
}
Tensor squeeze_copy(const Tensor& self) { return clone(squeeze(self)); }
Tensor squeeze_copy(const Tensor& self, const Dims& dim) { return clone(squeeze(self, dim)); }
Tensor t_copy(const Tensor& self) { return clone(t(self)); }
Tensor transpose_copy(const Tensor& self, int64_t dim0, int64_t dim1) {
  return clone(transpose(self, dim0, dim1));
}
Tensor unfold_copy(const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  return clone(unfold(self, dimension, size, step));
}
Tensor unsqueeze_copy(const Tensor& self, int64_t dim) { return clone(unsqueeze(self, dim)); }
Tensor view_copy(const Tensor& self, const Shape& size) { return clone(view(self, size)); }
Tensor view_copy(const Tensor& self, DType dtype) { return clone(view(self, dtype)); }
Tensor narrow_copy(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
  return clone(narrow(self, dim, start, length));
}

}  // namespace tallow
