// The vector kernels of reductions and running sums, compiled once per level.
#include "backend/cpu/reduce.h"

#include <utility>

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

namespace {

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
double sum(const float* x, int64_t n) {
  constexpr int kWays = 8;
  constexpr int64_t kBlock = 16 * kWays * kLanes;
  Doubles low = {}, high = {};
  int64_t i = 0;
  auto take = [&](int64_t blocks) {
    Floats part[kWays] = {};
    for (int64_t b = 0; b < blocks; ++b, i += kWays * kLanes) {
#pragma GCC unroll 8
      for (int k = 0; k < kWays; ++k) part[k] += load(x + i + k * kLanes);
    }
    add_wide(
        ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])),
        low, high);
  };
  while (i + kBlock <= n) take(16);
  take((n - i) / (kWays * kLanes));
  for (; i + kLanes <= n; i += kLanes) add_wide(load(x + i), low, high);
  double total = sum_lanes(low + high);
  for (; i < n; ++i) total += static_cast<double>(x[i]);
  return total;
}

template <bool kMin>
TALLOW_INLINE Floats further(Floats v, Floats top) {
  return kMin ? min(v, top) : max(v, top);
}

TALLOW_INLINE bool any(Ints mask) {
  int32_t lanes[kLanes], all = 0;
  store_as(lanes, mask);
  for (int i = 0; i < kLanes; ++i) all |= lanes[i];
  return all != 0;
}

template <bool kMin>
float extreme(const float* x, int64_t n) {
  constexpr int kWays = 4;
  const float none = kMin ? __builtin_inff() : -__builtin_inff();
  Floats top[kWays];
  for (Floats& t : top) t = splat(none);
  Ints nan[kWays] = {};
  int64_t i = 0;
  for (; i + kWays * kLanes <= n; i += kWays * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kWays; ++k) {
      const Floats v = load(x + i + k * kLanes);
      top[k] = further<kMin>(v, top[k]);
      nan[k] |= v != v;
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    top[0] = further<kMin>(v, top[0]);
    nan[0] |= v != v;
  }
  if (any((nan[0] | nan[1]) | (nan[2] | nan[3]))) return __builtin_nanf("");
  float lanes[kLanes];
  store(lanes, further<kMin>(further<kMin>(top[0], top[1]), further<kMin>(top[2], top[3])));
  float best = none;
  for (const float v : lanes) best = (kMin ? v < best : v > best) ? v : best;
  for (; i < n; ++i) {
    if (x[i] != x[i]) return x[i];
    best = (kMin ? x[i] < best : x[i] > best) ? x[i] : best;
  }
  return best;
}

int64_t find(const float* x, int64_t n, float value) {
  const Floats wanted = splat(value);
  const bool nan = value != value;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = load(x + i);
    if (any(nan ? v != v : v == wanted)) break;
  }
  while (i < n - 1 && !(nan ? x[i] != x[i] : x[i] == value)) ++i;
  return i;
}

void add_rows(const float* x, int64_t stride, int64_t rows, double* totals, int64_t n) {
  for (; rows >= 8; rows -= 8, x += 8 * stride) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const float* at = x + i;
      Floats v[8];
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) v[k] = load(at + k * stride);
      Doubles low = load_as<Doubles>(totals + i), high = load_as<Doubles>(totals + i + kLanes / 2);
      add_wide(((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])), low, high);
      store_as(totals + i, low);
      store_as(totals + i + kLanes / 2, high);
    }
    for (; i < n; ++i) {
      for (int k = 0; k < 8; ++k) totals[i] += static_cast<double>(x[i + k * stride]);
    }
  }
  for (; rows > 0; --rows, x += stride) {
    for (int64_t i = 0; i < n; ++i) totals[i] += static_cast<double>(x[i]);
  }
}

/// The further of both, NaN where either is.
template <bool kMin>
TALLOW_INLINE Floats further_or_nan(Floats v, Floats top) {
  const Floats best = further<kMin>(v, top);
  const Floats kept = top == top ? best : top;
  return v == v ? kept : v;
}

template <bool kMin>
void extreme_rows(const float* x, int64_t stride, int64_t rows, float* top, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, x += stride) {
    int64_t i = 0;
    const bool pair = r + 1 < rows;
    const float* next = pair ? x + stride : x;
    for (; i + kLanes <= n; i += kLanes) {
      const Floats both = further_or_nan<kMin>(load(x + i), load(next + i));
      store(top + i, further_or_nan<kMin>(both, load(top + i)));
    }
    for (; i < n; ++i) {
      for (const float v : {x[i], next[i]}) {
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

}  // namespace

const ReduceKernels reduce_kernels{.sum = sum,
                                   .max = extreme<false>,
                                   .min = extreme<true>,
                                   .find = find,
                                   .add_rows = add_rows,
                                   .max_rows = extreme_rows<false>,
                                   .min_rows = extreme_rows<true>,
                                   .indexed_max_rows = indexed_extreme_rows<false>,
                                   .indexed_min_rows = indexed_extreme_rows<true>,
                                   .above = beyond<false>,
                                   .below = beyond<true>,
                                   .running_sum = running_sum,
                                   .running_row = running_row};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
