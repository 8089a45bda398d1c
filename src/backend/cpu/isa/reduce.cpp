// The vector kernels of reductions and running sums, compiled once per level.
#include "backend/cpu/reduce.h"

#include <utility>

#include "backend/cpu/isa/simd.h"
#include "core/half.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

namespace {

// Elements of 16 bits, which are widened as they are read.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};
TALLOW_INLINE Floats load(const Bf16* p) { return widen(load_as<Halves>(p)); }
TALLOW_INLINE Floats load(const F16* p) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_cvtph_ps(load_as<__m256i>(p));
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_cvtph_ps(load_as<__m128i>(p));
#else
  Floats v;
  for (int i = 0; i < kLanes; ++i) v[i] = f16_to_f32(p[i].bits);
  return v;
#endif
}
/// The next two vectors, whose elements may be in any order.
template <class T>
TALLOW_INLINE void load_pair(const T* p, Floats& v, Floats& w) {
  v = load(p);
  w = load(p + kLanes);
}
TALLOW_INLINE void load_pair(const Bf16* p, Floats& v, Floats& w) {
  const Words both = load_as<Words>(p);
  v = reinterpret_cast<Floats>(both << 16);
  w = reinterpret_cast<Floats>(both & 0xffff0000u);
}
TALLOW_INLINE float value(float x) { return x; }
TALLOW_INLINE float value(Bf16 x) { return bf16_to_f32(x.bits); }
TALLOW_INLINE float value(F16 x) { return f16_to_f32(x.bits); }

TALLOW_INLINE Doubles doubled(FewFloats v) { return __builtin_convertvector(v, Doubles); }

/// Adds the lanes of v to two vectors of f64.
TALLOW_INLINE void add_wide(Floats v, Doubles& low, Doubles& high) {
  float lanes[kLanes];
  store(lanes, v);
  low += doubled(load_as<FewFloats>(lanes));
  high += doubled(load_as<FewFloats>(lanes + kLanes / 2));
}

TALLOW_INLINE double sum_lanes(Doubles v) {
  double total = 0;
  for (int i = 0; i < kLanes / 2; ++i) total += v[i];
  return total;
}

// In f32 over 16 vectors a lane, in f64 from there on.
template <class T>
double sum(const void* data, int64_t n) {
  const T* x = static_cast<const T*>(data);
  constexpr int kWays = 8;
  constexpr int64_t kBlock = 16 * kWays * kLanes;
  Doubles low = {}, high = {};
  int64_t i = 0;
  auto take = [&](int64_t blocks) {
    Floats part[kWays] = {};
    for (int64_t b = 0; b < blocks; ++b, i += kWays * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kWays; k += 2) {
        Floats v, w;
        load_pair(x + i + k * kLanes, v, w);
        part[k] += v;
        part[k + 1] += w;
      }
    }
    add_wide(
        ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])),
        low, high);
  };
  while (i + kBlock <= n) take(16);
  take((n - i) / (kWays * kLanes));
  for (; i + kLanes <= n; i += kLanes) add_wide(load(x + i), low, high);
  double total = sum_lanes(low + high);
  for (; i < n; ++i) total += static_cast<double>(value(x[i]));
  return total;
}

template <bool kMin>
TALLOW_INLINE Floats further(Floats v, Floats top) {
  return kMin ? min(v, top) : max(v, top);
}

TALLOW_INLINE bool any(Ints mask) {
#if TALLOW_ISA_LEVEL >= 2
  const auto bits = reinterpret_cast<__m512i>(mask);
  return _mm512_test_epi32_mask(bits, bits) != 0;
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#else
  int32_t lanes[kLanes], all = 0;
  store_as(lanes, mask);
  for (int i = 0; i < kLanes; ++i) all |= lanes[i];
  return all != 0;
#endif
}

/// Where a or b is NaN, as a mask.
#if TALLOW_ISA_LEVEL >= 2
TALLOW_INLINE __mmask16 unordered(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}
TALLOW_INLINE bool any(__mmask16 mask) { return mask != 0; }
#else
TALLOW_INLINE Ints unordered(Floats a, Floats b) { return (a != a) | (b != b); }
#endif

template <class T, bool kMin>
float extreme(const void* data, int64_t n) {
  const T* x = static_cast<const T*>(data);
  constexpr int kWays = 8;
  const float none = kMin ? __builtin_inff() : -__builtin_inff();
  Floats top[kWays];
  for (Floats& t : top) t = splat(none);
  auto nan = unordered(top[0], top[0]);
  int64_t i = 0;
  for (; i + kWays * kLanes <= n; i += kWays * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kWays; k += 2) {
      Floats v, w;
      load_pair(x + i + k * kLanes, v, w);
      top[k] = further<kMin>(v, top[k]);
      top[k + 1] = further<kMin>(w, top[k + 1]);
      nan |= unordered(v, w);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    top[0] = further<kMin>(v, top[0]);
    nan |= unordered(v, v);
  }
  if (any(nan)) return __builtin_nanf("");
  float lanes[kLanes];
  for (int k = 1; k < kWays; ++k) top[0] = further<kMin>(top[k], top[0]);
  store(lanes, top[0]);
  float best = none;
  for (const float v : lanes) best = (kMin ? v < best : v > best) ? v : best;
  for (; i < n; ++i) {
    const float v = value(x[i]);
    if (v != v) return v;
    best = (kMin ? v < best : v > best) ? v : best;
  }
  return best;
}

/// Where the first few vectors begin in one of whose lanes `is` holds; else where the rest begins.
template <class T, class Is>
TALLOW_INLINE int64_t first_block(const T* x, int64_t n, const Is& is) {
  constexpr int kWays = 4;
  int64_t i = 0;
  for (; i + kWays * kLanes <= n; i += kWays * kLanes) {
    Ints found = {};
#pragma GCC unroll 4
    for (int k = 0; k < kWays; ++k) found |= is(load(x + i + k * kLanes));
    if (any(found)) break;
  }
  return i;
}

template <class T>
int64_t find(const void* data, int64_t n, float wanted) {
  const T* x = static_cast<const T*>(data);
  const bool nan = wanted != wanted;
  int64_t i = nan ? first_block(x, n, [](Floats v) { return v != v; })
                  : first_block(x, n, [&](Floats v) { return v == splat(wanted); });
  for (; i < n - 1; ++i) {
    const float v = value(x[i]);
    if (nan ? v != v : v == wanted) break;
  }
  return i;
}

template <class T>
void add_rows(const void* data, int64_t stride, int64_t rows, double* totals, int64_t n) {
  const T* x = static_cast<const T*>(data);
  for (; rows >= 8; rows -= 8, x += 8 * stride) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const T* at = x + i;
      Floats v[8];
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) v[k] = load(at + k * stride);
      Doubles low = load_as<Doubles>(totals + i), high = load_as<Doubles>(totals + i + kLanes / 2);
      add_wide(((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])), low, high);
      store_as(totals + i, low);
      store_as(totals + i + kLanes / 2, high);
    }
    for (; i < n; ++i) {
      for (int k = 0; k < 8; ++k) totals[i] += static_cast<double>(value(x[i + k * stride]));
    }
  }
  for (; rows > 0; --rows, x += stride) {
    for (int64_t i = 0; i < n; ++i) totals[i] += static_cast<double>(value(x[i]));
  }
}

/// The further of both, NaN where either is.
template <bool kMin>
TALLOW_INLINE Floats further_or_nan(Floats v, Floats top) {
  const Floats best = further<kMin>(v, top);
  const Floats kept = top == top ? best : top;
  return v == v ? kept : v;
}

template <class T, bool kMin>
void extreme_rows(const void* data, int64_t stride, int64_t rows, float* top, int64_t n) {
  const T* x = static_cast<const T*>(data);
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    int64_t i = 0;
    const bool pair = r + 1 < rows;
    const T* next = pair ? x + stride : x;
    for (; i + kLanes <= n; i += kLanes) {
      const Floats both = further_or_nan<kMin>(load(x + i), load(next + i));
      store(top + i, further_or_nan<kMin>(both, load(top + i)));
    }
    for (; i < n; ++i) {
      for (const float v : {value(x[i]), value(next[i])}) {
        if (v != v || (kMin ? v < top[i] : v > top[i])) top[i] = v;
      }
    }
    if (pair) {
      ++r;
      x += stride;
    }
  }
}

// An extreme begins with the index -1, which any element replaces.
template <bool kMin>
void indexed_extreme_rows(const float* x, int64_t stride, int64_t rows, int32_t first, float* top,
                          int32_t* index, int64_t n) {
  for (int32_t r = first; rows > 0; --rows, ++r, x += stride) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const Floats v = load(x + i), t = load(top + i);
      const Ints at = load_as<Ints>(index + i);
      const Ints further_on = (kMin ? v < t : v > t) | ((v != v) & (t == t)) | (at < 0);
      store(top + i, further_on ? v : t);
      store_as(index + i, further_on ? Ints{} + r : at);
    }
    for (; i < n; ++i) {
      const bool nan = x[i] != x[i] && top[i] == top[i];
      if (index[i] < 0 || nan || (kMin ? x[i] < top[i] : x[i] > top[i])) {
        top[i] = x[i];
        index[i] = r;
      }
    }
  }
}

template <bool kBelow>
int64_t beyond(const float* x, int64_t n, float limit, int32_t* places) {
  int64_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
#if TALLOW_ISA_LEVEL >= 2
    const __mmask16 found = kBelow ? _mm512_cmp_ps_mask(v, splat(limit), _CMP_LT_OQ)
                                   : _mm512_cmp_ps_mask(v, splat(limit), _CMP_NLE_UQ);
    if (found == 0) continue;
    const __m512i at =
        _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(i)),
                         _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    _mm512_mask_compressstoreu_epi32(places + count, found, at);
    count += __builtin_popcount(found);
#else
    if (!any(kBelow ? v < splat(limit) : (v > splat(limit)) | (v != v))) continue;
    for (int64_t j = i; j < i + kLanes; ++j) {
      places[count] = static_cast<int32_t>(j);
      count += kBelow ? x[j] < limit : !(x[j] <= limit);
    }
#endif
  }
  for (; i < n; ++i) {
    places[count] = static_cast<int32_t>(i);
    count += kBelow ? x[i] < limit : !(x[i] <= limit);
  }
  return count;
}

/// v moved up by kStep lanes, zeros below.
template <int kStep, int... Lane>
TALLOW_INLINE Floats moved_up(Floats v, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(Floats{}, v, (Lane < kStep ? Lane : kLanes + Lane - kStep)...);
}
template <int kStep>
TALLOW_INLINE Floats added_up(Floats v) {
  return v + moved_up<kStep>(v, std::make_integer_sequence<int, kLanes>());
}
TALLOW_INLINE Floats prefix_sums(Floats v) {
  v = added_up<2>(added_up<1>(v));
  if constexpr (kLanes > 4) v = added_up<4>(v);
  if constexpr (kLanes > 8) v = added_up<8>(v);
  return v;
}

// Four vectors at a time, so that only the carry waits for its turn; it is kept in f64.
void running_sum(const float* x, float* y, int64_t n, double carry) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    Floats v[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) v[k] = prefix_sums(load(x + i + k * kLanes));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      store(y + i + k * kLanes, v[k] + static_cast<float>(carry));
      carry += static_cast<double>(v[k][kLanes - 1]);
    }
  }
  for (; i < n; ++i) {
    carry += static_cast<double>(x[i]);
    y[i] = static_cast<float>(carry);
  }
}

void running_row(const float* x, float* y, double* totals, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes / 2 <= n; i += kLanes / 2) {
    const Doubles t = load_as<Doubles>(totals + i) + doubled(load_as<FewFloats>(x + i));
    store_as(totals + i, t);
    store_as(y + i, __builtin_convertvector(t, FewFloats));
  }
  for (; i < n; ++i) y[i] = static_cast<float>(totals[i] += static_cast<double>(x[i]));
}

template <class T>
constexpr FoldKernels fold_kernels() {
  return {.sum = sum<T>,
          .max = extreme<T, false>,
          .min = extreme<T, true>,
          .find = find<T>,
          .add_rows = add_rows<T>,
          .max_rows = extreme_rows<T, false>,
          .min_rows = extreme_rows<T, true>};
}

}  // namespace

const ReduceKernels reduce_kernels{.f32 = fold_kernels<float>(),
                                   .bf16 = fold_kernels<Bf16>(),
                                   .f16 = fold_kernels<F16>(),
                                   .indexed_max_rows = indexed_extreme_rows<false>,
                                   .indexed_min_rows = indexed_extreme_rows<true>,
                                   .above = beyond<false>,
                                   .below = beyond<true>,
                                   .running_sum = running_sum,
                                   .running_row = running_row};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
