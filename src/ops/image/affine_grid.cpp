// affine_grid: the places of an affine map, as products with the coordinates of the result.
#include "ops/elements.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// -1..1 in n steps: between the corners, or between the centres of the outermost elements.
Tensor coordinates(int64_t n, bool align_corners, DType dtype) {
  const Tensor line = Tensor::empty({n}, DType::f64);
  double* to = line.data<double>();
  const double count = static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const double at = static_cast<double>(i);
    to[i] = align_corners ? (n > 1 ? -1 + 2 * at / (count - 1) : 0) : (2 * at + 1) / count - 1;
  }
  return line.to(dtype);
}

}  // namespace

Tensor affine_grid(const Tensor& theta, const Shape& size, std::optional<bool> align_corners) {
  const int dims = size.size() - 2;
  if (dims != 2 && dims != 3) {
    fail("affine_grid: size ", size, " must have 4 or 5 numbers: batch, channels, space");
  }
  if (!is_real(theta.dtype()) || theta.dim() != 3 || theta.shape()[1] != dims ||
      theta.shape()[2] != dims + 1 || theta.shape()[0] != size[0]) {
    fail("affine_grid: theta is ", theta, "; it must be [", size[0], ", ", dims, ", ", dims + 1,
         "] and real");
  }
  for (int64_t n : size) {
    if (n < 1) fail("affine_grid: size ", size, " must be positive");
  }
  const bool align = align_corners.value_or(false);
  Shape shape;
  for (int i = 0; i < dims; ++i) shape.push_back(size[i + 2]);
  Tensors columns;
  for (int d = dims - 1; d >= 0; --d) {  // x first
    Shape line = Shape::filled(dims, 1);
    line[d] = shape[d];
    columns.push_back(
        coordinates(shape[d], align, theta.dtype()).reshape(line).expand(shape).unsqueeze(-1));
  }
  columns.push_back(Tensor::full(columns[0].shape(), 1, theta.dtype()));
  const int64_t places = shape.numel();
  const Tensor base = cat(columns, dims).reshape({1, places, dims + 1});
  Shape result = shape;
  result.insert(0, size[0]);
  result.push_back(dims);
  return matmul(base.expand({size[0], places, dims + 1}), theta.transpose(1, 2)).reshape(result);
}

}  // namespace tallow
