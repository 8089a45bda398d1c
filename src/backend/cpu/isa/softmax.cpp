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

/// e = exp(x - top) where e is not null; returns the sum.
float exponentials(const float* x, float* e, int64_t n, float top) {
  Floats total[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
      const Floats v = exp(load(x + i + k * kLanes) - top);
      if (e) store(e + i + k * kLanes, v);
      total[k] += v;
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = exp(load(x + i) - top);
    if (e) store(e + i, v);
    total[0] += v;
  }
  float sum = sum_lanes(total[0] + total[1]);
  if (i < n) {
    float lanes[kLanes];
    store(lanes, exp(load_first(x + i, n - i) - top));
    for (int64_t j = 0; i + j < n; ++j) {
      if (e) e[i + j] = lanes[j];
      sum += lanes[j];
    }
  }
  return sum;
}

/// y = x * scale + shift, past the caches where `far`.
void scaled(const float* x, float* y, int64_t n, float scale, float shift, bool far) {
  int64_t i = 0;
#if TALLOW_ISA_LEVEL >= 1
  if (far) {
    for (; i < n && reinterpret_cast<uintptr_t>(y + i) % (4 * kLanes) != 0; ++i) {
      y[i] = x[i] * scale + shift;
    }
    for (; i + kLanes <= n; i += kLanes) {
      const Floats v = load(x + i) * scale + shift;
#if TALLOW_ISA_LEVEL >= 2
      _mm512_stream_ps(y + i, v);
#else
      _mm256_stream_ps(y + i, v);
#endif
    }
    _mm_sfence();
  }
#else
  (void)far;
#endif
  for (; i + kLanes <= n; i += kLanes) store(y + i, load(x + i) * scale + shift);
  for (; i < n; ++i) y[i] = x[i] * scale + shift;
}

void rows(const float* x, float* y, int64_t count, int64_t n, bool logarithm, float* scratch) {
  for (int64_t r = 0; r < count; ++r, x += n, y += n) {
    const float top = largest(x, n);
    if (logarithm) {
      const float total = exponentials(x, nullptr, n, top);
      scaled(x, y, n, 1.f, -top - __builtin_logf(total), scratch != nullptr);
    } else {
      float* e = scratch ? scratch : y;
      const float total = exponentials(x, e, n, top);
      scaled(e, y, n, 1.f / total, 0.f, scratch != nullptr);
    }
  }
}

double log_sum(const float* x, int64_t n, float* top) {
  *top = largest(x, n);
  return static_cast<double>(exponentials(x, nullptr, n, *top));
}

void columns(const float* x, float* y, int64_t n, int64_t stride, int64_t width, bool logarithm,
             float* scratch) {
  float *top = scratch, *total = scratch + width;
  for (int64_t c = 0; c < width; ++c) top[c] = -__builtin_inff();
  for (int64_t c = 0; c < width; ++c) total[c] = 0;
  const int64_t whole = width / kLanes * kLanes, rest = width - whole;
  // Calls f(column, row elements, lanes) for each vector of a row; the last one may be short.
  auto over_row = [&](const auto& f) {
    for (int64_t c = 0; c < whole; c += kLanes) f(c, int64_t{kLanes});
    if (rest > 0) f(whole, rest);
  };
  auto read = [](const float* p, int64_t lanes) {
    return lanes == kLanes ? load(p) : load_first(p, lanes);
  };
  auto write = [](float* p, Floats v, int64_t lanes) {
    lanes == kLanes ? store(p, v) : store_first(p, v, lanes);
  };
  for (int64_t j = 0; j < n; ++j) {
    const float* from = x + j * stride;
    over_row([&](int64_t c, int64_t lanes) {
      write(top + c, max(read(from + c, lanes), read(top + c, lanes)), lanes);
    });
  }
  for (int64_t j = 0; j < n; ++j) {
    const float* from = x + j * stride;
    float* to = y + j * stride;
    over_row([&](int64_t c, int64_t lanes) {
      const Floats e = exp(read(from + c, lanes) - read(top + c, lanes));
      if (!logarithm) write(to + c, e, lanes);
      write(total + c, read(total + c, lanes) + e, lanes);
    });
  }
  for (int64_t c = 0; c < width; ++c) {
    total[c] = logarithm ? top[c] + __builtin_logf(total[c]) : 1.f / total[c];
  }
  for (int64_t j = 0; j < n; ++j) {
    const float* from = logarithm ? x + j * stride : y + j * stride;
    float* to = y + j * stride;
    over_row([&](int64_t c, int64_t lanes) {
      const Floats v = read(from + c, lanes), t = read(total + c, lanes);
      write(to + c, logarithm ? v - t : v * t, lanes);
    });
  }
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

const SoftmaxKernels softmax_kernels{rows, columns, log_sum, rows_backward};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
