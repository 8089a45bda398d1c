// Sequences of numbers, and grids of them.
#include <cmath>

#include "ops/creation/fill.h"
#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// Writes f(i) to every element, computed in T.
template <class T, class F>
void generate(const Tensor& out, const F& f) {
  parallel_for(out.numel(), 16 * kChunk, [&](int64_t begin, int64_t end, int) {
    T values[kChunk];
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t n = std::min(kChunk, end - i);
      for (int64_t j = 0; j < n; ++j) values[j] = f(i + j);
      write_elements(out, i, n, values);
    }
  });
}

void check_dtype(const char* op, DType dtype, bool complex_too) {
  if (is_block(dtype)) fail(op, ": ", dtype, " is a block dtype; make f32 and convert");
  if (dtype == DType::boolean) fail(op, ": bool cannot hold a sequence; choose an integer dtype");
  if (is_complex(dtype) && !complex_too) fail(op, ": ", dtype, " has no order");
}

DType range_dtype(const Scalar& a, const Scalar& b, const Scalar& c) {
  const bool integers = a.is_integer() && b.is_integer() && c.is_integer();
  return integers ? DType::i64 : default_dtype();
}

int64_t steps_between(const char* op, const Scalar& start, const Scalar& end, const Scalar& step,
                      DType dtype, bool inclusive) {
  for (const Scalar* s : {&start, &end, &step}) {
    if (s->is_complex()) fail(op, ": ", to_string(*s), " is complex");
    if (!std::isfinite(s->real())) fail(op, ": ", s->real(), " is not finite");
  }
  const bool whole = dtype == DType::i64;
  const double by = whole ? static_cast<double>(step.integer()) : step.real();
  if (by == 0) fail(op, ": step is 0");
  if ((by > 0 && start.real() > end.real()) || (by < 0 && start.real() < end.real())) {
    fail(op, ": from ", start.real(), " to ", end.real(), " does not go with step ", by);
  }
  if (whole) {
    // In unsigned arithmetic: the distance may be more than 2^63.
    const uint64_t a = static_cast<uint64_t>(start.integer());
    const uint64_t b = static_cast<uint64_t>(end.integer());
    const uint64_t distance = step.integer() > 0 ? b - a : a - b;
    const uint64_t stride = step.integer() > 0 ? static_cast<uint64_t>(step.integer())
                                               : 0 - static_cast<uint64_t>(step.integer());
    const uint64_t n =
        inclusive ? distance / stride + 1 : distance / stride + (distance % stride != 0);
    if (n > INT64_MAX) fail(op, ": ", n, " elements are too many");
    return static_cast<int64_t>(n);
  }
  const double exact = (end.real() - start.real()) / step.real();
  const double n = inclusive ? std::floor(exact) + 1 : std::ceil(exact);
  if (!(n < 9.2e18)) fail(op, ": ", n, " elements are too many");
  return static_cast<int64_t>(n);
}

Tensor sequence(const char* op, const Scalar& start, const Scalar& end, const Scalar& step,
                std::optional<DType> dtype, Device device, bool inclusive) {
  const DType type = dtype.value_or(inclusive ? default_dtype() : range_dtype(start, end, step));
  check_dtype(op, type, false);
  const int64_t n = steps_between(op, start, end, step, type, inclusive);
  const Tensor out = Tensor::empty({n}, type, device);
  if (is_integral(type)) {
    const int64_t first = start.integer(), by = step.integer();
    generate<int64_t>(out, [=](int64_t i) { return first + i * by; });
  } else {
    const double first = start.real(), by = step.real();
    generate<double>(out, [=](int64_t i) { return first + static_cast<double>(i) * by; });
  }
  return out;
}

Scalar bound(const char* op, const char* name, const Tensor& t) {
  if (t.dim() != 0) fail(op, ": ", name, " is ", t, "; it must be a number or 0-dimensional");
  return scalar_of(t);
}

// From both ends towards the middle, so that the last value is exact.
template <class T, class F>
void spaced(const Tensor& out, T start, T end, const F& f) {
  const int64_t n = out.numel();
  const T step = n > 1 ? (end - start) / static_cast<T>(static_cast<double>(n - 1)) : T(0);
  generate<T>(out, [=](int64_t i) {
    return f(i < n / 2 || n == 1 ? start + step * T(static_cast<double>(i))
                                 : end - step * T(static_cast<double>(n - 1 - i)));
  });
}

template <class F>
Tensor spaced_tensor(const char* op, const Tensor& start, const Tensor& end, int64_t steps,
                     std::optional<DType> dtype, Device device, const F& f) {
  const Scalar a = bound(op, "start", start), b = bound(op, "end", end);
  DType inferred = default_dtype();
  if (a.is_complex() || b.is_complex()) inferred = to_complex(inferred);
  const DType type = dtype.value_or(inferred);
  if (is_block(type)) check_dtype(op, type, true);
  if ((a.is_complex() || b.is_complex()) && !is_complex(type)) {
    fail(op, ": complex bounds do not go with ", type);
  }
  if (steps < 0) fail(op, ": steps ", steps, " is negative");
  const Tensor out = Tensor::empty({steps}, type, device);
  if (is_complex(type)) {
    spaced<Complex>(out, a.complex(), b.complex(), f);
  } else if (is_integral(type)) {
    // Truncated bounds, and values truncated from f64.
    spaced<double>(out, static_cast<double>(a.integer()), static_cast<double>(b.integer()), f);
  } else {
    spaced<double>(out, a.real(), b.real(), f);
  }
  return out;
}

// Row and column numbers of a triangle.
Tensor triangle_indices(const char* op, int64_t row, int64_t col, std::optional<DType> dtype,
                        Device device, int64_t offset, bool upper) {
  if (row < 0 || col < 0) fail(op, ": a matrix of ", row, " by ", col, " has a negative size");
  const DType type = dtype.value_or(DType::i64);
  if (type != DType::i64 && type != DType::i32) fail(op, ": ", type, " is neither i64 nor i32");
  const int64_t area = Shape({row, col}).numel();
  const auto bounds = [&](int64_t r) {
    int64_t edge = 0;
    if (__builtin_add_overflow(r + (upper ? 0 : 1), offset, &edge)) edge = offset > 0 ? col : 0;
    edge = std::clamp<int64_t>(edge, 0, col);
    return upper ? std::pair(edge, col) : std::pair<int64_t, int64_t>(0, edge);
  };
  int64_t count = 0;
  for (int64_t r = 0; r < row && area > 0; ++r) count += bounds(r).second - bounds(r).first;
  const Tensor out = Tensor::empty({2, count}, DType::i64, device);
  int64_t *rows = out.data<int64_t>(), *columns = rows + count;
  for (int64_t r = 0; r < row && count > 0; ++r) {
    for (int64_t c = bounds(r).first; c < bounds(r).second; ++c) *rows++ = r, *columns++ = c;
  }
  return out.to(type);
}

}  // namespace

Tensor arange(const Scalar& end, std::optional<DType> dtype, Device device) {
  return sequence("arange", 0, end, 1, dtype, device, false);
}
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step,
              std::optional<DType> dtype, Device device) {
  return sequence("arange", start, end, step, dtype, device, false);
}
Tensor range(const Scalar& start, const Scalar& end, const Scalar& step, std::optional<DType> dtype,
             Device device) {
  return sequence("range", start, end, step, dtype, device, true);
}

Tensor linspace(const Tensor& start, const Tensor& end, int64_t steps, std::optional<DType> dtype,
                Device device) {
  return spaced_tensor("linspace", start, end, steps, dtype, device, [](auto v) { return v; });
}

Tensor logspace(const Tensor& start, const Tensor& end, int64_t steps, double base,
                std::optional<DType> dtype, Device device) {
  return spaced_tensor("logspace", start, end, steps, dtype, device, [base](auto v) {
    return static_cast<decltype(v)>(std::pow(static_cast<decltype(v)>(base), v));
  });
}

Tensor eye(int64_t n, std::optional<int64_t> m, std::optional<DType> dtype, Device device) {
  const int64_t columns = m.value_or(n);
  if (n < 0 || columns < 0) fail("eye: a matrix of ", n, " by ", columns, " has a negative size");
  const Tensor out = zeros({n, columns}, dtype, device);
  Tensor diagonal = tallow::diagonal(out);
  diagonal.copy_(ones({}, out.dtype(), device));
  return out;
}

Tensor tril_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    Device device) {
  return triangle_indices("tril_indices", row, col, dtype, device, offset, false);
}
Tensor triu_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    Device device) {
  return triangle_indices("triu_indices", row, col, dtype, device, offset, true);
}

}  // namespace tallow
