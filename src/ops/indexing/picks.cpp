// Composites of the indexing ops: flat indices, one-hot vectors, and views replaced.
#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/shape/place.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

void check_src(const char* op, const Tensor& self, const Tensor& src, const Shape& shape) {
  check_not_block(op, self);
  if (src.shape() != shape) fail(op, ": src is ", src, "; the part it replaces is ", shape);
}

Tensor placed(const Tensor& self, const Tensor& src, const Placement& at) {
  return place(self, src.to(self.dtype()), at);
}

}  // namespace

Tensor take(const Tensor& self, const Tensor& index) {
  if (index.dtype() != DType::i64) fail("take: index is ", index, "; it needs i64");
  if (self.numel() == 0 && index.numel() > 0) {
    fail_index("take: ", self, " has no elements to take");
  }
  return tallow::index(reshape(self, {-1}), {index});
}

Tensor put(const Tensor& self, const Tensor& index, const Tensor& source, bool accumulate) {
  if (index.dtype() != DType::i64) fail("put: index is ", index, "; it needs i64");
  if (source.dtype() != self.dtype()) {
    fail("put: source is ", source.dtype(), " and self is ", self.dtype());
  }
  if (source.numel() != index.numel()) {
    fail("put: ", index.numel(), " indices for the elements of source ", source);
  }
  if (self.numel() == 0 && index.numel() > 0) fail_index("put: ", self, " has no elements");
  return reshape(
      index_put(reshape(self, {-1}), {reshape(index, {-1})}, reshape(source, {-1}), accumulate),
      self.shape());
}

Tensor take_along_dim(const Tensor& self, const Tensor& indices, std::optional<int64_t> dim) {
  check_index_dtype("take_along_dim", indices);
  if (!dim) return gather(reshape(self, {-1}), 0, reshape(indices, {-1}));
  if (self.dim() != indices.dim()) {
    fail("take_along_dim: indices ", indices, " and self ", self, " need as many dimensions");
  }
  const int d = normalize_dim(*dim, self.dim(), "take_along_dim");
  if (self.dim() == 0) return gather(self, 0, indices);
  Shape a = self.shape(), b = indices.shape();
  a[d] = b[d] = 1;
  Shape wide = broadcast_shapes(a, b, "take_along_dim");
  wide[d] = self.shape()[d];
  const Tensor x = expand(self, wide);
  wide[d] = indices.shape()[d];
  return gather(x, d,
                checked_index("take_along_dim", expand(indices, wide), self.shape()[d], true));
}

Tensor select_scatter(const Tensor& self, const Tensor& src, int64_t dim, int64_t index) {
  if (self.dim() == 0) fail_index("select_scatter: a 0-dimensional tensor has no slices");
  const int d = normalize_dim(dim, self.dim(), "select_scatter");
  const int64_t n = self.shape()[d];
  if (index < -n || index >= n) {
    fail_index("select_scatter: index ", index, " is outside dimension ", d, " of ", self);
  }
  Shape shape = self.shape();
  shape.erase(d);
  check_src("select_scatter", self, src, shape);
  return placed(self, src, select_placement(self.shape(), d, index < 0 ? index + n : index));
}

Tensor slice_scatter(const Tensor& self, const Tensor& src, int64_t dim,
                     std::optional<int64_t> start, std::optional<int64_t> end, int64_t step) {
  if (self.dim() == 0) fail_index("slice_scatter: a 0-dimensional tensor has no slices");
  const int d = normalize_dim(dim, self.dim(), "slice_scatter");
  const SliceRange range = slice_range(self.shape()[d], start, end, step, "slice_scatter");
  Shape shape = self.shape();
  shape[d] = range.length;
  check_src("slice_scatter", self, src, shape);
  if (range.length <= 1) step = 1;
  return placed(self, src, slice_placement(self.shape(), d, range.start, step));
}

Tensor diagonal_scatter(const Tensor& self, const Tensor& src, int64_t offset, int64_t dim1,
                        int64_t dim2) {
  check_src("diagonal_scatter", self, src, diagonal(self, offset, dim1, dim2).shape());
  const int a = normalize_dim(dim1, self.dim(), "diagonal_scatter");
  const int b = normalize_dim(dim2, self.dim(), "diagonal_scatter");
  return placed(self, src, diagonal_placement(self.shape(), offset, a, b));
}

Tensor as_strided_scatter(const Tensor& self, const Tensor& src, const Shape& size,
                          const Shape& stride, std::optional<int64_t> storage_offset) {
  check_src("as_strided_scatter", self, src, size);
  const Tensor x = clone(self);
  as_strided(x, size, stride, storage_offset.value_or(0));  // its checks
  Placement at{stride, storage_offset.value_or(0)};
  return placed(x, src, at);
}

Tensor one_hot(const Tensor& self, int64_t num_classes) {
  if (self.dtype() != DType::i64) fail("one_hot: classes are ", self, "; they need i64");
  if (num_classes < -1) fail("one_hot: num_classes ", num_classes, " is negative");
  if (num_classes == 0) fail("one_hot: num_classes is 0");
  const Tensor classes = contiguous(self);
  const int64_t* value = classes.data<int64_t>();
  if (classes.numel() == 0 && num_classes < 0) {
    fail("one_hot: no classes to count in ", self, "; give num_classes");
  }
  int64_t most = 0;
  for (int64_t i = 0; i < classes.numel(); ++i) {
    if (value[i] < 0) fail("one_hot: class ", value[i], " is negative");
    most = std::max(most, value[i]);
  }
  if (num_classes < 0) num_classes = most + 1;
  if (most >= num_classes) fail("one_hot: class ", most, " is not below num_classes ", num_classes);
  Shape shape = self.shape();
  shape.push_back(num_classes);
  Tensor result = zeros(shape, DType::i64);
  for (int64_t i = 0; i < classes.numel(); ++i) {
    result.data<int64_t>()[i * num_classes + value[i]] = 1;
  }
  return result;
}

Tensors unravel_index(const Tensor& indices, const Shape& shape) {
  if (!is_integral(indices.dtype()) || indices.dtype() == DType::boolean) {
    fail("unravel_index: indices are ", indices, "; they must be integers");
  }
  for (int64_t n : shape) {
    if (n < 0) fail("unravel_index: shape ", shape, " has a negative size");
  }
  const Tensor flat = checked_index("unravel_index", indices.to(DType::i64), shape.numel(), true);
  Tensors result;
  for (int i = 0; i < shape.size(); ++i) result.push_back(Tensor::empty(flat.shape(), DType::i64));
  for (int64_t i = 0; i < flat.numel(); ++i) {
    int64_t rest = flat.data<int64_t>()[i];
    for (int d = shape.size() - 1; d >= 0; --d) {
      result[static_cast<size_t>(d)].data<int64_t>()[i] = rest % shape[d];
      rest /= shape[d];
    }
  }
  return result;
}

}  // namespace tallow
