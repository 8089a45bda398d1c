// The vector kernels of softmax and log_softmax, compiled once per level.
#include "backend/cpu/isa/simd.h"
#include "backend/cpu/reduce.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

namespace {

/// The largest of n elements, NaN left out.
float largest(const float* x, int64_t n) {
  Floats top[4];
  for (Floats& t : top) t = splat(-__builtin_inff());
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) top[k] = max(load(x + i + k * kLanes), top[k]);
  }
  for (; i + kLanes <= n; i += kLanes) top[0] = max(load(x + i), top[0]);
  float best = max_lanes(max(max(top[0], top[1]), max(top[2], top[3])));
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

constexpr float kLog2E = 1.44269504f;

/// What is subtracted from x * kLog2E where x goes up to `top`: infinite x stay what they are.
TALLOW_INLINE float shift_of(float top) { return top - top == 0 ? top * kLog2E : 0; }
/// log(sum(exp(x))) - top, where `total` is the sum of 2^(x * kLog2E - shift).
TALLOW_INLINE float log_above(float top, float shift, double total) {
  const double kept = static_cast<double>(shift) / static_cast<double>(kLog2E);
  return static_cast<float>((kept - static_cast<double>(top)) + __builtin_log(total));
}

/// e = 2^(x * kLog2E - shift) where e is not null; returns the sum. The rounding of the shift is
/// in all of them alike. What follows x is fetched meanwhile: it is read next, and at once.
template <bool kStore>
float exponentials(const float* x, float* e, int64_t n, float shift) {
  constexpr int kWays = 4;
  const int64_t ahead = n < 2048 ? n : 2048;
  Floats total[kWays] = {};
  int64_t i = 0;
  auto take = [&](int64_t at, int k) {
    __builtin_prefetch(x + ahead + at);
    const Floats v = exp2_exact(load(x + at) * kLog2E - shift);
    if constexpr (kStore) store(e + at, v);
    total[k] += v;
  };
  for (; i + kWays * kLanes <= n; i += kWays * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kWays; ++k) take(i + k * kLanes, k);
  }
  for (; i + kLanes <= n; i += kLanes) take(i, 0);
  float sum = sum_lanes((total[0] + total[1]) + (total[2] + total[3]));
  if (i < n) {
    float lanes[kLanes];
    store(lanes, exp2_exact(load_first(x + i, n - i) * kLog2E - shift));
    for (int64_t j = 0; i + j < n; ++j) {
      if constexpr (kStore) e[i + j] = lanes[j];
      sum += lanes[j];
    }
  }
  return sum;
}

/// Past the caches, to an address that is a multiple of the vector.
TALLOW_INLINE void stream(float* p, Floats v) {
#if TALLOW_ISA_LEVEL >= 2
  _mm512_stream_ps(p, v);
#elif TALLOW_ISA_LEVEL == 1
  _mm256_stream_ps(p, v);
#else
  store(p, v);
#endif
}

/// y = f(x), of vectors and single elements, past the caches where `far`.
template <class F>
TALLOW_INLINE void written(const float* x, float* y, int64_t n, bool far, const F& f) {
  int64_t i = 0;
#if TALLOW_ISA_LEVEL >= 1
  if (far) {
    for (; i < n && reinterpret_cast<uintptr_t>(y + i) % (4 * kLanes) != 0; ++i) y[i] = f(x[i]);
    for (; i + kLanes <= n; i += kLanes) stream(y + i, f(load(x + i)));
    _mm_sfence();
  }
#else
  (void)far;
#endif
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i)));
  for (; i < n; ++i) y[i] = f(x[i]);
}

void rows(const float* x, float* y, int64_t count, int64_t n, bool logarithm, float* scratch) {
  const bool far = scratch != nullptr;
  for (int64_t r = 0; r < count; ++r, x += n, y += n) {
    const float top = largest(x, n), shift = top * kLog2E;
    if (logarithm) {
      const double total = static_cast<double>(exponentials<false>(x, nullptr, n, shift));
      const float above = log_above(top, shift, total);
      written(x, y, n, far, [&](auto v) { return (v - top) - above; });
    } else {
      float* e = far ? scratch : y;
      const float scale = 1.f / exponentials<true>(x, e, n, shift);
      written(e, y, n, far, [&](auto v) { return v * scale; });
    }
  }
}

// In one pass over memory: a block in the cache gives its largest element, then its sum; the total
// so far is scaled where a block has a larger one.
float log_sum_exp(const float* x, int64_t n) {
  constexpr int64_t kBlock = 2048;
  float top = -__builtin_inff(), shift = 0;
  double total = 0;
  for (int64_t from = 0; from < n; from += kBlock) {
    const int64_t count = n - from < kBlock ? n - from : kBlock;
    const float best = largest(x + from, count);
    if (best > top) {
      const float next = shift_of(best);
      if (top - top == 0)
        total *= __builtin_exp2(static_cast<double>(shift) - static_cast<double>(next));
      top = best;
      shift = next;
    }
    total += static_cast<double>(exponentials<false>(x + from, nullptr, count, shift));
  }
  if (top - top == 0) return top + log_above(top, shift, total);
  if (top < 0) return static_cast<float>(__builtin_log(total));
  bool nan = false;
  for (int64_t i = 0; i < n; ++i) nan |= x[i] != x[i];
  return nan ? __builtin_nanf("") : top;
}

/// Calls f(column, lanes) for each vector of a row of `width` elements; the last may be short.
template <class F>
TALLOW_INLINE void over_row(int64_t width, const F& f) {
  const int64_t whole = width / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) f(c, int64_t{kLanes});
  if (whole < width) f(whole, width - whole);
}
TALLOW_INLINE Floats read(const float* p, int64_t lanes) {
  return lanes == kLanes ? load(p) : load_first(p, lanes);
}
TALLOW_INLINE void write(float* p, Floats v, int64_t lanes) {
  lanes == kLanes ? store(p, v) : store_first(p, v, lanes);
}

void log_sum_exps(const float* x, int64_t n, int64_t stride, int64_t width, float* result) {
  if (stride == 1) {
    *result = log_sum_exp(x, n);
    return;
  }
  over_row(width, [&](int64_t c, int64_t lanes) {
    Floats top = splat(-__builtin_inff()), total = {};
    for (int64_t j = 0; j < n; ++j) top = max(read(x + j * stride + c, lanes), top);
    top = top - top == 0.f ? top : Floats{};
    for (int64_t j = 0; j < n; ++j) total += exp(read(x + j * stride + c, lanes) - top);
    write(result + c, total, lanes);
    for (int64_t k = 0; k < lanes; ++k) {
      result[c + k] = top[k] + __builtin_logf(result[c + k]);
    }
  });
}

void exp_scaled(const float* x, float* y, int64_t n, int64_t stride, int64_t width,
                const float* shifts, const float* scales) {
  if (stride == 1) {
    return over_row(n, [&](int64_t c, int64_t lanes) {
      write(y + c, exp(read(x + c, lanes) - *shifts) * *scales, lanes);
    });
  }
  for (int64_t j = 0; j < n; ++j, x += stride, y += stride) {
    over_row(width, [&](int64_t c, int64_t lanes) {
      const Floats e = exp(read(x + c, lanes) - read(shifts + c, lanes));
      write(y + c, e * read(scales + c, lanes), lanes);
    });
  }
}

/// Adds rows to the sums of e^(x - top) of columns, which are scaled where `top` grows.
void sum_exponentials(const float* x, int64_t rows, int64_t stride, int64_t width, float* top,
                      float* total) {
  over_row(width, [&](int64_t c, int64_t lanes) {
    const Floats before = read(top + c, lanes);
    Floats best = before;
    for (int64_t j = 0; j < rows; ++j) best = max(read(x + j * stride + c, lanes), best);
    const Floats shift = best - best == 0.f ? best : Floats{};
    const Floats kept = before - before == 0.f ? exp(before - shift) : Floats{};
    Floats sum = read(total + c, lanes) * kept;
    for (int64_t j = 0; j < rows; ++j) sum += exp(read(x + j * stride + c, lanes) - shift);
    write(top + c, best, lanes);
    write(total + c, sum, lanes);
  });
}

/// y = f(x, top, total) of a row, past the caches where `far`.
template <class F>
TALLOW_INLINE void row_written(const float* x, float* y, int64_t width, const float* top,
                               const float* total, bool far, const F& f) {
  far &= reinterpret_cast<uintptr_t>(y) % sizeof(Floats) == 0;
  over_row(width, [&](int64_t c, int64_t lanes) {
    const Floats v = f(read(x + c, lanes), read(top + c, lanes), read(total + c, lanes));
    far&& lanes == kLanes ? stream(y + c, v) : write(y + c, v, lanes);
  });
}

// Blocks of rows, as many as one set of L1 holds, give the sums: memory is read twice in all.
void columns(const float* x, float* y, int64_t n, int64_t stride, int64_t width, bool logarithm,
             bool far, float* scratch) {
  constexpr int64_t kBlock = 8;
  float *top = scratch, *total = scratch + width;
  for (int64_t c = 0; c < width; ++c) top[c] = -__builtin_inff();
  for (int64_t c = 0; c < width; ++c) total[c] = 0;
  for (int64_t j = 0; j < n; j += kBlock) {
    const int64_t rows = n - j < kBlock ? n - j : kBlock;
    sum_exponentials(x + j * stride, rows, stride, width, top, total);
  }
  for (int64_t c = 0; c < width; ++c) {
    total[c] = top[c] - top[c] != 0 ? __builtin_nanf("")
               : logarithm          ? __builtin_logf(total[c])
                                    : 1.f / total[c];
  }
  for (int64_t j = 0; j < n; ++j, x += stride, y += stride) {
    if (logarithm) {
      row_written(x, y, width, top, total, far,
                  [](Floats v, Floats most, Floats log) { return (v - most) - log; });
    } else {
      row_written(x, y, width, top, total, far,
                  [](Floats v, Floats most, Floats scale) { return exp(v - most) * scale; });
    }
  }
#if TALLOW_ISA_LEVEL >= 1
  if (far) _mm_sfence();
#endif
}

template <bool kLog>
void backward(const float* g, const float* y, float* dx, int64_t count, int64_t n) {
  for (int64_t r = 0; r < count; ++r, g += n, y += n, dx += n) {
    Floats part[4] = {};
    int64_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const Floats v = load(g + i + k * kLanes);
        part[k] += kLog ? v : v * load(y + i + k * kLanes);
      }
    }
    float total = sum_lanes((part[0] + part[1]) + (part[2] + part[3]));
    for (; i < n; ++i) total += kLog ? g[i] : g[i] * y[i];
    for (i = 0; i + kLanes <= n; i += kLanes) {
      const Floats v = load(g + i), w = load(y + i);
      store(dx + i, kLog ? v - exp(w) * total : w * (v - total));
    }
    if (i < n) {
      const Floats v = load_first(g + i, n - i), w = load_first(y + i, n - i);
      store_first(dx + i, kLog ? v - exp(w) * total : w * (v - total), n - i);
    }
  }
}

void rows_backward(const float* g, const float* y, float* dx, int64_t count, int64_t n,
                   bool logarithm) {
  if (logarithm) return backward<true>(g, y, dx, count, n);
  backward<false>(g, y, dx, count, n);
}

}  // namespace

const SoftmaxKernels softmax_kernels{rows,         columns,    log_sum_exp,
                                     log_sum_exps, exp_scaled, rows_backward};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
