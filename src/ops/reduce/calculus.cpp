// Differences and integrals along a dimension, covariances: composites of other ops.
#include <cmath>

#include "ops/reduce/reduce.h"

namespace tallow {
namespace {

Tensor first_differences(const Tensor& x, int dim) {
  const int64_t n = x.size(dim);
  if (n < 2) return x.narrow(dim, 0, 0);
  const Tensor later = x.narrow(dim, 1, n - 1), earlier = x.narrow(dim, 0, n - 1);
  if (x.dtype() != DType::boolean) return later - earlier;
  return sub(later.to(DType::u8), earlier.to(DType::u8)).to(DType::boolean);
}

// The areas between neighbours.
Tensor areas(const char* op, const Tensor& y, const Tensor& x, double dx, int64_t dim) {
  const int axis = normalize_dim(dim, y.dim(), op);
  const int64_t n = y.size(axis);
  if (n == 0) return y.to(real_result(y.dtype()));
  const Tensor heights = y.narrow(axis, 1, n - 1) + y.narrow(axis, 0, n - 1);
  if (!x) return heights * (dx / 2);
  if (x.dim() == 0) fail(op, ": x ", x, " is 0-dimensional; give points along dim");
  Tensor points = x;
  if (x.dim() == 1) {
    if (x.size(0) != n) fail(op, ": x ", x, " does not fit dim ", dim, " of y ", y);
    Shape shape = Shape::filled(y.dim(), 1);
    shape[axis] = n;
    points = x.reshape(shape);
  }
  const int points_axis = points.dim() - (y.dim() - axis);
  if (points_axis < 0) fail(op, ": x ", x, " has fewer dimensions than dim ", dim, " of y ", y);
  return heights * first_differences(points, points_axis) / 2.0;
}

Tensor integral(const Tensor& y, const Tensor& x, double dx, int64_t dim) {
  const int axis = normalize_dim(dim, y.dim(), "trapezoid");
  if (y.size(axis) == 0) {
    return Tensor::zeros(reduced_shape(y.shape(), 1u << axis, false), y.dtype());
  }
  return sum(areas("trapezoid", y, x, dx, dim), dim);
}

Tensor running_integral(const Tensor& y, const Tensor& x, double dx, int64_t dim) {
  return cumsum(areas("cumulative_trapezoid", y, x, dx, dim), dim);
}

// The average of the observations, weighted where there are weights.
Tensor weighted_mean(const Tensor& x, const Tensor& weights, const Tensor& total) {
  return weights ? sum(x * weights, Dims{1}, true) / total : mean(x, Dims{1}, true);
}

Tensor checked_weights(const char* what, const Tensor& weights, int64_t n, bool integers) {
  if (!weights) return weights;
  if (weights.dim() > 1 || weights.numel() != n) {
    fail("cov: ", what, " ", weights, " must hold one weight for each of ", n, " observations");
  }
  if (is_integral(weights.dtype()) != integers) {
    fail("cov: ", what, " ", weights, integers ? " must be integers" : " must be real");
  }
  if (n > 0 && min(weights.detach()).item() < 0) {
    fail("cov: ", what, " ", weights, " holds a negative weight");
  }
  return weights.reshape({-1});
}

}  // namespace

Tensor diff(const Tensor& self, int64_t n, int64_t dim, const Tensor& prepend,
            const Tensor& append) {
  if (self.dim() == 0) fail("diff: self ", self, " needs 1 dimension or more");
  if (n < 0) fail("diff: n is ", n, "; it must not be negative");
  const int axis = normalize_dim(dim, self.dim(), "diff");
  if (n == 0) return self.clone();
  Tensors parts;
  for (const Tensor& part : {prepend, self, append}) {
    if (!part) continue;
    if (part.dim() != self.dim()) {
      fail("diff: self ", self, " and what is joined to it, ", part, ", differ in dimensions");
    }
    parts.push_back(part);
  }
  Tensor x = parts.size() > 1 ? cat(parts, axis) : self;
  if (n >= x.size(axis)) x = x.narrow(axis, 0, x.size(axis) > 0 ? 1 : 0);
  if (x.size(axis) <= 1) return first_differences(x, axis);
  for (int64_t i = 0; i < n; ++i) x = first_differences(x, axis);
  return x;
}

Tensor trapezoid(const Tensor& y, double dx, int64_t dim) { return integral(y, {}, dx, dim); }
Tensor trapezoid(const Tensor& y, const Tensor& x, int64_t dim) { return integral(y, x, 1, dim); }
Tensor trapz(const Tensor& y, double dx, int64_t dim) { return integral(y, {}, dx, dim); }
Tensor trapz(const Tensor& y, const Tensor& x, int64_t dim) { return integral(y, x, 1, dim); }
Tensor cumulative_trapezoid(const Tensor& y, double dx, int64_t dim) {
  return running_integral(y, {}, dx, dim);
}
Tensor cumulative_trapezoid(const Tensor& y, const Tensor& x, int64_t dim) {
  return running_integral(y, x, 1, dim);
}

Tensor cov(const Tensor& self, int64_t correction, const Tensor& fweights, const Tensor& aweights) {
  if (self.dim() > 2) fail("cov: self ", self, " has more than 2 dimensions");
  if (self.dtype() == DType::boolean) fail("cov: self ", self, " is bool; call .to(f32) first");
  Tensor x = self.to(real_result(self.dtype()));
  if (x.dim() < 2) x = x.reshape({1, -1});
  const int64_t n = x.size(1);
  const Tensor counts = checked_weights("fweights", fweights, n, true);
  const Tensor shares = checked_weights("aweights", aweights, n, false);
  const Tensor weights =
      counts && shares ? counts.to(shares.dtype()) * shares : (counts ? counts : shares);
  const Tensor total = weights ? sum(weights) : Tensor();
  Tensor degrees;
  if (!weights || !shares || correction == 0) {
    degrees = weights ? total - double(correction) : Tensor(double(n - correction));
  } else {
    degrees = total - double(correction) * (sum(weights * shares) / total);
  }
  const Tensor centred = x - weighted_mean(x, weights, total);
  const Tensor right = conjugate(weights ? centred * weights : centred);
  degrees = maximum(degrees, 0.0);
  Tensor result = matmul(centred, right.transpose(0, 1)) / degrees;
  return result.numel() == 1 ? result.reshape({}) : result;
}

Tensor corrcoef(const Tensor& self) {
  if (self.dim() > 2) fail("corrcoef: self ", self, " has more than 2 dimensions");
  const Tensor c = cov(self);
  if (c.dim() == 0) return c / c;
  std::vector<int64_t> at(static_cast<size_t>(c.size(0)));
  for (size_t i = 0; i < at.size(); ++i) at[i] = static_cast<int64_t>(i * (at.size() + 1));
  const Tensor places = Tensor::from(std::span<const int64_t>(at), {std::ssize(at)});
  const Tensor deviations = sqrt(real_part(index_select(c.reshape({-1}), 0, places)));
  const Tensor scaled = c / deviations.unsqueeze(1) / deviations.unsqueeze(0);
  return is_complex(scaled.dtype()) ? scaled : maximum(minimum(scaled, 1.0), -1.0);
}

}  // namespace tallow
