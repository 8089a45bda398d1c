// Typed access to strided elements, and PyTorch's promotion rule.
#include "ops/elements.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// f(S{}) with the C++ type of a dtype that C++ has; false for the others (f16, bf16, f8).
template <class F>
bool with_native_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f64: return f(double{}), true;
    case DType::f32: return f(float{}), true;
    case DType::i8: return f(int8_t{}), true;
    case DType::i16: return f(int16_t{}), true;
    case DType::i32: return f(int32_t{}), true;
    case DType::i64: return f(int64_t{}), true;
    case DType::u8: return f(uint8_t{}), true;
    case DType::u16: return f(uint16_t{}), true;
    case DType::u32: return f(uint32_t{}), true;
    case DType::u64: return f(uint64_t{}), true;
    case DType::boolean: return f(bool{}), true;
    default: return false;
  }
}

// A cast without undefined behaviour: a real value that the integer cannot hold becomes its lowest.
template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    bool fits = v >= static_cast<From>(-9.2233720368547758e18) &&
                v < static_cast<From>(9.2233720368547758e18);
    return static_cast<To>(fits ? static_cast<int64_t>(v) : INT64_MIN);
  } else {
    return static_cast<To>(v);
  }
}

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  return DType::i64;
}

// n elements at `source`, `stride` elements apart.
template <class T>
void load(DType dtype, const std::byte* source, int64_t stride, int64_t n, T* out) {
  bool native = with_native_type(dtype, [&]<class S>(S) {
    const S* from = reinterpret_cast<const S*>(source);
    for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(from[i * stride]);
  });
  if (native) return;
  const DTypeInfo& row = info(dtype);
  std::byte packed[2 * 64];
  float values[64];
  for (int64_t done = 0; done < n; done += 64) {
    int64_t count = std::min<int64_t>(64, n - done);
    const std::byte* from = source + done * stride * row.bytes;
    if (stride != 1) {
      for (int64_t i = 0; i < count; ++i) {
        std::memcpy(packed + i * row.bytes, from + i * stride * row.bytes, row.bytes);
      }
      from = packed;
    }
    row.to_f32(from, values, count);
    for (int64_t i = 0; i < count; ++i) out[done + i] = convert<T>(values[i]);
  }
}

int category(DType dtype) {
  if (is_real(dtype)) return 2;
  return dtype == DType::boolean ? 0 : 1;
}

DType promote_same_category(DType a, DType b) {
  if (a == b) return a;
  const DTypeInfo &x = info(a), &y = info(b);
  if (category(a) == 2) {
    if (x.bytes == y.bytes) return DType::f32;  // f16 with bf16
    return x.bytes > y.bytes ? a : b;
  }
  auto is_unsigned = [](DType d) { return d >= DType::u8 && d <= DType::u64; };
  if (is_unsigned(a) == is_unsigned(b)) return x.bytes > y.bytes ? a : b;
  const DTypeInfo& u = is_unsigned(a) ? x : y;
  const DTypeInfo& s = is_unsigned(a) ? y : x;
  if (s.bytes > u.bytes) return s.dtype;
  switch (u.bytes) {
    case 1: return DType::i16;
    case 2: return DType::i32;
    default: return DType::i64;
  }
}

}  // namespace

ComputeType compute_type(DType dtype) {
  if (dtype == DType::f64) return ComputeType::f64;
  return is_real(dtype) || is_block(dtype) ? ComputeType::f32 : ComputeType::i64;
}

Shape broadcast_strides(const Tensor& x, const Shape& shape) {
  Shape strides = Shape::filled(shape.size(), 0);
  int shift = shape.size() - x.dim();
  for (int i = 0; i < x.dim(); ++i) {
    if (x.shape()[i] != 1) strides[i + shift] = x.strides()[i];
  }
  return strides;
}

template <class T>
ElementReader<T>::ElementReader(const Tensor& x, const Shape& shape)
    : base_(static_cast<const std::byte*>(x.raw())),
      dtype_(x.dtype()),
      shape_(shape),
      strides_(broadcast_strides(x, shape)),
      direct_(x.dtype() == dtype_of<T>() && x.is_contiguous() && x.shape() == shape) {
  // Neighbouring dimensions that one stride walks become one.
  for (int i = shape_.size() - 2; i >= 0; --i) {
    if (strides_[i] != strides_[i + 1] * shape_[i + 1] && shape_[i] != 1) continue;
    if (shape_[i] == 1) {
      shape_.erase(i);
      strides_.erase(i);
    } else {
      shape_[i] *= shape_[i + 1];
      strides_[i] = strides_[i + 1];
      shape_.erase(i + 1);
      strides_.erase(i + 1);
    }
  }
}

template <class T>
const T* ElementReader<T>::read(int64_t begin, int64_t n, T* scratch) const {
  if (direct_) return reinterpret_cast<const T*>(base_) + begin;
  int64_t bytes = info(dtype_).bytes;
  if (shape_.empty()) {
    load(dtype_, base_, 0, n, scratch);
    return scratch;
  }
  int last = shape_.size() - 1;
  for (int64_t done = 0; done < n;) {
    int64_t index = begin + done, offset = 0;
    int64_t column = index % shape_[last];
    index /= shape_[last];
    for (int i = last - 1; i >= 0; --i) {
      offset += index % shape_[i] * strides_[i];
      index /= shape_[i];
    }
    int64_t count = std::min(n - done, shape_[last] - column);
    offset += column * strides_[last];
    load(dtype_, base_ + offset * bytes, strides_[last], count, scratch + done);
    done += count;
  }
  return scratch;
}

template <class T>
void write_elements(const Tensor& x, int64_t begin, int64_t n, const T* values) {
  std::byte* target = static_cast<std::byte*>(x.raw()) + begin * info(x.dtype()).bytes;
  if (reinterpret_cast<const std::byte*>(values) == target) return;
  bool native = with_native_type(x.dtype(), [&]<class S>(S) {
    S* out = reinterpret_cast<S*>(target);
    for (int64_t i = 0; i < n; ++i) out[i] = convert<S>(values[i]);
  });
  if (native) return;
  const DTypeInfo& row = info(x.dtype());
  float chunk[64];
  for (int64_t done = 0; done < n; done += 64) {
    int64_t count = std::min<int64_t>(64, n - done);
    for (int64_t i = 0; i < count; ++i) chunk[i] = static_cast<float>(values[done + i]);
    row.from_f32(chunk, target + done * row.bytes, count);
  }
}

template <class T>
T* element_target(const Tensor& x, int64_t begin, T* scratch) {
  return x.dtype() == dtype_of<T>() ? static_cast<T*>(x.raw()) + begin : scratch;
}

#define INSTANTIATE(T)                                                     \
  template class ElementReader<T>;                                         \
  template void write_elements(const Tensor&, int64_t, int64_t, const T*); \
  template T* element_target(const Tensor&, int64_t, T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
#undef INSTANTIATE

DType promote(const Tensor& a, const Tensor& b, const char* op) {
  for (const Tensor* t : {&a, &b}) {
    if (is_block(t->dtype())) fail(op, ": ", t->dtype(), " is a block dtype; call .to(f32) first");
  }
  int x = category(a.dtype()), y = category(b.dtype());
  // A 0-dimensional tensor counts only when it is of a higher category.
  if (a.dim() == 0 && b.dim() != 0 && x <= y) return b.dtype();
  if (b.dim() == 0 && a.dim() != 0 && y <= x) return a.dtype();
  if (x != y) return x > y ? a.dtype() : b.dtype();
  return promote_same_category(a.dtype(), b.dtype());
}

Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  std::vector<int64_t> dims;
  int shift = g.dim() - shape.size();
  for (int i = 0; i < g.dim(); ++i) {
    if (i < shift || (shape[i - shift] == 1 && g.shape()[i] != 1)) dims.push_back(i);
  }
  return sum(g, dims, true).reshape(shape);
}

}  // namespace tallow
