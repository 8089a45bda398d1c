// Views: other shapes and strides over the same elements. Each is an op without a kernel, so that
// gradients pass through.
#include "core/tensor_impl.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Shape fits in plain data, so it may be an option.
struct ViewOptions {
  Shape shape;
};
struct PermuteOptions {
  Shape dims;
};
struct SliceOptions {
  int dim;
  int64_t start, length, step;
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
      while (from >= 0 && (x.shape()[from] == 1 ||
                           x.strides()[from] == x.strides()[from + 1] * x.shape()[from + 1])) {
        left *= x.shape()[from--];
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
    if (shape[i] != -1) {
      known *= shape[i];
    } else if (unknown < 0) {
      unknown = i;
    } else {
      fail(op, ": more than one -1 in ", shape);
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
               Inputs grads) { return Tensors{grads[0].reshape(saved.inputs[0].shape())}; }}};

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
           return Tensors{grads[0].permute(inverse)};
         }}};

constinit Op<ViewOptions> expand_op{
    "expand",
    {.infer =
         [](Inputs in, const ViewOptions& o) {
           const Tensor& x = in[0];
           Shape strides = Shape::filled(o.shape.size(), 0);
           int shift = o.shape.size() - x.dim();
           for (int i = 0; i < x.dim(); ++i) {
             if (x.shape()[i] == o.shape[i + shift]) {
               strides[i + shift] = x.strides()[i];
             } else if (x.shape()[i] != 1) {
               fail("expand: ", x, " does not expand to ", o.shape);
             }
           }
           return Specs{view_of(x, o.shape, strides, x.offset())};
         },
     .vjp =
         [](const Saved<ViewOptions>& saved, Inputs grads) {
           const Shape& shape = saved.inputs[0].shape();
           std::vector<int64_t> dims;
           int shift = grads[0].dim() - shape.size();
           for (int i = 0; i < grads[0].dim(); ++i) {
             if (i < shift || shape[i - shift] != grads[0].shape()[i]) dims.push_back(i);
           }
           return Tensors{dims.empty() ? grads[0] : sum(grads[0], dims, true).reshape(shape)};
         }}};

// g placed into zeros of the sliced tensor's shape: the gradient of a slice.
struct UnsliceOptions {
  Shape shape;
  SliceOptions slice;
};
Tensor slice_view(const Tensor& x, const SliceOptions& o);

constinit Op<UnsliceOptions> unslice_op{
    "unslice",
    {.infer =
         [](Inputs in, const UnsliceOptions& o) {
           return Specs{{o.shape, in[0].dtype()}};
         },
     .vjp = [](const Saved<UnsliceOptions>& saved,
               Inputs grads) { return Tensors{slice_view(grads[0], saved.options.slice)}; },
     .composite =
         [](Inputs in, const UnsliceOptions& o) {
           const SliceOptions& s = o.slice;
           auto zeros = [&](int64_t n) {
             Shape part = o.shape;
             part[s.dim] = n;
             return Tensor::zeros(part, in[0].dtype());
           };
           if (s.step == 1) {
             return Tensors{
                 cat({zeros(s.start), in[0], zeros(o.shape[s.dim] - s.start - s.length)}, s.dim)};
           }
           // Each row, then step - 1 rows of zeros, makes a slice with a step one without.
           Tensor rows = in[0].unsqueeze(s.dim + 1);
           Shape gap = rows.shape();
           gap[s.dim + 1] = s.step - 1;
           Shape flat = in[0].shape();
           flat[s.dim] *= s.step;
           Tensor spread = cat({rows, Tensor::zeros(gap, rows.dtype())}, s.dim + 1).reshape(flat);
           spread = spread.narrow(s.dim, 0, std::min(flat[s.dim], o.shape[s.dim] - s.start));
           int64_t end = s.start + spread.size(s.dim);
           return Tensors{cat({zeros(s.start), spread, zeros(o.shape[s.dim] - end)}, s.dim)};
         }}};

constinit Op<SliceOptions> slice_op{
    "slice",
    {.infer =
         [](Inputs in, const SliceOptions& o) {
           const Tensor& x = in[0];
           Shape shape = x.shape(), strides = x.strides();
           shape[o.dim] = o.length;
           strides[o.dim] *= o.step;
           int block = info(x.dtype()).block;
           if (block > 1 && o.dim == x.dim() - 1 &&
               (o.start % block || o.length % block || o.step != 1)) {
             fail("slice: ", o.start, "..", o.start + o.length, " cuts the blocks of ", block,
                  " elements of ", x.dtype(), "; call .to(f32) first");
           }
           return Specs{view_of(x, shape, strides, bytes_at(x, o.start * x.strides()[o.dim]))};
         },
     .vjp =
         [](const Saved<SliceOptions>& saved, Inputs grads) {
           return Tensors{apply(unslice_op, {grads[0]}, {saved.inputs[0].shape(), saved.options})};
         }}};

Tensor slice_view(const Tensor& x, const SliceOptions& o) { return apply(slice_op, {x}, o); }

}  // namespace

Tensor Tensor::reshape(const Shape& shape) const {
  Shape target = resolve_shape(*this, shape, "reshape");
  const Tensor& x = *this;
  return apply(view_op, {reshaped_strides(x, target) ? x : clone()}, {target});
}

Tensor Tensor::view(const Shape& shape) const {
  return apply(view_op, {*this}, {resolve_shape(*this, shape, "view")});
}

Tensor Tensor::permute(const Dims& dims) const {
  Shape order = Shape::filled(dim(), -1);
  unsigned seen = 0;
  if (dims.size() != dim()) {
    fail("permute: ", dims.size(), " dimensions for ", *this);
  }
  for (int i = 0; i < dim(); ++i) {
    order[i] = normalize_dim(dims[i], dim(), "permute");
    if (seen & (1u << order[i])) fail("permute: dimension ", order[i], " is named twice");
    seen |= 1u << order[i];
  }
  if (is_block(dtype()) && order.back() != dim() - 1) {
    fail("permute: the last dimension of ", *this, " holds blocks; call .to(f32) first");
  }
  return apply(permute_op, {*this}, {order});
}

Tensor Tensor::transpose(int64_t a, int64_t b) const {
  Shape order = Shape::filled(dim(), 0);
  for (int i = 0; i < dim(); ++i) order[i] = i;
  std::swap(order[normalize_dim(a, dim(), "transpose")],
            order[normalize_dim(b, dim(), "transpose")]);
  return permute(order);
}

Tensor Tensor::narrow(int64_t d, int64_t start, int64_t length) const {
  int i = normalize_dim(d, dim(), "narrow");
  if (start < 0) start += size(i);
  if (start < 0 || length < 0 || start > size(i) - length) {
    fail("narrow: ", start, "..", start + length, " is outside dimension ", i, " of ", *this);
  }
  return slice_view(*this, {i, start, length, 1});
}

Tensor Tensor::select(int64_t d, int64_t index) const {
  int i = normalize_dim(d, dim(), "select");
  if (index < -size(i) || index >= size(i)) {
    fail("select: index ", index, " is outside dimension ", i, " of ", *this);
  }
  return narrow(i, index, 1).squeeze(i);
}

Tensor Tensor::slice(int64_t d, int64_t start, int64_t end, int64_t step) const {
  int i = normalize_dim(d, dim(), "slice");
  int64_t n = size(i);
  if (step < 1) fail("slice: step ", step, " is not positive");
  auto bound = [n](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n); };
  start = bound(start);
  int64_t length = std::max<int64_t>(0, (bound(end) - start + step - 1) / step);
  return slice_view(*this, {i, start, length, step});
}

Tensor Tensor::unsqueeze(int64_t d) const {
  Shape target = shape();
  target.insert(normalize_dim(d, dim() + 1, "unsqueeze"), 1);
  return apply(view_op, {*this}, {resolve_shape(*this, target, "unsqueeze")});
}

Tensor Tensor::squeeze(int64_t d) const {
  int i = normalize_dim(d, dim(), "squeeze");
  if (dim() == 0 || size(i) != 1) return *this;
  Shape target = shape();
  target.erase(i);
  return apply(view_op, {*this}, {resolve_shape(*this, target, "squeeze")});
}

Tensor Tensor::expand(const Shape& target) const {
  Shape sizes = target;
  int shift = sizes.size() - dim();
  if (shift < 0) fail("expand: ", *this, " has more dimensions than ", target);
  for (int i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == -1 && i >= shift) sizes[i] = shape()[i - shift];
    if (sizes[i] < 0) fail("expand: ", *this, " does not expand to ", target);
  }
  return apply(expand_op, {*this}, {sizes});
}

}  // namespace tallow
