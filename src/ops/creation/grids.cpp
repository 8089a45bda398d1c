// Tensors made of vectors: grids, products, combinations and block matrices.
#include <numeric>

#include "ops/elements.h"
#include "ops/shape/place.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

Tensors meshgrid(const Tensors& tensors, std::string_view indexing) {
  if (tensors.empty()) fail("meshgrid: no tensors");
  if (indexing != "ij" && indexing != "xy") {
    fail("meshgrid: indexing \"", indexing, "\" is neither ij nor xy");
  }
  Tensors axes = tensors;
  for (const Tensor& t : tensors) {
    if (t.dim() > 1) fail("meshgrid: ", t, " has more than 1 dimension");
    if (t.dtype() != tensors[0].dtype())
      fail("meshgrid: dtypes ", tensors[0].dtype(), " and ", t.dtype(), " differ");
  }
  const bool swaps = indexing == "xy" && axes.size() > 1;
  if (swaps) std::swap(axes[0], axes[1]);
  Shape shape;
  for (const Tensor& t : axes) shape.push_back(t.numel());
  Tensors result;
  for (size_t i = 0; i < axes.size(); ++i) {
    Shape along = Shape::filled(shape.size(), 1);
    along[static_cast<int>(i)] = axes[i].numel();
    result.push_back(expand(reshape(axes[i], along), shape));
  }
  if (swaps) std::swap(result[0], result[1]);
  return result;
}

Tensor cartesian_prod(const Tensors& tensors) {
  if (tensors.empty()) fail("cartesian_prod: no tensors");
  for (const Tensor& t : tensors) {
    if (t.dim() != 1) fail("cartesian_prod: ", t, " is not a vector");
  }
  if (tensors.size() == 1) return tensors[0];
  Tensors columns = meshgrid(tensors);
  for (Tensor& t : columns) t = flatten(t);
  return stack(columns, 1);
}

Tensor combinations(const Tensor& input, int64_t r, bool with_replacement) {
  if (input.dim() != 1) fail("combinations: input is ", input, "; it needs a vector");
  if (r < 0) fail("combinations: r ", r, " is negative");
  if (r == 0) return empty({0}, input.dtype());
  const int64_t n = input.numel();
  std::vector<int64_t> chosen(static_cast<size_t>(r)), all;
  if (!with_replacement) std::iota(chosen.begin(), chosen.end(), 0);
  // The last index that may still grow, counted from the back.
  const auto limit = [&](int64_t i) { return with_replacement ? n - 1 : n - r + i; };
  while (n > 0 && (with_replacement || r <= n)) {
    all.insert(all.end(), chosen.begin(), chosen.end());
    int64_t i = r - 1;
    while (i >= 0 && chosen[static_cast<size_t>(i)] == limit(i)) --i;
    if (i < 0) break;
    const int64_t next = chosen[static_cast<size_t>(i)] + 1;
    for (int64_t j = i; j < r; ++j) {
      chosen[static_cast<size_t>(j)] = with_replacement ? next : next + j - i;
    }
  }
  const int64_t count = static_cast<int64_t>(all.size()) / r;
  return reshape(index_select(input, 0, Tensor::from(all, {count * r})), {count, r});
}

Tensor block_diag(const Tensors& tensors) {
  Tensors blocks;
  int64_t rows = 0, columns = 0;
  for (const Tensor& t : tensors) {
    if (t.dim() > 2) fail("block_diag: ", t, " has more than 2 dimensions");
    blocks.push_back(atleast_2d(t));
    rows += blocks.back().size(0);
    columns += blocks.back().size(1);
  }
  if (blocks.empty()) return empty({1, 0});
  const DType dtype = promote(blocks, "block_diag");
  Tensors bands;
  int64_t left = 0;
  for (const Tensor& t : blocks) {
    const int64_t right = columns - left - t.size(1);
    bands.push_back(constant_pad_nd(t.to(dtype), {left, right}));
    left += t.size(1);
  }
  return cat(bands, 0);
}

Tensor vander(const Tensor& x, std::optional<int64_t> N, bool increasing) {
  if (x.dim() != 1) fail("vander: x is ", x, "; it needs a vector");
  const int64_t n = N.value_or(x.numel());
  if (n < 0 || n > 1 << 20) fail("vander: N is ", n, ", outside 0..2^20");
  const Tensor base = is_integral(x.dtype()) ? x.to(DType::i64) : x;
  Tensors columns;
  for (int64_t i = 0; i < n; ++i) {
    columns.push_back(i == 0 ? ones(x.shape(), base.dtype()) : columns.back() * base);
  }
  if (columns.empty()) return zeros({x.numel(), 0}, base.dtype());
  const Tensor powers = stack(columns, 1);
  return increasing ? powers : flip(powers, 1);
}

}  // namespace tallow
