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
    case DType::c64: return f(std::complex<float>{}), true;
    case DType::c128: return f(std::complex<double>{}), true;
    default: return false;
  }
}

template <class T>
constexpr bool kIsComplex =
    std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;

// A cast without undefined behaviour: a real value that the integer cannot hold becomes its lowest.
template <class To, class From>
To convert(From v) {
  if constexpr (kIsComplex<From> && kIsComplex<To>) {
    return To(v);
  } else if constexpr (kIsComplex<From> && std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (kIsComplex<From>) {
    return convert<To>(v.real());
  } else if constexpr (kIsComplex<To>) {
    return To(static_cast<typename To::value_type>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
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
  if constexpr (std::is_same_v<T, Complex>) return DType::c128;
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

enum Category { kBoolean, kInteger, kReal, kComplex };

Category category(DType dtype) {
  switch (info(dtype).kind) {
    case DTypeKind::boolean: return kBoolean;
    case DTypeKind::integer: return kInteger;
    case DTypeKind::complex: return kComplex;
    default: return kReal;
  }
}

DType promote_same_category(DType a, DType b) {
  if (a == b) return a;
  const DTypeInfo &x = info(a), &y = info(b);
  if (category(a) == kComplex) return DType::c128;
  if (category(a) == kReal) {
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
  if (is_complex(dtype)) return ComputeType::c128;
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
    for (int64_t i = 0; i < count; ++i) chunk[i] = convert<float>(values[done + i]);
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
INSTANTIATE(Complex)
#undef INSTANTIATE

DType promote_types(DType a, DType b) {
  Category x = category(a), y = category(b);
  if (x == y) return promote_same_category(a, b);
  if (y > x) std::swap(a, b);
  if (std::max(x, y) == kComplex && std::min(x, y) == kReal) return promote_types(a, to_complex(b));
  return a;
}

DType promote(Inputs tensors, const char* op) {
  // Of tensors with dimensions, of 0-dimensional ones, of plain numbers.
  std::optional<DType> results[3];
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    check_not_block(op, t);
    DType dtype = t.dtype();
    if (t.is_number() && is_real(dtype)) dtype = default_dtype();
    if (t.is_number() && is_complex(dtype)) dtype = to_complex(default_dtype());
    auto& result = results[t.dim() > 0 ? 0 : t.is_number() ? 2 : 1];
    result = result ? promote_types(*result, dtype) : dtype;
  }
  std::optional<DType> all;
  for (int i = 2; i >= 0; --i) {
    const auto& higher = results[i];
    if (!higher) continue;
    if (!all || category(*higher) >= category(*all)) {
      all = higher;
    } else if (category(*higher) == kReal) {  // with complex numbers of lower priority
      all = to_complex(*higher);
    } else if (category(*higher) == kBoolean || category(*all) > kInteger) {
      all = promote_types(*higher, *all);
    } else {
      all = higher;
    }
  }
  return *all;
}

DType promote(const Tensor& a, const Tensor& b, const char* op) {
  if (a.dtype() == b.dtype() && !a.is_number()) {
    check_not_block(op, a);
    return a.dtype();
  }
  const Tensor both[] = {a, b};
  return promote(both, op);
}

void check_not_block(const char* op, const Tensor& x) {
  if (is_block(x.dtype())) fail(op, ": ", x, " is of a block dtype; call .to(f32) first");
}

void check_not_complex(const char* op, const Tensor& x) {
  if (is_complex(x.dtype())) fail(op, ": ", x, " is complex, which has no order; use abs or real");
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
