// unfold, as_strided, and the patches of images.
#include "ops/shape/windows.h"

#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

constinit Op<Windows> unfold_op{
    "unfold",
    {.infer =
         [](Inputs in, const Windows& w) {
           const Tensor& x = in[0];
           Shape shape = x.shape(), strides = x.strides();
           if (x.dim() == 0) {
             shape = {w.size}, strides = {1};
           } else {
             const int64_t stride = strides[w.dim];
             shape[w.dim] = w.count(shape[w.dim]);
             // A single window needs no stride, and a huge step would overflow.
             strides[w.dim] = shape[w.dim] > 1 ? stride * w.step : stride;
             shape.push_back(w.size);
             strides.push_back(w.size > 1 ? stride * w.dilation : stride);
           }
           return Specs{{shape, x.dtype(), 0, true, strides, x.offset()}};
         },
     .vjp =
         [](const Saved<Windows>& saved, Inputs grads) {
           const Tensor& x = saved.inputs[0];
           if (x.dim() == 0) return Tensors{sum(grads[0])};
           const int64_t length = x.shape()[saved.options.dim];
           return Tensors{add_windows(grads[0], saved.options, length)};
         },
     .shapes_only = true}};

// Where the windows' elements are along the dimension: [windows * size].
Tensor window_positions(const Windows& w, int64_t count) {
  Tensor index = Tensor::empty({count * w.size}, DType::i64);
  int64_t* to = index.data<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < w.size; ++j) *to++ = i * w.step + j * w.dilation;
  }
  return index;
}

struct StridedOptions {
  Shape shape, strides;
  int64_t skipped;  // from the first element of x
};

int64_t highest(const Shape& shape, const Shape& strides) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) last += (shape[i] - 1) * strides[i];
  return last;
}

// Where the elements of a layout are, flat and in row-major order.
Tensor positions(const Shape& shape, const Shape& strides, int64_t offset) {
  Tensor all = Tensor::empty({shape.numel()}, DType::i64);
  int64_t* to = all.data<int64_t>();
  Shape index = Shape::filled(shape.size(), 0);
  for (int64_t i = 0, at = offset; i < all.numel(); ++i) {
    to[i] = at;
    for (int d = shape.size() - 1; d >= 0; --d) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= index[d] * strides[d];
      index[d] = 0;
    }
  }
  return all;
}

// The gradients meet in memory: each element's are added up there, and shared by those of x's that
// are the same memory.
Tensors strided_vjp(const Saved<StridedOptions>& saved, Inputs grads) {
  const StridedOptions& o = saved.options;
  const Tensor &x = saved.inputs[0], &g = grads[0];
  if (g.numel() == 0 || x.numel() == 0) return {zeros(x.shape(), g.dtype())};
  const int64_t first = std::min<int64_t>(0, o.skipped);
  const int64_t size =
      std::max(highest(x.shape(), x.strides()), o.skipped + highest(o.shape, o.strides)) - first +
      1;
  const Tensor none = zeros({size}, g.dtype());
  Tensor memory =
      index_put(none, {positions(o.shape, o.strides, o.skipped - first)}, reshape(g, {-1}), true);
  const Tensor own = positions(x.shape(), x.strides(), -first);
  if (own.numel() > 1) {
    const Tensor shares = index_put(none, {own}, ones({own.numel()}, g.dtype()), true);
    const Tensor result = index(memory, {own}) / index(shares, {own});
    return {reshape(result, x.shape())};
  }
  return {reshape(index(memory, {own}), x.shape())};
}

constinit Op<StridedOptions> as_strided_op{
    "as_strided",
    {.infer =
         [](Inputs in, const StridedOptions& o) {
           const int64_t offset = in[0].offset() + o.skipped * info(in[0].dtype()).bytes;
           return Specs{{o.shape, in[0].dtype(), 0, true, o.strides, offset}};
         },
     .vjp = strided_vjp,
     .shapes_only = true}};

}  // namespace

Tensor windows_of(const Tensor& x, const Windows& windows) {
  return apply(unfold_op, {x}, windows);
}

Tensor add_windows(const Tensor& g, const Windows& w, int64_t length) {
  const int64_t count = g.shape()[w.dim];
  Shape shape = g.shape();
  shape.erase(g.dim() - 1);
  shape[w.dim] = length;
  const Tensor rows = flatten(movedim(g, -1, w.dim + 1), w.dim, w.dim + 1);
  return index_add(zeros(shape, g.dtype()), w.dim, window_positions(w, count), rows);
}

Tensor unfold(const Tensor& self, int64_t dimension, int64_t size, int64_t step) {
  const int dim = normalize_dim(dimension, self.dim(), "unfold");
  const int64_t length = self.dim() == 0 ? 1 : self.shape()[dim];
  check_not_block("unfold", self);
  if (size < 0 || size > length) {
    fail("unfold: size ", size, " is outside 0..", length, ", the size of dimension ", dim, " of ",
         self);
  }
  if (step < 1) fail("unfold: step ", step, " is not positive");
  if (size == 0) {
    // Empty windows, one at each step of the gaps as well.
    Shape shape = self.shape();
    if (self.dim() > 0) shape[dim] = length / step + 1;
    shape.push_back(0);
    return zeros(shape, self.dtype());
  }
  return windows_of(self, {dim, size, step, 1});
}

Tensor as_strided(const Tensor& self, const Shape& size, const Shape& stride,
                  std::optional<int64_t> storage_offset) {
  check_not_block("as_strided", self);
  if (size.size() != stride.size()) {
    fail("as_strided: ", size.size(), " sizes and ", stride.size(), " strides");
  }
  const int64_t bytes = info(self.dtype()).bytes, own = self.offset() / bytes;
  const int64_t offset = storage_offset.value_or(own);
  if (offset < 0) fail("as_strided: storage_offset ", offset, " is negative");
  int64_t last = offset;
  bool overflow = false;
  for (int i = 0; i < size.size(); ++i) {
    if (size[i] < 0 || stride[i] < 0) {
      fail("as_strided: size ", size, " or stride ", stride, " is negative");
    }
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(size[i] - 1, 0), stride[i], &reach) ||
                __builtin_add_overflow(last, reach, &last);
  }
  const int64_t room = self.buffer()->bytes() / bytes;
  if (size.numel() > 0 && (overflow || last >= room)) {
    fail("as_strided: size ", size, " with strides ", stride, " from ", offset,
         " leaves the memory of ", room, " elements");
  }
  return apply(as_strided_op, {self}, {size, stride, offset - own});
}

}  // namespace tallow
