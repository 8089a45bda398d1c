// Typed access to strided elements, and PyTorch's promotion rule.
#include "ops/elements.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

constinit elementwise::ConvertTable elementwise::convert_loops{};

namespace {

elementwise::ConvertLoop fast_loop(DType from, DType to) {
  return elementwise::convert_loops[static_cast<int>(from)][static_cast<int>(to)];
}

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

// The type that holds every value of both dtypes on the way from one to the other.
ComputeType transit(DType from, DType to) {
  ComputeType a = compute_type(from), b = compute_type(to);
  if (a == b) return a;
  if (a == ComputeType::c128 || b == ComputeType::c128) return ComputeType::c128;
  if (a == ComputeType::f64 || b == ComputeType::f64) return ComputeType::f64;
  return ComputeType::f32;
}

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, Complex>) return DType::c128;
  return DType::i64;
}

// Calls f with the strides of every row that [begin, begin + n) touches: f(offset, first, count),
// in elements, `offset` being that of the row's element `first`.
template <class F>
void for_rows(const Shape& shape, const Shape& strides, int64_t begin, int64_t n, const F& f) {
  int last = shape.size() - 1;
  int64_t index[Shape::kMaxDims];
  int64_t rest = begin, offset = 0;
  for (int d = last; d >= 0; --d) {
    index[d] = rest % shape[d];
    rest /= shape[d];
    offset += index[d] * strides[d];
  }
  for (int64_t done = 0; done < n;) {
    int64_t count = std::min(n - done, shape[last] - index[last]);
    f(offset, count);
    done += count;
    index[last] += count;
    offset += count * strides[last];
    for (int d = last; d > 0 && index[d] == shape[d]; --d) {
      offset += strides[d - 1] - shape[d] * strides[d];
      index[d] = 0;
      ++index[d - 1];
    }
  }
}

template <class Bits>
void gather(const StridedElements& from, int64_t begin, int64_t n, void* target) {
  Bits* to = static_cast<Bits*>(target);
  const Bits* base = reinterpret_cast<const Bits*>(from.base);
  int64_t stride = from.strides.back();
  for_rows(from.shape, from.strides, begin, n, [&](int64_t offset, int64_t count) {
    const Bits* row = base + offset;
    if (stride == 1) {
      for (int64_t i = 0; i < count; ++i) to[i] = row[i];
    } else if (stride == 0) {
      for (int64_t i = 0; i < count; ++i) to[i] = *row;
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = row[i * stride];
    }
    to += count;
  });
}

constexpr bool is_compute_dtype(DType d) {
  return d == DType::f32 || d == DType::f64 || d == DType::i64 || d == DType::c128;
}

// n elements of any dtype as T.
template <class T>
void load(DType dtype, const void* source, int64_t n, T* out) {
  if (auto loop = fast_loop(dtype, dtype_of<T>())) return loop(source, out, n);
  bool native = with_native_type(dtype, [&]<class S>(S) {
    const S* from = static_cast<const S*>(source);
    for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(from[i]);
  });
  if (native) return;
  const DTypeInfo& row = info(dtype);
  if constexpr (std::is_same_v<T, float>) {
    row.to_f32(source, out, n);
  } else {
    float values[64];
    for (int64_t done = 0; done < n; done += 64) {
      int64_t count = std::min<int64_t>(64, n - done);
      row.to_f32(static_cast<const std::byte*>(source) + done * row.bytes, values, count);
      for (int64_t i = 0; i < count; ++i) out[done + i] = convert<T>(values[i]);
    }
  }
}

// n values as elements of any dtype.
template <class T>
void store(const T* values, DType dtype, void* target, int64_t n) {
  if (auto loop = fast_loop(dtype_of<T>(), dtype)) return loop(values, target, n);
  bool native = with_native_type(dtype, [&]<class S>(S) {
    S* out = static_cast<S*>(target);
    for (int64_t i = 0; i < n; ++i) out[i] = convert<S>(values[i]);
  });
  if (native) return;
  const DTypeInfo& row = info(dtype);
  if constexpr (std::is_same_v<T, float>) {
    row.from_f32(values, target, n);
  } else {
    float chunk[64];
    for (int64_t done = 0; done < n; done += 64) {
      int64_t count = std::min<int64_t>(64, n - done);
      for (int64_t i = 0; i < count; ++i) chunk[i] = convert<float>(values[done + i]);
      row.from_f32(chunk, static_cast<std::byte*>(target) + done * row.bytes, count);
    }
  }
}

// Calls f(T{}) for a dtype that values are computed in.
template <class F>
void with_compute_dtype(DType dtype, const F& f) {
  with_any_compute_type(compute_type(dtype), f);
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

void gather_elements(const StridedElements& from, int64_t begin, int64_t n, void* to) {
  if (from.shape.empty()) {
    std::memcpy(to, from.base, static_cast<size_t>(from.bytes));
    return;
  }
  switch (from.bytes) {
    case 1: return gather<uint8_t>(from, begin, n, to);
    case 2: return gather<uint16_t>(from, begin, n, to);
    case 4: return gather<uint32_t>(from, begin, n, to);
    case 8: return gather<uint64_t>(from, begin, n, to);
    default: return gather<Complex>(from, begin, n, to);
  }
}

void convert_elements(DType from, const void* source, DType to, void* target, int64_t n) {
  if (from == to) {
    std::memcpy(target, source, static_cast<size_t>(n * info(from).bytes));
  } else if (auto loop = fast_loop(from, to)) {
    loop(source, target, n);
  } else if (is_compute_dtype(to)) {
    with_compute_dtype(to, [&]<class T>(T) { load(from, source, n, static_cast<T*>(target)); });
  } else if (is_compute_dtype(from)) {
    with_compute_dtype(from,
                       [&]<class T>(T) { store(static_cast<const T*>(source), to, target, n); });
  } else {
    with_any_compute_type(transit(from, to), [&]<class T>(T) {
      T values[kChunk];
      auto* in = static_cast<const std::byte*>(source);
      auto* out = static_cast<std::byte*>(target);
      for (int64_t done = 0; done < n; done += kChunk) {
        int64_t count = std::min(kChunk, n - done);
        load(from, in + done * info(from).bytes, count, values);
        store(values, to, out + done * info(to).bytes, count);
      }
    });
  }
}

template <class T>
ElementReader<T>::ElementReader(const Tensor& x, const Shape& shape)
    : view_{static_cast<const std::byte*>(x.raw()), info(x.dtype()).bytes, shape,
            broadcast_strides(x, shape)},
      dtype_(x.dtype()),
      dense_(x.is_contiguous() && x.shape() == shape) {
  direct_ = dense_ && dtype_ == dtype_of<T>();
  // Neighbouring dimensions that one stride walks become one.
  auto& [base, bytes, sizes, strides] = view_;
  for (int i = sizes.size() - 2; i >= 0; --i) {
    if (strides[i] != strides[i + 1] * sizes[i + 1] && sizes[i] != 1) continue;
    if (sizes[i] == 1) {
      sizes.erase(i);
      strides.erase(i);
    } else {
      sizes[i] *= sizes[i + 1];
      strides[i] = strides[i + 1];
      sizes.erase(i + 1);
      strides.erase(i + 1);
    }
  }
}

template <class T>
const T* ElementReader<T>::read(int64_t begin, int64_t n, T* scratch) const {
  if (n == 0) return scratch;
  if (direct_) return reinterpret_cast<const T*>(view_.base) + begin;
  if (dense_) {
    load(dtype_, view_.base + begin * view_.bytes, n, scratch);
  } else if (dtype_ == dtype_of<T>()) {
    gather_elements(view_, begin, n, scratch);
  } else {
    Complex packed[kChunk];  // as many bytes as any element has
    for (int64_t done = 0; done < n; done += kChunk) {
      int64_t count = std::min(kChunk, n - done);
      gather_elements(view_, begin + done, count, packed);
      load(dtype_, packed, count, scratch + done);
    }
  }
  return scratch;
}

template <class T>
void write_elements(const Tensor& x, int64_t begin, int64_t n, const T* values) {
  std::byte* target = static_cast<std::byte*>(x.raw()) + begin * info(x.dtype()).bytes;
  if (reinterpret_cast<const std::byte*>(values) != target) store(values, x.dtype(), target, n);
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
