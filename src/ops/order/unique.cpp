// unique and unique_consecutive, of elements or of slices along a dimension.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "ops/order/keys.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Runs of equal neighbours among items in some order.
struct Runs {
  std::vector<int64_t> first;   // the item that stands for each run
  std::vector<int64_t> run_of;  // of each item
  std::vector<int64_t> counts;
};

// `order` visits the items; same(a, b) compares two of them.
template <class Same>
Runs runs_in(const std::vector<int64_t>& order, const Same& same) {
  Runs runs;
  runs.run_of.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || !same(order[i - 1], order[i])) {
      runs.first.push_back(order[i]);
      runs.counts.push_back(0);
    }
    ++runs.counts.back();
    runs.run_of[static_cast<size_t>(order[i])] = static_cast<int64_t>(runs.first.size()) - 1;
  }
  return runs;
}

// Whether two rows of `width` elements have the same values (NaN differs from itself).
template <class T>
struct Rows {
  const T* data;
  int64_t width;
  bool same(int64_t a, int64_t b) const {
    return std::equal(data + a * width, data + (a + 1) * width, data + b * width);
  }
  bool less(int64_t a, int64_t b) const {
    const T *x = data + a * width, *y = data + b * width;
    for (int64_t i = 0; i < width; ++i) {
      if (x[i] < y[i] || (y[i] != y[i] && x[i] == x[i])) return true;
      if (y[i] < x[i] || (x[i] != x[i] && y[i] == y[i])) return false;
    }
    return false;
  }
};

template <class T>
Runs find_runs(const Tensor& x, bool sorted) {
  const int64_t count = x.shape()[0], width = x.shape()[1];
  std::vector<T> values(static_cast<size_t>(x.numel()));
  const T* from = ElementReader<T>(x, x.shape()).read(0, x.numel(), values.data());
  const Rows<T> rows{from, width};
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (sorted && width == 1) {
    const Tensor indices = argsort(x.reshape({count}));
    std::copy_n(indices.data<int64_t>(), count, order.data());
  } else if (sorted) {
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return rows.less(a, b); });
  }
  return runs_in(order, [&](int64_t a, int64_t b) { return rows.same(a, b); });
}

Tensors distinct(const char* op, const Tensor& self, bool sorted, bool return_inverse,
                 bool return_counts, std::optional<int64_t> dim) {
  check_not_block(op, self);
  check_not_complex(op, self);
  NoGrad no_grad;
  Tensor x = self.detach();
  Shape inverse_shape = x.shape();
  Shape slice;
  if (dim) {
    const int axis = normalize_dim(*dim, std::max(1, x.dim()), op);
    if (x.dim() > 0) x = movedim(x, axis, 0);
    if (x.dim() > 0) slice = Shape(std::span(x.shape().begin() + 1, x.shape().end()));
    if (slice.numel() == 0 && x.dim() > 0 && x.shape()[0] > 0) {
      fail(op, ": ", self, " has slices without elements along dim ", *dim);
    }
    inverse_shape = {x.dim() > 0 ? x.shape()[0] : 1};
  }
  const int64_t width = slice.numel();
  const int64_t count = dim ? inverse_shape[0] : x.numel();
  x = x.reshape({count, width}).contiguous();
  Runs runs;
  with_compute_type(compute_type(x.dtype()), [&]<class T>(T) { runs = find_runs<T>(x, sorted); });
  Tensors results;
  const Tensor picked = index_select(
      x, 0, Tensor::from(std::span<const int64_t>(runs.first), {std::ssize(runs.first)}));
  Shape shape = slice;
  shape.insert(0, std::ssize(runs.first));
  Tensor values = picked.reshape(shape);
  if (dim && self.dim() > 0) values = movedim(values, 0, *dim);
  results.push_back(values);
  if (return_inverse)
    results.push_back(Tensor::from(std::span<const int64_t>(runs.run_of), inverse_shape));
  if (return_counts)
    results.push_back(
        Tensor::from(std::span<const int64_t>(runs.counts), {std::ssize(runs.counts)}));
  return results;
}

}  // namespace

Tensors unique(const Tensor& self, bool, bool return_inverse, bool return_counts,
               std::optional<int64_t> dim) {
  return distinct("unique", self, true, return_inverse, return_counts, dim);
}

Tensors unique_consecutive(const Tensor& self, bool return_inverse, bool return_counts,
                           std::optional<int64_t> dim) {
  return distinct("unique_consecutive", self, false, return_inverse, return_counts, dim);
}

}  // namespace tallow
