// What the reductions share.
#include "ops/reduce/reduce.h"

#include <bit>

#include "ops/reduce/fold.h"
#include "tallow/autograd.h"

namespace tallow {

uint32_t reduced_dims(const Tensor& x, const Dims& dims, const char* op) {
  if (x.dim() == 0) {
    for (int64_t dim : dims) checked_dim(x, dim, op);
    if (dims.size() > 1) fail(op, ": dim names a dimension twice");
  }
  if (!dims.given() || x.dim() == 0) return (1u << x.dim()) - 1;
  return dim_bits(dims, x.dim(), op);
}

uint32_t reduced_dims(const Tensor& x, std::optional<int64_t> dim, const char* op) {
  return reduced_dims(x, dim ? Dims(*dim) : Dims(), op);
}

Shape reduced_shape(const Shape& shape, uint32_t dims, bool keepdim) {
  Shape out;
  for (int i = 0; i < shape.size(); ++i) {
    const bool reduced = dims >> i & 1;
    if (!reduced) out.push_back(shape[i]);
    if (reduced && keepdim) out.push_back(1);
  }
  return out;
}

int64_t group_count(const Tensor& x, uint32_t dims) {
  int64_t n = 1;
  for (int i = 0; i < x.dim(); ++i) n *= dims >> i & 1 ? x.shape()[i] : 1;
  return n;
}

Tensor spread(const Tensor& y, const Tensor& x, uint32_t dims) {
  return y.reshape(reduced_shape(x.shape(), dims, true)).expand(x.shape());
}

std::vector<int64_t> listed(uint32_t bits) {
  std::vector<int64_t> dims;
  for (int i = 0; i < Shape::kMaxDims; ++i) {
    if (bits >> i & 1) dims.push_back(i);
  }
  return dims;
}

void check_not_empty(const char* op, const Tensor& x, uint32_t dims) {
  if (group_count(x, dims) == 0) {
    fail(op, ": ", x, " has no elements to choose from; name a dimension whose size is not 0");
  }
}

int checked_dim(const Tensor& x, int64_t dim, const char* op) {
  return normalize_dim(dim, std::max(1, x.dim()), op);
}

Tensor flattened_last(const Tensor& x, uint32_t dims) {
  Shape shape;
  std::vector<int64_t> order;
  for (int i = 0; i < x.dim(); ++i) {
    if (dims >> i & 1) continue;
    order.push_back(i);
    shape.push_back(x.shape()[i]);
  }
  for (int64_t dim : listed(dims)) order.push_back(dim);
  shape.push_back(group_count(x, dims));
  return x.permute(order).reshape(shape);
}

Groups grouped(const Tensor& x, uint32_t dims, bool ordered) {
  std::vector<int64_t> kept, reduced;
  int64_t least = INT64_MAX;
  for (int i = 0; i < x.dim(); ++i) {
    const bool is_reduced = dims >> i & 1;
    (is_reduced ? reduced : kept).push_back(i);
    if (is_reduced && x.shape()[i] > 1) least = std::min(least, x.strides()[i]);
  }
  if (!ordered) {
    std::stable_sort(reduced.begin(), reduced.end(), [&](int64_t a, int64_t b) {
      return x.strides()[static_cast<int>(a)] > x.strides()[static_cast<int>(b)];
    });
  }
  // The last of the kept dimensions stay last where they are nearer in memory.
  size_t split = kept.size();
  while (split > 0) {
    const int dim = static_cast<int>(kept[split - 1]);
    if (x.shape()[dim] != 1 && (x.strides()[dim] >= least || x.strides()[dim] == 0)) break;
    --split;
  }
  Groups g;
  for (int64_t dim : reduced) g.count *= x.shape()[static_cast<int>(dim)];
  std::vector<int64_t> order(kept.begin(), kept.begin() + static_cast<int64_t>(split));
  for (int64_t dim : order) g.outer *= x.shape()[static_cast<int>(dim)];
  order.insert(order.end(), reduced.begin(), reduced.end());
  for (size_t i = split; i < kept.size(); ++i) {
    order.push_back(kept[i]);
    g.inner *= x.shape()[static_cast<int>(kept[i])];
  }
  NoGrad no_grad;
  g.x = x.permute(order);
  return g;
}

}  // namespace tallow
