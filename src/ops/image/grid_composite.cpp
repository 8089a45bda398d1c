// grid_sample as gathers and elementwise ops, whose gradients are any number of times
// differentiable.
#include "ops/image/grid.h"
#include "ops/pooling/max_pool.h"
#include "tallow/ops.h"

namespace tallow::image {
namespace {

// Along one dimension: places (f64, maybe outside) and their weights.
struct Line {
  Tensors at, weights;
};

Tensor reflected(const Tensor& c, double low, double high) {
  if (low == high) return c * 0.0;
  const double span = high - low;
  const Tensor away = abs(c - low), flips = floor(away.detach() / span);
  const Tensor extra = away - flips * span;
  const Tensor odd = remainder(flips, 2.0);
  return extra + odd * (span - 2.0 * extra) + low;
}

Tensor padded(const Tensor& c, int64_t size, const GridOptions& o) {
  const double last = static_cast<double>(size - 1);
  if (o.padding == Outside::border) return clamp(c, 0.0, last);
  if (o.padding == Outside::reflection) {
    const Tensor inside = o.align_corners ? reflected(c, 0, last) : reflected(c, -0.5, last + 0.5);
    return clamp(inside, 0.0, last);
  }
  return c;
}

// Keys' cubic with a = -0.75 at the four distances of a place at t past the second.
Tensors cubic_weights(const Tensor& t) {
  const double a = -0.75;
  auto near = [&](const Tensor& x) { return ((a + 2) * x - (a + 3)) * x * x + 1.0; };
  auto far = [&](const Tensor& x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)};
}

Line line_of(const Tensor& g, int64_t size, const GridOptions& o) {
  const double n = static_cast<double>(size);
  const Tensor c = o.align_corners ? (g + 1.0) * ((n - 1) / 2) : ((g + 1.0) * n - 1.0) * 0.5;
  if (o.interpolation == Interpolation::cubic) {
    const Tensor base = floor(c.detach());
    Line line{{}, cubic_weights(c - base)};
    for (int j = -1; j <= 2; ++j) line.at.push_back(padded(base + static_cast<double>(j), size, o));
    return line;
  }
  const Tensor p = padded(c, size, o);
  if (o.interpolation == Interpolation::nearest) return {{round(p.detach())}, {p * 0.0 + 1.0}};
  const Tensor base = floor(p.detach()), fraction = p - base;
  return {{base, base + 1.0}, {1.0 - fraction, fraction}};
}

}  // namespace

Tensor grid_sample_composite(const Tensor& x, const Tensor& grid, const GridOptions& o) {
  const int64_t batch = x.shape()[0], channels = x.shape()[1];
  const int64_t places = grid.numel() / std::max<int64_t>(batch * o.dims, 1);
  std::vector<Line> lines;
  std::vector<int64_t> sizes;
  for (int d = o.dims - 1; d >= 0; --d) {  // the last coordinate is of the first dimension
    sizes.push_back(x.shape()[o.dims + 1 - d]);
    lines.push_back(line_of(grid.select(-1, d).reshape({batch, places}), sizes.back(), o));
  }
  Tensor total;
  std::vector<size_t> at(lines.size(), 0);
  for (bool more = true; more;) {
    Tensor weight, place, inside;
    for (size_t d = 0; d < lines.size(); ++d) {
      const Tensor& c = lines[d].at[at[d]];
      const double last = static_cast<double>(sizes[d] - 1);
      const Tensor within = logical_and(ge(c, 0.0), le(c, last));
      const Tensor index = clamp(c, 0.0, last);
      inside = inside ? logical_and(inside, within) : within;
      place = place ? place * static_cast<double>(sizes[d]) + index : index;
      weight = weight ? weight * lines[d].weights[at[d]] : lines[d].weights[at[d]];
    }
    const Tensor indices =
        where(inside, place, 0.0).to(DType::i64).unsqueeze(1).expand({batch, channels, places});
    Shape flat{batch, channels, -1};
    const Tensor taken = pooling::gather_plane(x.reshape(flat), indices, 1);
    const Tensor part = taken * where(inside, weight, 0.0).unsqueeze(1);
    total = total ? total + part : part;
    more = false;
    for (size_t d = lines.size(); d-- > 0 && !more;) {
      more = ++at[d] < lines[d].at.size();
      if (!more) at[d] = 0;
    }
  }
  Shape shape{batch, channels};
  for (int i = 0; i < o.dims; ++i) shape.push_back(grid.shape()[i + 1]);
  return total.reshape(shape);
}

}  // namespace tallow::image
