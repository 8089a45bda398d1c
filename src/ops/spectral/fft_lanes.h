// Fourier transforms of as many lines at once as a vector has lanes. Compiled once per instruction
// set; everything has internal linkage.
#pragma once

#include <utility>

#include "ops/spectral/fft_plan.h"

#define TALLOW_FFT_INLINE inline __attribute__((always_inline))

namespace {

using tallow::spectral::Group;
using tallow::spectral::Stage;

#if defined(TALLOW_ISA_LEVEL) && TALLOW_ISA_LEVEL >= 2
constexpr int kVectorBytes = 64;
#elif defined(TALLOW_ISA_LEVEL) && TALLOW_ISA_LEVEL == 1
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = float __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  using type = double __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
constexpr int kWidth = kVectorBytes / sizeof(T);

template <class T>
TALLOW_FFT_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
TALLOW_FFT_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

/// A complex number in each lane.
template <class T>
struct Complexes {
  Vec<T> re, im;
};
template <class T>
TALLOW_FFT_INLINE Complexes<T> load_pair(const T* p) {
  return {load(p), load(p + kWidth<T>)};
}
template <class T>
TALLOW_FFT_INLINE void store_pair(T* p, const Complexes<T>& z) {
  store(p, z.re);
  store(p + kWidth<T>, z.im);
}
template <class T>
TALLOW_FFT_INLINE Complexes<T> operator+(const Complexes<T>& a, const Complexes<T>& b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
TALLOW_FFT_INLINE Complexes<T> operator-(const Complexes<T>& a, const Complexes<T>& b) {
  return {a.re - b.re, a.im - b.im};
}
template <class T>
TALLOW_FFT_INLINE Complexes<T> operator*(const Complexes<T>& a, T s) {
  return {a.re * s, a.im * s};
}
/// z * (c + i s)
template <class T>
TALLOW_FFT_INLINE Complexes<T> times(const Complexes<T>& z, T c, T s) {
  return {z.re * c - z.im * s, z.re * s + z.im * c};
}
/// -i z
template <class T>
TALLOW_FFT_INLINE Complexes<T> turned(const Complexes<T>& z) {
  return {z.im, -z.re};
}

/// The transform of R elements, in place.
template <int R, class T>
TALLOW_FFT_INLINE void butterfly(Complexes<T>* x) {
  if constexpr (R == 2) {
    const auto a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  } else if constexpr (R == 3) {
    const auto sum = x[1] + x[2], turn = turned((x[1] - x[2]) * T(0.86602540378443864676));
    const auto mid = x[0] - sum * T(0.5);
    x[0] = x[0] + sum;
    x[1] = mid + turn;
    x[2] = mid - turn;
  } else if constexpr (R == 4) {
    const auto a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = turned(x[1] - x[3]);
    x[0] = a + c;
    x[1] = b + d;
    x[2] = a - c;
    x[3] = b - d;
  } else if constexpr (R == 5) {
    constexpr T c1 = T(0.30901699437494742410), c2 = T(-0.80901699437494742410);
    constexpr T s1 = T(0.95105651629515357212), s2 = T(0.58778525229247312917);
    const auto a = x[1] + x[4], b = x[2] + x[3], c = x[1] - x[4], d = x[2] - x[3];
    const auto m1 = x[0] + a * c1 + b * c2, m2 = x[0] + a * c2 + b * c1;
    const auto n1 = turned(c * s1 + d * s2), n2 = turned(c * s2 - d * s1);
    x[0] = x[0] + a + b;
    x[1] = m1 + n1;
    x[2] = m2 + n2;
    x[3] = m2 - n2;
    x[4] = m1 - n1;
  } else {
    static_assert(R == 8);
    constexpr T half = T(0.70710678118654752440);
    Complexes<T> even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
    butterfly<4>(even);
    butterfly<4>(odd);
    odd[1] = Complexes<T>{odd[1].re + odd[1].im, odd[1].im - odd[1].re} * half;
    odd[2] = turned(odd[2]);
    odd[3] = Complexes<T>{odd[3].im - odd[3].re, -odd[3].re - odd[3].im} * half;
    for (int k = 0; k < 4; ++k) {
      x[k] = even[k] + odd[k];
      x[k + 4] = even[k] - odd[k];
    }
  }
}

template <int R, class T>
void run_stage(const Stage<T>& stage, const T* x, T* y) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int64_t m = stage.m, s = stage.s;
  const T* w = stage.twiddles;
  for (int64_t p = 0; p < m; ++p, w += 2 * (R - 1)) {
    for (int64_t q = 0; q < s; ++q) {
      Complexes<T> z[R];
      const T* from = x + (q + s * p) * pair;
      T* to = y + (q + s * R * p) * pair;
#pragma GCC unroll 8
      for (int j = 0; j < R; ++j) z[j] = load_pair(from + s * m * j * pair);
      butterfly<R>(z);
      store_pair(to, z[0]);
      if (p == 0) {
#pragma GCC unroll 8
        for (int k = 1; k < R; ++k) store_pair(to + s * k * pair, z[k]);
      } else {
#pragma GCC unroll 8
        for (int k = 1; k < R; ++k) {
          store_pair(to + s * k * pair, times(z[k], w[2 * k - 2], w[2 * k - 1]));
        }
      }
    }
  }
}

/// The same for any odd radix: sums and differences of opposite elements, then products with all
/// roots.
template <class T>
void run_odd_stage(const Stage<T>& stage, const T* x, T* y) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int r = stage.radix, half = (r - 1) / 2;
  const int64_t m = stage.m, s = stage.s;
  const T* w = stage.twiddles;
  for (int64_t p = 0; p < m; ++p, w += 2 * (r - 1)) {
    for (int64_t q = 0; q < s; ++q) {
      Complexes<T> sum[tallow::spectral::kMaxRadix], diff[tallow::spectral::kMaxRadix];
      const T* from = x + (q + s * p) * pair;
      T* to = y + (q + s * r * p) * pair;
      const Complexes<T> first = load_pair(from);
      Complexes<T> total = first;
      for (int j = 1; j <= half; ++j) {
        const auto a = load_pair(from + s * m * j * pair);
        const auto b = load_pair(from + s * m * (r - j) * pair);
        sum[j] = a + b;
        diff[j] = turned(a - b);
        total = total + sum[j];
      }
      store_pair(to, total);
      for (int k = 1; k <= half; ++k) {
        Complexes<T> even = first, odd{};
        for (int j = 1, at = k; j <= half; ++j) {
          even = even + sum[j] * stage.roots[2 * at];
          odd = odd - diff[j] * stage.roots[2 * at + 1];
          at += k;
          if (at >= r) at -= r;
        }
        const auto* wk = w + 2 * k - 2;
        const auto* wr = w + 2 * (r - k) - 2;
        store_pair(to + s * k * pair, times(even + odd, wk[0], wk[1]));
        store_pair(to + s * (r - k) * pair, times(even - odd, wr[0], wr[1]));
      }
    }
  }
}

/// One butterfly of a stage, whose results are multiplied with w [R - 1], if that is not null.
template <int R, class T>
void run_part(const T* from, int64_t from_step, T* to, int64_t to_step, const T* w) {
  Complexes<T> z[R];
#pragma GCC unroll 8
  for (int j = 0; j < R; ++j) z[j] = load_pair(from + j * from_step);
  butterfly<R>(z);
  store_pair(to, z[0]);
#pragma GCC unroll 8
  for (int k = 1; k < R; ++k) {
    store_pair(to + k * to_step, w ? times(z[k], w[2 * k - 2], w[2 * k - 1]) : z[k]);
  }
}
template <class T>
using Part = void (*)(const T* from, int64_t from_step, T* to, int64_t to_step, const T* w);
template <class T>
Part<T> part_of(int radix) {
  switch (radix) {
    case 2: return run_part<2, T>;
    case 3: return run_part<3, T>;
    case 4: return run_part<4, T>;
    case 5: return run_part<5, T>;
    case 8: return run_part<8, T>;
    default: return nullptr;
  }
}

/// Two stages at once, by way of what the L1 cache holds: lines past it are read half as often.
template <class T>
void run_two_stages(const Stage<T>& first, const Stage<T>& second, const T* x, T* y) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int64_t r1 = first.radix, r2 = second.radix, m1 = first.m, m2 = second.m, s = first.s;
  const Part<T> part1 = part_of<T>(first.radix), part2 = part_of<T>(second.radix);
  alignas(64) T between[64 * pair];  // [r1][r2]
  for (int64_t p2 = 0; p2 < m2; ++p2) {
    const T* w2 = p2 == 0 ? nullptr : second.twiddles + p2 * 2 * (r2 - 1);
    for (int64_t q = 0; q < s; ++q) {
      for (int64_t j = 0; j < r2; ++j) {
        const int64_t p = p2 + m2 * j;
        part1(x + (q + s * p) * pair, s * m1 * pair, between + j * pair, r2 * pair,
              p == 0 ? nullptr : first.twiddles + p * 2 * (r1 - 1));
      }
      for (int64_t k = 0; k < r1; ++k) {
        part2(between + k * r2 * pair, pair, y + (q + s * k + s * r1 * r2 * p2) * pair,
              s * r1 * pair, w2);
      }
    }
  }
}

/// Whether the stages at `stage` are better run by two.
template <class T>
bool are_two(const Stage<T>* stage, int left) {
  constexpr int64_t kNear = 32 << 10;  // bytes of lines that the L1 cache holds
  const int64_t n = stage->radix * stage->m * stage->s;
  return left > 1 && n * 2 * kVectorBytes > kNear && part_of<T>(stage[0].radix) &&
         part_of<T>(stage[1].radix);
}

/// Runs the stages back and forth between two buffers; returns the one with the result.
template <class T>
T* run_stages(const Stage<T>* stages, int count, T* a, T* b) {
  for (int i = 0; i < count; ++i) {
    const Stage<T>& stage = stages[i];
    if (are_two(&stage, count - i)) {
      run_two_stages(stage, stages[++i], a, b);
    } else {
      switch (stage.radix) {
        case 1: continue;
        case 2: run_stage<2>(stage, a, b); break;
        case 3: run_stage<3>(stage, a, b); break;
        case 4: run_stage<4>(stage, a, b); break;
        case 5: run_stage<5>(stage, a, b); break;
        case 8: run_stage<8>(stage, a, b); break;
        default: run_odd_stage(stage, a, b);
      }
    }
    T* held = a;
    a = b;
    b = held;
  }
  return a;
}

template <class T>
T* run_chirp(const tallow::spectral::Chirp<T>& c, T* a, T* b) {
  constexpr int64_t pair = 2 * kWidth<T>;
  for (int64_t j = 0; j < c.n; ++j) {
    store_pair(a + j * pair, times(load_pair(a + j * pair), c.chirp[2 * j], c.chirp[2 * j + 1]));
  }
  for (int64_t i = c.n * pair; i < c.padded * pair; ++i) a[i] = 0;
  T* z = run_stages(c.stages, c.stage_count, a, b);
  for (int64_t j = 0; j < c.padded; ++j) {  // exchanged, so that the next transform is the inverse
    const auto product = times(load_pair(z + j * pair), c.spectrum[2 * j], c.spectrum[2 * j + 1]);
    store_pair(z + j * pair, {product.im, product.re});
  }
  z = run_stages(c.stages, c.stage_count, z, z == a ? b : a);
  for (int64_t j = 0; j < c.n; ++j) {
    const auto v = load_pair(z + j * pair);
    const Complexes<T> back{v.im, v.re};
    store_pair(z + j * pair, times(back, c.chirp[2 * j], c.chirp[2 * j + 1]));
  }
  return z;
}

// Shuffles of two vectors a and b, seen as one of twice the length. A unit is a complex number.
enum class Shuffle { units_low, units_high, evens, odds, mixed_low, mixed_high };
template <Shuffle S, int W>
constexpr int picked(int e) {
  const int unit = e / 2, part = e % 2;
  switch (S) {
    case Shuffle::units_low: return unit % 2 * W + unit / 2 * 2 + part;
    case Shuffle::units_high: return unit % 2 * W + (W / 4 + unit / 2) * 2 + part;
    case Shuffle::evens: return 2 * e;
    case Shuffle::odds: return 2 * e + 1;
    case Shuffle::mixed_low: return part * W + unit;
    default: return part * W + W / 2 + unit;
  }
}
template <Shuffle S, class T, int... I>
TALLOW_FFT_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, picked<S, kWidth<T>>(I)...);
}
template <Shuffle S, class T>
TALLOW_FFT_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b) {
  return shuffle<S, T>(a, b, std::make_integer_sequence<int, kWidth<T>>());
}

/// Transposes a square of complex numbers.
template <class T>
TALLOW_FFT_INLINE void transpose(Vec<T>* v) {
  constexpr int h = kWidth<T> / 2;
#pragma GCC unroll 4
  for (int step = 1; step < h; step *= 2) {
    Vec<T> t[h];
#pragma GCC unroll 8
    for (int i = 0; i < h / 2; ++i) {
      t[2 * i] = shuffle<Shuffle::units_low, T>(v[i], v[i + h / 2]);
      t[2 * i + 1] = shuffle<Shuffle::units_high, T>(v[i], v[i + h / 2]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < h; ++i) v[i] = t[i];
  }
}

template <class T>
void load_elements(const Group<T>& g, T* re, T* im, int64_t begin, int64_t end) {
  constexpr int w = kWidth<T>;
  for (int64_t j = begin; j < end; ++j) {
    for (int l = 0; l < w; ++l) {
      const T* from = g.in[l] + j * g.in_stride;
      re[j * 2 * w + l] = *from;
      im[j * 2 * w + l] = g.in_imag ? from[g.in_imag] : T(0);
    }
  }
}

/// So many lines of memory are more than the hardware foresees.
template <class T>
constexpr int kAhead = 256 / sizeof(T);

template <class T>
void load_rows(const Group<T>& g, T* re, T* im) {
  constexpr int w = kWidth<T>, h = w / 2;
  const int64_t whole = g.in_count / h * h;
  for (int64_t j = 0; j < whole; j += h) {
    Vec<T> a[h], b[h];
#pragma GCC unroll 8
    for (int l = 0; l < h; ++l) {
      a[l] = load(g.in[l] + 2 * j);
      b[l] = load(g.in[h + l] + 2 * j);
      __builtin_prefetch(g.in[l] + 2 * j + kAhead<T>);
      __builtin_prefetch(g.in[h + l] + 2 * j + kAhead<T>);
    }
    transpose<T>(a);
    transpose<T>(b);
#pragma GCC unroll 8
    for (int u = 0; u < h; ++u) {
      store(re + (j + u) * 2 * w, shuffle<Shuffle::evens, T>(a[u], b[u]));
      store(im + (j + u) * 2 * w, shuffle<Shuffle::odds, T>(a[u], b[u]));
    }
  }
  load_elements(g, re, im, whole, g.in_count);
}

template <class T>
void load_lines(const Group<T>& g, T* buffer) {
  constexpr int w = kWidth<T>;
  T *re = buffer + (g.swap_in ? w : 0), *im = buffer + (g.swap_in ? 0 : w);
  if (g.in_columns && g.lines == w && g.in_imag == 1) {
    for (int64_t j = 0; j < g.in_count; ++j) {
      const T* from = g.in[0] + j * g.in_stride;
      const Vec<T> a = load(from), b = load(from + w);
      store(re + j * 2 * w, shuffle<Shuffle::evens, T>(a, b));
      store(im + j * 2 * w, shuffle<Shuffle::odds, T>(a, b));
    }
  } else if (g.in_imag == 1 && g.in_stride == 2) {
    load_rows(g, re, im);
  } else {
    load_elements(g, re, im, 0, g.in_count);
  }
}

template <class T>
void store_elements(const Group<T>& g, const T* re, const T* im, int64_t begin, int64_t end) {
  constexpr int w = kWidth<T>;
  for (int64_t j = begin; j < end; ++j) {
    for (int l = 0; l < g.lines; ++l) {
      T* to = g.out[l] + j * g.out_stride;
      *to = re[j * 2 * w + l] * g.scale;
      if (g.out_imag) to[g.out_imag] = im[j * 2 * w + l] * g.scale;
    }
  }
}

template <class T>
void store_rows(const Group<T>& g, const T* re, const T* im) {
  constexpr int w = kWidth<T>, h = w / 2;
  const int64_t whole = g.out_count / h * h;
  for (int64_t j = 0; j < whole; j += h) {
    Vec<T> a[h], b[h];
#pragma GCC unroll 8
    for (int u = 0; u < h; ++u) {
      const Vec<T> x = load(re + (j + u) * 2 * w) * g.scale;
      const Vec<T> y = load(im + (j + u) * 2 * w) * g.scale;
      a[u] = shuffle<Shuffle::mixed_low, T>(x, y);
      b[u] = shuffle<Shuffle::mixed_high, T>(x, y);
    }
    transpose<T>(a);
    transpose<T>(b);
#pragma GCC unroll 8
    for (int l = 0; l < h; ++l) {
      if (l < g.lines) store(g.out[l] + 2 * j, a[l]);
      if (h + l < g.lines) store(g.out[h + l] + 2 * j, b[l]);
      __builtin_prefetch(g.out[l] + 2 * j + kAhead<T>, 1);
      __builtin_prefetch(g.out[h + l] + 2 * j + kAhead<T>, 1);
    }
  }
  store_elements(g, re, im, whole, g.out_count);
}

template <class T>
void store_lines(const Group<T>& g, const T* buffer) {
  constexpr int w = kWidth<T>;
  const T *re = buffer + (g.swap_out ? w : 0), *im = buffer + (g.swap_out ? 0 : w);
  if (g.out_columns && g.lines == w && g.out_imag == 1) {
    for (int64_t j = 0; j < g.out_count; ++j) {
      const Vec<T> x = load(re + j * 2 * w) * g.scale, y = load(im + j * 2 * w) * g.scale;
      T* to = g.out[0] + j * g.out_stride;
      store(to, shuffle<Shuffle::mixed_low, T>(x, y));
      store(to + w, shuffle<Shuffle::mixed_high, T>(x, y));
    }
  } else if (g.out_imag == 1 && g.out_stride == 2) {
    store_rows(g, re, im);
  } else {
    store_elements(g, re, im, 0, g.out_count);
  }
}

template <class T>
void multiply_lanes(T* z, const T* w, int64_t n) {
  constexpr int64_t pair = 2 * kWidth<T>;
  for (int64_t i = 0; i < n * pair; i += pair) {
    const auto a = load_pair(z + i), b = load_pair(w + i);
    store_pair(z + i, {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re});
  }
}

/// Elements k and n - k of the half spectrum of 2n reals, from those of the packed transform.
template <class C, class T>
TALLOW_FFT_INLINE void real_pair(const C& a, const C& b, T wr, T wi, T conjugate, C& x, C& y) {
  const auto sum_re = (a.re + b.re) * T(0.5), sum_im = (a.im - b.im) * T(0.5);
  const auto diff_re = (a.re - b.re) * T(0.5), diff_im = (a.im + b.im) * T(0.5);
  const auto turn_re = diff_re * wi + diff_im * wr, turn_im = diff_im * wi - diff_re * wr;
  x = {sum_re + turn_re, (sum_im + turn_im) * conjugate};
  y = {sum_re - turn_re, (turn_im - sum_im) * conjugate};
}
/// The reverse, twice as large.
template <class C, class T>
TALLOW_FFT_INLINE void packed_pair(const C& x, const C& y, T wr, T wi, T conjugate, C& a, C& b) {
  const auto x_im = x.im * conjugate, y_im = y.im * conjugate;
  const auto sum_re = x.re + y.re, sum_im = x_im - y_im;
  const auto diff_re = x.re - y.re, diff_im = x_im + y_im;
  const auto turn_re = diff_re * wi - diff_im * wr, turn_im = diff_re * wr + diff_im * wi;
  a = {sum_re + turn_re, sum_im + turn_im};
  b = {sum_re - turn_re, turn_im - sum_im};
}

template <class T>
void real_forward_lanes(const Group<T>& g, T* z) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int64_t n = g.n;
  const auto first = load_pair(z);
  for (int64_t k = 1; k <= n / 2; ++k) {
    Complexes<T> x, y;
    real_pair(load_pair(z + k * pair), load_pair(z + (n - k) * pair), g.real_roots[2 * k],
              g.real_roots[2 * k + 1], g.conjugate, x, y);
    store_pair(z + k * pair, x);
    store_pair(z + (n - k) * pair, y);
  }
  store_pair(z, {first.re + first.im, Vec<T>{}});
  store_pair(z + n * pair, {first.re - first.im, Vec<T>{}});
}

/// The result is exchanged, for the inverse transform.
template <class T>
void real_inverse_lanes(const Group<T>& g, T* z) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int64_t n = g.n;
  const Vec<T> first = load(z), last = load(z + n * pair);
  for (int64_t k = 1; k <= n / 2; ++k) {
    Complexes<T> a, b;
    packed_pair(load_pair(z + k * pair), load_pair(z + (n - k) * pair), g.real_roots[2 * k],
                g.real_roots[2 * k + 1], g.conjugate, a, b);
    store_pair(z + k * pair, {a.im, a.re});
    store_pair(z + (n - k) * pair, {b.im, b.re});
  }
  store_pair(z, {first - last, first + last});
}

/// Fills elements n / 2 + 1 .. n with the mirrored conjugates, and exchanges all.
template <class T>
void mirror_lanes(const Group<T>& g, T* z) {
  constexpr int64_t pair = 2 * kWidth<T>;
  store(z + kWidth<T>, Vec<T>{});
  for (int64_t k = 0; k <= g.n / 2; ++k) {
    const auto v = load_pair(z + k * pair);
    const Vec<T> im = v.im * g.conjugate;
    store_pair(z + k * pair, {im, v.re});
    if (k > 0) store_pair(z + (g.n - k) * pair, {-im, v.re});
  }
}

template <class T>
void transform_group(const Group<T>& g) {
  constexpr int64_t pair = 2 * kWidth<T>;
  const int64_t room = (g.chirp ? g.chirp->padded : g.n) + 1;
  T *a = g.scratch, *b = a + room * pair;
  load_lines(g, a);
  if (g.real == Group<T>::Real::inverse) {
    if (g.hermitian) {
      mirror_lanes(g, a);
    } else {
      real_inverse_lanes(g, a);
    }
  }
  T* z = g.chirp ? run_chirp(*g.chirp, a, b) : run_stages(g.stages, g.stage_count, a, b);
  if (g.real == Group<T>::Real::forward) real_forward_lanes(g, z);
  if (g.twiddles) multiply_lanes(z, g.twiddles, g.n);
  store_lines(g, z);
}

template <class T>
void multiply_row(T* __restrict a, const T* __restrict b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T re = a[2 * i] * b[2 * i] - a[2 * i + 1] * b[2 * i + 1];
    const T im = a[2 * i] * b[2 * i + 1] + a[2 * i + 1] * b[2 * i];
    a[2 * i] = re;
    a[2 * i + 1] = im;
  }
}

template <class T>
struct One {
  T re, im;
};

template <class T>
void real_forward_row(T* z, const T* roots, int64_t n, T conjugate) {
  const T re = z[0], im = z[1];
  for (int64_t k = 1; k <= n / 2; ++k) {
    One<T> x, y;
    const One<T> a{z[2 * k], z[2 * k + 1]}, b{z[2 * (n - k)], z[2 * (n - k) + 1]};
    real_pair(a, b, roots[2 * k], roots[2 * k + 1], conjugate, x, y);
    z[2 * k] = x.re, z[2 * k + 1] = x.im;
    z[2 * (n - k)] = y.re, z[2 * (n - k) + 1] = y.im;
  }
  z[0] = re + im, z[1] = 0;
  z[2 * n] = re - im, z[2 * n + 1] = 0;
}

template <class T>
void real_inverse_row(T* z, const T* roots, int64_t n, T conjugate) {
  const T first = z[0], last = z[2 * n];
  for (int64_t k = 1; k <= n / 2; ++k) {
    One<T> a, b;
    const One<T> x{z[2 * k], z[2 * k + 1]}, y{z[2 * (n - k)], z[2 * (n - k) + 1]};
    packed_pair(x, y, roots[2 * k], roots[2 * k + 1], conjugate, a, b);
    z[2 * k] = a.re, z[2 * k + 1] = a.im;
    z[2 * (n - k)] = b.re, z[2 * (n - k) + 1] = b.im;
  }
  z[0] = first + last, z[1] = first - last;
}

template <class T>
constexpr tallow::spectral::Kernels<T> kFftKernels{kWidth<T>, transform_group<T>, multiply_row<T>,
                                                   real_forward_row<T>, real_inverse_row<T>};

}  // namespace
