// Diagonals and triangles of matrices.
#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "ops/shape/move.h"
#include "ops/shape/place.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct TriangleOptions {
  int64_t diagonal;
  bool upper;
};

void triangle_cpu(Inputs in, Outputs outputs, const TriangleOptions& o) {
  const Tensor& out = outputs[0];
  auto* to = static_cast<std::byte*>(out.raw());
  move_elements(in[0], to, out.strides());
  if (out.numel() == 0) return;
  const int64_t rows = out.size(-2), columns = out.size(-1), bytes = info(out.dtype()).bytes;
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / (columns * bytes));
  parallel_for(out.numel() / columns, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i % rows;
      // The first column past the diagonal, or on it for the upper triangle.
      int64_t edge = 0;
      if (__builtin_add_overflow(row + (o.upper ? 0 : 1), o.diagonal, &edge)) {
        edge = o.diagonal > 0 ? columns : 0;
      }
      edge = std::clamp<int64_t>(edge, 0, columns);
      std::byte* first = to + (i * columns + (o.upper ? 0 : edge)) * bytes;
      std::memset(first, 0, static_cast<size_t>((o.upper ? edge : columns - edge) * bytes));
    }
  });
}

constinit Op<TriangleOptions> triangle_op{
    "tril",
    {.infer =
         [](Inputs in, const TriangleOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp = [](const Saved<TriangleOptions>& saved,
               Inputs grads) { return Tensors{apply(triangle_op, {grads[0]}, saved.options)}; },
     .cpu = triangle_cpu,
     .shapes_only = true}};

Tensor triangle(const char* op, const Tensor& self, int64_t diagonal, bool upper) {
  check_not_block(op, self);
  if (self.dim() < 2) fail(op, ": ", self, " has fewer than 2 dimensions");
  return apply(triangle_op, {self}, {diagonal, upper});
}

}  // namespace

Tensor tril(const Tensor& self, int64_t diagonal) {
  return triangle("tril", self, diagonal, false);
}
Tensor triu(const Tensor& self, int64_t diagonal) { return triangle("triu", self, diagonal, true); }

Tensor diag(const Tensor& self, int64_t diagonal) {
  if (self.dim() == 1) return diag_embed(self, diagonal);
  if (self.dim() != 2) fail("diag: ", self, " is neither a vector nor a matrix");
  return clone(tallow::diagonal(self, diagonal));
}

Tensor diag_embed(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
  if (self.dim() == 0) fail_index("diag_embed: a 0-dimensional tensor has no diagonal");
  check_not_block("diag_embed", self);
  const int dims = self.dim() + 1;
  const int a = normalize_dim(dim1, dims, "diag_embed");
  const int b = normalize_dim(dim2, dims, "diag_embed");
  if (a == b) fail("diag_embed: dim1 and dim2 are both ", a);
  int64_t n = 0;
  if (offset == INT64_MIN || __builtin_add_overflow(self.shape().back(), std::abs(offset), &n)) {
    fail("diag_embed: offset ", offset, " overflows");
  }
  Shape shape = self.shape();
  shape.erase(self.dim() - 1);
  shape.insert(std::min(a, b), n);
  shape.insert(std::max(a, b), n);
  return place_in(shape, self, diagonal_placement(shape, offset, a, b));
}

Tensor diagflat(const Tensor& self, int64_t offset) {
  return diag_embed(reshape(self, {-1}), offset);
}

Tensor trace(const Tensor& self) {
  if (self.dim() != 2) fail("trace: ", self, " is no matrix");
  return sum(diagonal(self));
}

}  // namespace tallow
