// The loops that the rows of the elementwise tables become. They are compiled with plain functions
// for every type (rows.h) and again for each instruction set (src/backend/cpu/isa): hence no
// inline function here is shared between files.
#pragma once

#include <cstdint>
#include <type_traits>

namespace tallow::elementwise {

/// out[i] = f(in[0][i], ...) for i in [0, n), where an input whose bit is set in `single` is one
/// element for all i. An output may be one of the inputs.
using Loop = void (*)(const void* const* in, void* out, int64_t n, unsigned single,
                      const double* p);

/// A row's loops by the type that they compute in; null where the row has none. The integers
/// narrower than i64 are read as i64 where they have no loop of their own.
struct Loops {
  Loop f32 = nullptr, f64 = nullptr, i64 = nullptr, c128 = nullptr;
  Loop i32 = nullptr, u8 = nullptr;
  bool light = false;  ///< a few instructions an element: memory is what they wait for
};

/// Which dtypes an op takes and gives.
struct Rule {
  bool reals, integers, booleans, complexes;
  bool integers_as_reals = false;  ///< integers and bools become the default dtype
  bool to_bool = false;
  bool to_real = false;  ///< complex numbers give real ones
  int numbers = 2;       ///< how many of two inputs may be plain numbers
};

/// The rules that the rows name.
namespace rules {
inline constexpr Rule any{true, true, true, true};
inline constexpr Rule number{true, true, false, true};   // no bool
inline constexpr Rule ordered{true, true, true, false};  // no complex
inline constexpr Rule ordered_number{true, true, false, false};
inline constexpr Rule fraction{true, false, false, true, true};
inline constexpr Rule real{.reals = true,
                           .integers = false,
                           .booleans = false,
                           .complexes = false,
                           .integers_as_reals = true,
                           .numbers = 1};
inline constexpr Rule floating{true, false, false, false};  // no integers either
inline constexpr Rule floating_complex{true, false, false, true};
inline constexpr Rule bits{false, true, true, false, false, false, false, 1};
inline constexpr Rule integer{false, true, false, false, false, false, false, 1};
inline constexpr Rule test{true, true, true, true, false, true};  // the result is bool
inline constexpr Rule order{true, true, true, false, false, true};
inline constexpr Rule magnitude{true, true, false, true, false, false, true};

constexpr Rule of_tensors(Rule rule) {
  rule.numbers = 0;
  return rule;
}
inline constexpr Rule ordered_tensors = of_tensors(ordered);
inline constexpr Rule real_tensors = of_tensors(real);
inline constexpr Rule integer_tensors = of_tensors(integer);
inline constexpr Rule test_tensors = of_tensors(test);
}  // namespace rules

namespace {

template <class F, class T, class R>
void unary_loop(const void* const* in, void* out, int64_t n, unsigned, const double* p) {
  const T* x = static_cast<const T*>(in[0]);
  R* y = static_cast<R*>(out);
  const T p0 = static_cast<T>(p[0]), p1 = static_cast<T>(p[1]), p2 = static_cast<T>(p[2]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(x[i], p0, p1, p2));
}

template <class F, class T, class R>
void binary_loop(const void* const* in, void* out, int64_t n, unsigned single, const double* p) {
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  R* y = static_cast<R*>(out);
  const T p0 = static_cast<T>(p[0]), p1 = static_cast<T>(p[1]), p2 = static_cast<T>(p[2]);
  if (single == 0) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(a[i], b[i], p0, p1, p2));
  } else if (single == 2) {
    const T one = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(a[i], one, p0, p1, p2));
  } else {
    const T one = *a;
    const int64_t step = single & 2 ? 0 : 1;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(one, b[i * step], p0, p1, p2));
  }
}

template <class F, class T, class R>
void ternary_loop(const void* const* in, void* out, int64_t n, unsigned single, const double* p) {
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]),
          *c = static_cast<const T*>(in[2]);
  R* y = static_cast<R*>(out);
  const T p0 = static_cast<T>(p[0]), p1 = static_cast<T>(p[1]), p2 = static_cast<T>(p[2]);
  if (single == 0) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(a[i], b[i], c[i], p0, p1, p2));
  } else if (single == 6) {
    const T one = *b, other = *c;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(F::apply(a[i], one, other, p0, p1, p2));
  } else {
    const int64_t i0 = ~single & 1, i1 = ~single >> 1 & 1, i2 = ~single >> 2 & 1;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      y[i] = static_cast<R>(F::apply(a[i * i0], b[i * i1], c[i * i2], p0, p1, p2));
    }
  }
}

/// The loop of a row of N inputs in the type T.
template <class F, int N, Rule rule, class T>
constexpr Loop loop_of() {
  using R = std::conditional_t<rule.to_bool, bool, T>;
  if constexpr (N == 1) return unary_loop<F, T, R>;
  if constexpr (N == 2) return binary_loop<F, T, R>;
  if constexpr (N == 3) return ternary_loop<F, T, R>;
}

}  // namespace
}  // namespace tallow::elementwise
