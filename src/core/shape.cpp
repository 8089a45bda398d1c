// Shapes, strides and the broadcasting rule.
#include "tallow/shape.h"

#include "tallow/error.h"

namespace tallow {

Shape::Shape(std::span<const int64_t> dims) {
  if (dims.size() > kMaxDims) {
    fail("shape: ", dims.size(), " dimensions; at most ", kMaxDims, " are supported");
  }
  for (int64_t dim : dims) dims_[count_++] = dim;
}

Shape Shape::filled(int count, int64_t value) {
  Shape shape;
  for (int i = 0; i < count; ++i) shape.push_back(value);
  return shape;
}

void Shape::push_back(int64_t dim) { insert(count_, dim); }

void Shape::insert(int at, int64_t dim) {
  if (count_ == kMaxDims) fail("shape: more than ", kMaxDims, " dimensions");
  std::copy_backward(dims_ + at, dims_ + count_, dims_ + count_ + 1);
  dims_[at] = dim;
  ++count_;
}

void Shape::erase(int at) {
  std::copy(dims_ + at + 1, dims_ + count_, dims_ + at);
  --count_;
}

int64_t Shape::numel() const {
  int64_t n = 1;
  bool overflow = false;
  for (int64_t dim : *this) {
    if (dim < 0) fail("shape: negative size in ", to_string(*this));
    if (dim == 0) return 0;
    overflow |= __builtin_mul_overflow(n, dim, &n);
  }
  if (overflow) fail("shape: ", to_string(*this), " has more than 2^63 elements");
  return n;
}

std::string to_string(const Shape& shape) {
  std::string s = "[";
  for (int i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t stride = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    strides[i] = stride;
    // A shape this large has no storage: counting its bytes throws.
    if (__builtin_mul_overflow(stride, std::max<int64_t>(shape[i], 1), &stride)) stride = INT64_MAX;
  }
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* what) {
  Shape out = Shape::filled(std::max(a.size(), b.size()), 1);
  for (int i = 1; i <= out.size(); ++i) {
    int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1) {
      fail(what, ": shapes ", to_string(a), " and ", to_string(b), " do not broadcast: sizes ", x,
           " and ", y, " differ and neither is 1");
    }
    out[out.size() - i] = x == 1 ? y : x;
  }
  return out;
}

int normalize_dim(int64_t dim, int dims, const char* what) {
  int64_t rank = std::max(dims, 1);
  if (dim < -rank || dim >= rank) {
    fail_index(what, ": dimension ", dim, " is out of range for ", dims, " dimensions");
  }
  return static_cast<int>(dim < 0 ? dim + rank : dim);
}

uint32_t dim_bits(std::span<const int64_t> dims, int count, const char* what) {
  uint32_t bits = 0;
  for (int64_t d : dims) {
    const uint32_t bit = 1u << normalize_dim(d, count, what);
    if (bits & bit) fail(what, ": dimension ", d, " is named twice");
    bits |= bit;
  }
  return count == 0 ? 0 : bits;
}

}  // namespace tallow
