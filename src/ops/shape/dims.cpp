// The order and the number of dimensions: composites of the views.
#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

template <class F>
Tensors each(const Tensors& tensors, const F& f) {
  Tensors result;
  for (const Tensor& t : tensors) result.push_back(f(t));
  return result;
}

}  // namespace

Tensor view_as(const Tensor& self, const Tensor& other) { return view(self, other.shape()); }
Tensor reshape_as(const Tensor& self, const Tensor& other) { return reshape(self, other.shape()); }

Tensor flatten(const Tensor& self, int64_t start_dim, int64_t end_dim) {
  const int n = self.dim();
  const int first = normalize_dim(start_dim, n, "flatten");
  const int last = normalize_dim(end_dim, n, "flatten");
  if (first > last) fail("flatten: start_dim ", start_dim, " is behind end_dim ", end_dim);
  if (n == 0) return reshape(self, {1});
  if (first == last) return self;
  Shape shape;
  int64_t size = 1;
  for (int i = 0; i < n; ++i) {
    if (i < first || i > last) shape.push_back(self.shape()[i]);
    if (i >= first && i <= last) size *= self.shape()[i];
    if (i == last) shape.push_back(size);
  }
  return reshape(self, shape);
}

Tensor ravel(const Tensor& self) { return reshape(contiguous(self), {self.numel()}); }

Tensor unflatten(const Tensor& self, int64_t dim, const Shape& sizes) {
  const int at = normalize_dim(dim, self.dim(), "unflatten");
  if (self.dim() == 0) fail_index("unflatten: a 0-dimensional tensor has no dimension to divide");
  if (sizes.empty()) fail("unflatten: no sizes");
  Shape parts = sizes;
  int64_t known = 1, unknown = -1;
  for (int i = 0; i < parts.size(); ++i) {
    if (parts[i] == -1 && unknown < 0) {
      unknown = i;
    } else if (parts[i] < 0 || __builtin_mul_overflow(known, parts[i], &known)) {
      fail("unflatten: sizes ", sizes, " do not make up dimension ", at, " of ", self);
    }
  }
  const int64_t size = self.shape()[at];
  if (unknown >= 0) parts[static_cast<int>(unknown)] = known > 0 ? size / known : 0;
  if (unknown >= 0 && known == 0 && size == 0) {
    fail("unflatten: -1 is ambiguous in ", sizes, " for a dimension of 0");
  }
  if (parts.numel() != size) {
    fail("unflatten: sizes ", sizes, " do not make up dimension ", at, " of ", self);
  }
  Shape shape = self.shape();
  shape.erase(at);
  for (int i = 0; i < parts.size(); ++i) shape.insert(at + i, parts[i]);
  return view(self, shape);
}

Tensor swapaxes(const Tensor& self, int64_t axis0, int64_t axis1) {
  return transpose(self, axis0, axis1);
}
Tensor swapdims(const Tensor& self, int64_t dim0, int64_t dim1) {
  return transpose(self, dim0, dim1);
}

Tensor t(const Tensor& self) {
  if (self.dim() > 2) fail("t: ", self, " has more than 2 dimensions; use transpose or permute");
  return self.dim() < 2 ? view(self, self.shape()) : transpose(self, 0, 1);
}

Tensor adjoint(const Tensor& self) {
  if (self.dim() < 2) fail("adjoint: ", self, " has fewer than 2 dimensions");
  const Tensor turned = transpose(self, -2, -1);
  return is_complex(self.dtype()) ? conj(turned) : turned;
}

Tensor movedim(const Tensor& self, const Dims& source, const Dims& destination) {
  const int n = self.dim();
  if (source.size() != destination.size()) {
    fail("movedim: ", source.size(), " dimensions in source and ", destination.size(),
         " in destination");
  }
  const uint32_t moved = dim_bits(source, n, "movedim");
  dim_bits(destination, n, "movedim");
  if (n == 0) return self;
  Shape order = Shape::filled(n, -1);
  for (int i = 0; i < source.size(); ++i) {
    order[normalize_dim(destination[i], n, "movedim")] = normalize_dim(source[i], n, "movedim");
  }
  for (int i = 0, next = 0; i < n; ++i) {
    if (order[i] >= 0) continue;
    while (moved >> next & 1) ++next;
    order[i] = next++;
  }
  return permute(self, order);
}
Tensor moveaxis(const Tensor& self, const Dims& source, const Dims& destination) {
  return movedim(self, source, destination);
}

Tensor expand_as(const Tensor& self, const Tensor& other) { return expand(self, other.shape()); }
Tensor broadcast_to(const Tensor& self, const Shape& size) { return expand(self, size); }

Tensors broadcast_tensors(const Tensors& tensors) {
  Shape shape;
  for (const Tensor& t : tensors) shape = broadcast_shapes(shape, t.shape(), "broadcast_tensors");
  return each(tensors, [&](const Tensor& t) { return expand(t, shape); });
}

Tensor atleast_1d(const Tensor& self) { return self.dim() == 0 ? reshape(self, {1}) : self; }
Tensor atleast_2d(const Tensor& self) {
  if (self.dim() == 0) return reshape(self, {1, 1});
  return self.dim() == 1 ? unsqueeze(self, 0) : self;
}
Tensor atleast_3d(const Tensor& self) {
  if (self.dim() == 0) return reshape(self, {1, 1, 1});
  if (self.dim() == 1) return unsqueeze(unsqueeze(self, 0), -1);
  return self.dim() == 2 ? unsqueeze(self, -1) : self;
}
Tensors atleast_1d(const Tensors& tensors) {
  return each(tensors, [](const Tensor& t) { return atleast_1d(t); });
}
Tensors atleast_2d(const Tensors& tensors) {
  return each(tensors, [](const Tensor& t) { return atleast_2d(t); });
}
Tensors atleast_3d(const Tensors& tensors) {
  return each(tensors, [](const Tensor& t) { return atleast_3d(t); });
}

Tensor rot90(const Tensor& self, int64_t k, const Dims& dims) {
  if (dims.size() != 2) fail("rot90: ", dims.size(), " dims; a plane has 2");
  if (self.dim() < 2) fail("rot90: ", self, " has fewer than 2 dimensions");
  const int a = normalize_dim(dims[0], self.dim(), "rot90");
  const int b = normalize_dim(dims[1], self.dim(), "rot90");
  if (a == b) fail("rot90: dims are both ", a);
  switch ((k % 4 + 4) % 4) {
    case 1: return transpose(flip(self, {b}), a, b);
    case 2: return flip(self, {a, b});
    case 3: return transpose(flip(self, {a}), a, b);
    default: return clone(self);
  }
}

Tensor pixel_shuffle(const Tensor& self, int64_t upscale_factor) {
  const int64_t r = upscale_factor;
  if (self.dim() < 3) fail("pixel_shuffle: ", self, " has fewer than 3 dimensions");
  if (r < 1) fail("pixel_shuffle: upscale_factor ", r, " is not positive");
  const int64_t channels = self.size(-3), h = self.size(-2), w = self.size(-1);
  int64_t square = 0;
  if (__builtin_mul_overflow(r, r, &square) || channels % square != 0) {
    fail("pixel_shuffle: ", channels, " channels are not a multiple of upscale_factor ", r,
         " squared");
  }
  Shape lead(std::span(self.shape().begin(), static_cast<size_t>(self.dim() - 3)));
  Shape split = lead, joined = lead;
  for (int64_t n : {channels / square, r, r, h, w}) split.push_back(n);
  for (int64_t n : {channels / square, h * r, w * r}) joined.push_back(n);
  Shape order;
  for (int i = 0; i < lead.size(); ++i) order.push_back(i);
  for (int i : {0, 3, 1, 4, 2}) order.push_back(lead.size() + i);
  return reshape(permute(reshape(self, split), order), joined);
}

Tensor pixel_unshuffle(const Tensor& self, int64_t downscale_factor) {
  const int64_t r = downscale_factor;
  if (self.dim() < 3) fail("pixel_unshuffle: ", self, " has fewer than 3 dimensions");
  if (r < 1) fail("pixel_unshuffle: downscale_factor ", r, " is not positive");
  const int64_t channels = self.size(-3), h = self.size(-2), w = self.size(-1);
  if (h % r != 0 || w % r != 0) {
    fail("pixel_unshuffle: height ", h, " or width ", w, " is not a multiple of downscale_factor ",
         r);
  }
  Shape lead(std::span(self.shape().begin(), static_cast<size_t>(self.dim() - 3)));
  Shape split = lead, joined = lead;
  for (int64_t n : {channels, h / r, r, w / r, r}) split.push_back(n);
  for (int64_t n : {channels * r * r, h / r, w / r}) joined.push_back(n);
  Shape order;
  for (int i = 0; i < lead.size(); ++i) order.push_back(i);
  for (int i : {0, 2, 4, 1, 3}) order.push_back(lead.size() + i);
  return reshape(permute(reshape(self, split), order), joined);
}

Tensor channel_shuffle(const Tensor& input, int64_t groups) {
  if (input.dim() < 3) fail("channel_shuffle: ", input, " has fewer than 3 dimensions");
  const int64_t channels = input.shape()[1];
  if (groups < 1 || channels % groups != 0) {
    fail("channel_shuffle: groups ", groups, " do not divide ", channels, " channels");
  }
  Shape split = input.shape();
  split[1] = groups;
  split.insert(2, channels / groups);
  return reshape(transpose(reshape(input, split), 1, 2), input.shape());
}

}  // namespace tallow
