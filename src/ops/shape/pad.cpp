// Padding: composites of joins, and of a value placed into a filled tensor.
#include "ops/elements.h"
#include "ops/shape/place.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// What is cut off where the padding is negative.
Tensor cropped(const Tensor& x, int dim, int64_t front, int64_t back) {
  const int64_t start = std::max<int64_t>(0, -front), end = std::max<int64_t>(0, -back);
  if (start == 0 && end == 0) return x;
  const int64_t n = x.shape()[dim];
  if (start > n - end)
    fail("pad: ", front, " and ", back, " take more than dimension ", dim, " of ", x);
  return narrow(x, dim, start, n - start - end);
}

void check_pad(const Tensor& x, const Dims& pad) {
  if (pad.size() % 2 != 0) fail("pad: ", pad.size(), " sizes; they come in pairs");
  if (pad.size() / 2 > x.dim()) {
    fail("pad: ", pad.size(), " sizes for the dimensions of ", x);
  }
}

Tensor mirrored(const Tensor& x, int dim, int64_t front, int64_t back) {
  const int64_t n = x.shape()[dim];
  if (front >= n || back >= n) {
    fail("pad: reflect by ", front, " and ", back, " needs a larger dimension ", dim, " of ", x);
  }
  Tensors parts;
  if (front > 0) parts.push_back(flip(narrow(x, dim, 1, front), dim));
  parts.push_back(x);
  if (back > 0) parts.push_back(flip(narrow(x, dim, n - 1 - back, back), dim));
  return cat(parts, dim);
}

Tensor replicated(const Tensor& x, int dim, int64_t front, int64_t back) {
  const int64_t n = x.shape()[dim];
  if (n == 0) fail("pad: replicate needs elements in dimension ", dim, " of ", x);
  Tensors parts;
  Shape shape = x.shape();
  shape[dim] = front;
  if (front > 0) parts.push_back(expand(narrow(x, dim, 0, 1), shape));
  parts.push_back(x);
  shape[dim] = back;
  if (back > 0) parts.push_back(expand(narrow(x, dim, n - 1, 1), shape));
  return cat(parts, dim);
}

Tensor wrapped(const Tensor& x, int dim, int64_t front, int64_t back) {
  const int64_t n = x.shape()[dim];
  if (front > n || back > n) {
    fail("pad: circular by ", front, " and ", back, " wraps dimension ", dim, " of ", x,
         " more than once");
  }
  Tensors parts;
  if (front > 0) parts.push_back(narrow(x, dim, n - front, front));
  parts.push_back(x);
  if (back > 0) parts.push_back(narrow(x, dim, 0, back));
  return cat(parts, dim);
}

using PadFunction = Tensor (*)(const Tensor&, int, int64_t, int64_t);

PadFunction padding_named(std::string_view mode) {
  if (mode == "reflect") return mirrored;
  if (mode == "replicate") return replicated;
  if (mode == "circular") return wrapped;
  fail("pad: mode \"", mode, "\" is none of constant, reflect, replicate, circular");
}

}  // namespace

Tensor constant_pad_nd(const Tensor& self, const Dims& pad, const Scalar& value) {
  check_pad(self, pad);
  check_not_block("pad", self);
  if (value.is_complex() && !is_complex(self.dtype())) {
    fail("pad: value is complex, which ", self.dtype(), " cannot hold");
  }
  Tensor x = self;
  Shape shape = self.shape(), front = Shape::filled(self.dim(), 0);
  for (int i = 0; i < pad.size() / 2; ++i) {
    const int d = self.dim() - 1 - i;
    x = cropped(x, d, pad[2 * i], pad[2 * i + 1]);
    front[d] = std::max<int64_t>(0, pad[2 * i]);
    shape[d] = x.shape()[d];
    if (__builtin_add_overflow(shape[d], front[d], &shape[d]) ||
        __builtin_add_overflow(shape[d], std::max<int64_t>(0, pad[2 * i + 1]), &shape[d])) {
      fail("pad: ", Shape(pad), " overflows");
    }
  }
  if (shape == x.shape()) return clone(x);
  Placement at{contiguous_strides(shape), 0};
  for (int i = 0; i < shape.size(); ++i) at.offset += front[i] * at.strides[i];
  if (x.numel() == 0) at.offset = 0;
  return place_in(shape, x, at, value);
}

Tensor pad(const Tensor& input, const Dims& pad, std::string_view mode,
           std::optional<double> value) {
  if (mode == "constant") return constant_pad_nd(input, pad, value.value_or(0));
  const PadFunction padding = padding_named(mode);
  check_pad(input, pad);
  if (value && *value != 0) fail("pad: mode \"", mode, "\" takes no value");
  const int spatial = pad.size() / 2;
  if (spatial < 1 || spatial > 3 || (input.dim() != spatial + 1 && input.dim() != spatial + 2)) {
    fail("pad: mode \"", mode, "\" with ", pad.size(), " sizes does not fit ", input,
         "; it pads the last 1 to 3 dimensions of those behind batch and channels");
  }
  Tensor x = input;
  for (int i = 0; i < spatial; ++i) {
    const int d = input.dim() - 1 - i;
    const int64_t front = pad[2 * i], back = pad[2 * i + 1];
    const bool wraps = mode == "circular";  // around what is left after cropping
    if (wraps) {
      x = padding(cropped(x, d, front, back), d, std::max<int64_t>(front, 0),
                  std::max<int64_t>(back, 0));
    } else {
      if (front > 0 || back > 0) x = padding(x, d, front, back);
      x = cropped(x, d, front, back);
    }
  }
  return x.buffer() == input.buffer() ? clone(x) : x;
}

}  // namespace tallow
