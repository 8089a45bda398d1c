// Views: other shapes and strides over the same elements. Each is an op without a kernel, so that
// gradients pass through.
#include <limits>

#include "ops/elements.h"
#include "ops/shape/place.h"
#include "ops/shape/windows.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Shape is plain data, so it may be an option.
struct ViewOptions {
  Shape shape;
};
struct PermuteOptions {
  Shape dims;
};
struct SliceOptions {
  int dim;
  int64_t start, length, step;
  bool drops;  // the dimension, which has one element
};
struct DiagonalOptions {
  int64_t offset;
  int dim1, dim2;
};

Spec view_of(const Tensor& x, const Shape& shape, const Shape& strides, int64_t offset) {
  return {shape, x.dtype(), 0, true, strides, offset};
}

int64_t bytes_at(const Tensor& x, int64_t elements) {
  const DTypeInfo& row = info(x.dtype());
  return x.offset() + elements / row.block * row.bytes;
}

// The strides of x seen as `shape`, or nothing when elements would have to move.
std::optional<Shape> reshaped_strides(const Tensor& x, const Shape& shape) {
  if (x.numel() == 0) return contiguous_strides(shape);
  Shape strides = shape;
  int from = x.dim() - 1;
  int64_t left = 1, stride = 1;  // of the run of old dimensions that is being divided
  for (int to = shape.size() - 1; to >= 0; --to) {
    if (shape[to] == 1) {
      strides[to] = stride;
      continue;
    }
    if (left == 1) {
      while (from >= 0 && x.shape()[from] == 1) --from;
      left = x.shape()[from];
      stride = x.strides()[from--];
      int64_t outermost = stride * left;
      while (from >= 0 && (x.shape()[from] == 1 || x.strides()[from] == outermost)) {
        left *= x.shape()[from];
        outermost *= x.shape()[from--];
      }
    }
    if (left % shape[to] != 0) return {};
    strides[to] = stride;
    stride *= shape[to];
    left /= shape[to];
  }
  return strides;
}

Shape resolve_shape(const Tensor& x, Shape shape, const char* op) {
  int64_t known = 1;
  int unknown = -1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] < -1) fail(op, ": size ", shape[i], " is negative in ", shape);
    if (shape[i] == -1 && unknown >= 0) fail(op, ": more than one -1 in ", shape);
    if (shape[i] == -1) {
      unknown = i;
    } else if (__builtin_mul_overflow(known, shape[i], &known)) {
      fail(op, ": ", x, " has ", x.numel(), " elements, which do not fill ", shape);
    }
  }
  if (unknown >= 0 && known > 0 && x.numel() % known == 0) shape[unknown] = x.numel() / known;
  if ((unknown >= 0 && shape[unknown] < 0) || shape.numel() != x.numel()) {
    fail(op, ": ", x, " has ", x.numel(), " elements, which do not fill ", shape);
  }
  const DTypeInfo& row = info(x.dtype());
  if (row.block > 1 && (shape.empty() || shape.back() % row.block != 0)) {
    fail(op, ": the last dimension of ", shape, " would cut the blocks of ", row.block,
         " elements of ", x.dtype(), "; call .to(f32) first");
  }
  return shape;
}

constinit Op<ViewOptions> view_op{
    "view",
    {.infer =
         [](Inputs in, const ViewOptions& o) {
           auto strides = reshaped_strides(in[0], o.shape);
           if (!strides) {
             fail("view: ", in[0], " with strides ", in[0].strides(), " cannot be seen as ",
                  o.shape, " without a copy; use reshape");
           }
           return Specs{view_of(in[0], o.shape, *strides, in[0].offset())};
         },
     .vjp = [](const Saved<ViewOptions>& saved,
               Inputs grads) { return Tensors{reshape(grads[0], saved.inputs[0].shape())}; },
     .shapes_only = true}};

constinit Op<PermuteOptions> permute_op{
    "permute",
    {.infer =
         [](Inputs in, const PermuteOptions& o) {
           const Tensor& x = in[0];
           Shape shape = x.shape(), strides = x.strides();
           for (int i = 0; i < x.dim(); ++i) {
             shape[i] = x.shape()[static_cast<int>(o.dims[i])];
             strides[i] = x.strides()[static_cast<int>(o.dims[i])];
           }
           return Specs{view_of(x, shape, strides, x.offset())};
         },
     .vjp =
         [](const Saved<PermuteOptions>& saved, Inputs grads) {
           Shape inverse = saved.options.dims;
           for (int i = 0; i < inverse.size(); ++i) {
             inverse[static_cast<int>(saved.options.dims[i])] = i;
           }
           return Tensors{permute(grads[0], inverse)};
         },
     .shapes_only = true}};

constinit Op<ViewOptions> expand_op{
    "expand",
    {.infer =
         [](Inputs in, const ViewOptions& o) {
           const Tensor& x = in[0];
           Shape strides = Shape::filled(o.shape.size(), 0);
           const int shift = o.shape.size() - x.dim();
           for (int i = 0; i < x.dim(); ++i) {
             if (x.shape()[i] == o.shape[i + shift]) {
               strides[i + shift] = x.strides()[i];
             } else if (x.shape()[i] != 1) {
               fail("expand: ", x, " does not expand to ", o.shape);
             }
           }
           return Specs{view_of(x, o.shape, strides, x.offset())};
         },
     // The pass sums over what was broadcast.
     .vjp = [](const Saved<ViewOptions>& saved,
               Inputs grads) { return Tensors{sum_to(grads[0], saved.inputs[0].shape())}; },
     .shapes_only = true}};

constinit Op<SliceOptions> slice_op{
    "slice",
    {.infer =
         [](Inputs in, const SliceOptions& o) {
           const Tensor& x = in[0];
           Shape shape = x.shape(), strides = x.strides();
           const int64_t skipped = shape.numel() == 0 ? 0 : o.start * strides[o.dim];
           shape[o.dim] = o.length;
           strides[o.dim] *= o.step;
           const int block = info(x.dtype()).block;
           if (block > 1 && o.dim == x.dim() - 1 &&
               (o.start % block || o.length % block || o.step != 1 || o.drops)) {
             fail("slice: ", o.start, "..", o.start + o.length, " cuts the blocks of ", block,
                  " elements of ", x.dtype(), "; call .to(f32) first");
           }
           if (o.drops) {
             shape.erase(o.dim);
             strides.erase(o.dim);
           }
           return Specs{view_of(x, shape, strides, bytes_at(x, skipped))};
         },
     .vjp =
         [](const Saved<SliceOptions>& saved, Inputs grads) {
           const SliceOptions& o = saved.options;
           const Shape& shape = saved.inputs[0].shape();
           return Tensors{place_in(shape, grads[0],
                                   o.drops ? select_placement(shape, o.dim, o.start)
                                           : slice_placement(shape, o.dim, o.start, o.step))};
         },
     .shapes_only = true}};

constinit Op<DiagonalOptions> diagonal_op{
    "diagonal",
    {.infer =
         [](Inputs in, const DiagonalOptions& o) {
           const Tensor& x = in[0];
           Shape shape = x.shape(), strides = x.strides();
           const int64_t length = diagonal_length(shape, o.offset, o.dim1, o.dim2);
           int64_t skipped = 0;
           if (length > 0) {
             skipped = o.offset >= 0 ? o.offset * strides[o.dim2] : -o.offset * strides[o.dim1];
           }
           const int64_t step = strides[o.dim1] + strides[o.dim2];
           for (int d : {std::max(o.dim1, o.dim2), std::min(o.dim1, o.dim2)}) {
             shape.erase(d);
             strides.erase(d);
           }
           shape.push_back(length);
           strides.push_back(step);
           return Specs{view_of(x, shape, strides, bytes_at(x, skipped))};
         },
     .vjp =
         [](const Saved<DiagonalOptions>& saved, Inputs grads) {
           const DiagonalOptions& o = saved.options;
           const Shape& shape = saved.inputs[0].shape();
           return Tensors{
               place_in(shape, grads[0], diagonal_placement(shape, o.offset, o.dim1, o.dim2))};
         },
     .shapes_only = true}};

int sized_dim(const Tensor& x, int64_t dim, const char* op) {
  if (x.dim() == 0) fail_index(op, ": a 0-dimensional tensor has no dimension to take from");
  return normalize_dim(dim, x.dim(), op);
}

// Without the dimensions of size 1 among `dims`.
Tensor without(const Tensor& x, uint32_t dims) {
  Shape target;
  for (int i = 0; i < x.dim(); ++i) {
    if (x.shape()[i] != 1 || !(dims >> i & 1)) target.push_back(x.shape()[i]);
  }
  return apply(view_op, {x}, {resolve_shape(x, target, "squeeze")});
}

}  // namespace

Tensor reshape(const Tensor& self, const Shape& shape) {
  const Shape target = resolve_shape(self, shape, "reshape");
  return apply(view_op, {reshaped_strides(self, target) ? self : clone(self)}, {target});
}

Tensor view(const Tensor& self, const Shape& size) {
  return apply(view_op, {self}, {resolve_shape(self, size, "view")});
}

Tensor permute(const Tensor& self, const Dims& dims) {
  if (dims.size() != self.dim()) {
    fail("permute: ", dims.size(), " dimensions for ", self);
  }
  dim_bits(dims, self.dim(), "permute");
  Shape order = Shape::filled(self.dim(), 0);
  for (int i = 0; i < self.dim(); ++i) order[i] = normalize_dim(dims[i], self.dim(), "permute");
  if (is_block(self.dtype()) && self.dim() > 0 && order.back() != self.dim() - 1) {
    fail("permute: the last dimension of ", self, " holds blocks; call .to(f32) first");
  }
  return apply(permute_op, {self}, {order});
}

Tensor transpose(const Tensor& self, int64_t dim0, int64_t dim1) {
  const int n = self.dim();
  const int a = normalize_dim(dim0, n, "transpose"), b = normalize_dim(dim1, n, "transpose");
  Shape order = Shape::filled(n, 0);
  for (int i = 0; i < n; ++i) order[i] = i;
  if (n > 0) std::swap(order[a], order[b]);
  return permute(self, order);
}

Tensor squeeze(const Tensor& self) { return without(self, ~0u); }
Tensor squeeze(const Tensor& self, const Dims& dim) {
  return without(self, dim_bits(dim, self.dim(), "squeeze"));
}

Tensor unsqueeze(const Tensor& self, int64_t dim) {
  Shape target = self.shape();
  target.insert(normalize_dim(dim, self.dim() + 1, "unsqueeze"), 1);
  return apply(view_op, {self}, {resolve_shape(self, target, "unsqueeze")});
}

Tensor expand(const Tensor& self, const Shape& size) {
  Shape sizes = size;
  const int shift = sizes.size() - self.dim();
  if (shift < 0) fail("expand: ", self, " has more dimensions than ", size);
  for (int i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == -1 && i >= shift) sizes[i] = self.shape()[i - shift];
    if (sizes[i] < 0) fail("expand: ", self, " does not expand to ", size);
  }
  return apply(expand_op, {self}, {sizes});
}

Tensor narrow(const Tensor& self, int64_t dim, int64_t start, int64_t length) {
  const int i = sized_dim(self, dim, "narrow");
  const int64_t n = self.shape()[i];
  if (start < -n || start > n) {
    fail_index("narrow: start ", start, " is outside dimension ", i, " of ", self);
  }
  if (start < 0) start += n;
  if (length < 0 || start > n - length) {
    fail("narrow: start ", start, " and length ", length, " are outside dimension ", i, " of ",
         self);
  }
  return apply(slice_op, {self}, {i, start, length, 1, false});
}

Tensor select(const Tensor& self, int64_t dim, int64_t index) {
  const int i = sized_dim(self, dim, "select");
  const int64_t n = self.shape()[i];
  if (index < -n || index >= n) {
    fail_index("select: index ", index, " is outside dimension ", i, " of ", self);
  }
  return apply(slice_op, {self}, {i, index < 0 ? index + n : index, 1, 1, true});
}

SliceRange slice_range(int64_t n, std::optional<int64_t> start, std::optional<int64_t> end,
                       int64_t step, const char* op) {
  if (step < 1) fail(op, ": step ", step, " is not positive");
  const auto bound = [n](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n); };
  const int64_t first = bound(start.value_or(0)), last = bound(end.value_or(n));
  return {first, last > first ? (last - first - 1) / step + 1 : 0};
}

Tensor slice(const Tensor& self, int64_t dim, std::optional<int64_t> start,
             std::optional<int64_t> end, int64_t step) {
  const int i = sized_dim(self, dim, "slice");
  const SliceRange range = slice_range(self.shape()[i], start, end, step, "slice");
  if (range.length <= 1) step = 1;  // a huge one would overflow the stride
  return apply(slice_op, {self}, {i, range.start, range.length, step, false});
}

Tensor diagonal(const Tensor& self, int64_t offset, int64_t dim1, int64_t dim2) {
  if (self.dim() < 2) fail_index("diagonal: ", self, " has fewer than 2 dimensions");
  check_not_block("diagonal", self);
  const int a = normalize_dim(dim1, self.dim(), "diagonal");
  const int b = normalize_dim(dim2, self.dim(), "diagonal");
  if (a == b) fail("diagonal: dim1 and dim2 are both ", a);
  return apply(diagonal_op, {self}, {offset, a, b});
}

Tensor Tensor::reshape(const Shape& shape) const { return tallow::reshape(*this, shape); }
Tensor Tensor::view(const Shape& shape) const { return tallow::view(*this, shape); }
Tensor Tensor::permute(const Dims& dims) const { return tallow::permute(*this, dims); }
Tensor Tensor::transpose(int64_t a, int64_t b) const { return tallow::transpose(*this, a, b); }
Tensor Tensor::narrow(int64_t d, int64_t start, int64_t length) const {
  return tallow::narrow(*this, d, start, length);
}
Tensor Tensor::select(int64_t d, int64_t index) const { return tallow::select(*this, d, index); }
Tensor Tensor::slice(int64_t d, int64_t start, int64_t end, int64_t step) const {
  return tallow::slice(*this, d, start, end, step);
}
Tensor Tensor::unsqueeze(int64_t d) const { return tallow::unsqueeze(*this, d); }
Tensor Tensor::squeeze(int64_t d) const { return tallow::squeeze(*this, d); }
Tensor Tensor::expand(const Shape& target) const { return tallow::expand(*this, target); }

}  // namespace tallow
