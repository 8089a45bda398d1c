// The vector kernels of the normalization layers, compiled once per level.
#include "backend/cpu/isa/simd.h"
#include "backend/cpu/reduce.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

namespace {

constexpr int kWays = 4;
constexpr int64_t kBlock = 64 * kWays * kLanes;  // elements that are summed in f32

/// The sums of f(i), a vector, over [0, n): in f32 over blocks, in f64 beyond; g(i) is the value of
/// a single element.
template <class F, class G>
TALLOW_INLINE double summed(int64_t n, const F& f, const G& g) {
  double total = 0;
  int64_t i = 0;
  while (i + kWays * kLanes <= n) {
    Floats part[kWays] = {};
    const int64_t end = n - i < kBlock ? n : i + kBlock;
    for (; i + kWays * kLanes <= end; i += kWays * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kWays; ++k) part[k] += f(i + k * kLanes);
    }
    total += static_cast<double>(sum_lanes((part[0] + part[1]) + (part[2] + part[3])));
  }
  for (; i + kLanes <= n; i += kLanes) total += static_cast<double>(sum_lanes(f(i)));
  for (; i < n; ++i) total += static_cast<double>(g(i));
  return total;
}

template <bool kWeight, bool kBias>
void normalized(const float* x, const float* weight, const float* bias, float* y, int64_t n,
                float mean, float inverse) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Floats v = (load(x + i) - mean) * inverse;
    if constexpr (kWeight) v *= load(weight + i);
    if constexpr (kBias) v += load(bias + i);
    store(y + i, v);
  }
  for (; i < n; ++i) {
    float v = (x[i] - mean) * inverse;
    if constexpr (kWeight) v *= weight[i];
    if constexpr (kBias) v += bias[i];
    y[i] = v;
  }
}

void layer_norm(const float* x, const float* weight, const float* bias, float* y, float* means,
                float* inverses, int64_t rows, int64_t n, double eps) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const auto count = static_cast<double>(n);
    // About the first element, so that the mean of equal ones is exact.
    const float first = __builtin_isfinite(x[0]) ? x[0] : 0;
    const double offset = summed(
        n, [&](int64_t i) { return load(x + i) - first; }, [&](int64_t i) { return x[i] - first; });
    const auto mean = static_cast<float>(static_cast<double>(first) + offset / count);
    const double squares = summed(
        n,
        [&](int64_t i) {
          const Floats d = load(x + i) - mean;
          return d * d;
        },
        [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
    const auto inverse = static_cast<float>(1 / __builtin_sqrt(squares / count + eps));
    means[r] = mean;
    inverses[r] = inverse;
    if (weight && bias) {
      normalized<true, true>(x, weight, bias, y, n, mean, inverse);
    } else if (weight) {
      normalized<true, false>(x, weight, bias, y, n, mean, inverse);
    } else if (bias) {
      normalized<false, true>(x, weight, bias, y, n, mean, inverse);
    } else {
      normalized<false, false>(x, weight, bias, y, n, mean, inverse);
    }
  }
}

void layer_norm_backward(const float* g, const float* x, const float* weight, const float* means,
                         const float* inverses, float* dx, float* dw, float* db, int64_t rows,
                         int64_t n) {
  for (int64_t r = 0; r < rows; ++r, g += n, x += n, dx += n) {
    const float mean = means[r], inverse = inverses[r];
    Floats first[2] = {}, second[2] = {};
    auto take = [&](int64_t i, int k) {
      const Floats u = load(g + i), normal = (load(x + i) - mean) * inverse;
      const Floats w = weight ? u * load(weight + i) : u;
      first[k] += w;
      second[k] += w * normal;
      store(dw + i, load(dw + i) + u * normal);
      store(db + i, load(db + i) + u);
    };
    int64_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      take(i, 0);
      take(i + kLanes, 1);
    }
    for (; i + kLanes <= n; i += kLanes) take(i, 0);
    float p = sum_lanes(first[0] + first[1]), q = sum_lanes(second[0] + second[1]);
    for (; i < n; ++i) {
      const float normal = (x[i] - mean) * inverse, w = weight ? g[i] * weight[i] : g[i];
      p += w;
      q += w * normal;
      dw[i] += g[i] * normal;
      db[i] += g[i];
    }
    p /= static_cast<float>(n);
    q = q / static_cast<float>(n) * inverse;
    for (i = 0; i + kLanes <= n; i += kLanes) {
      const Floats u = load(g + i), w = weight ? u * load(weight + i) : u;
      store(dx + i, inverse * (w - p - (load(x + i) - mean) * q));
    }
    for (; i < n; ++i) {
      dx[i] = inverse * ((weight ? g[i] * weight[i] : g[i]) - p - (x[i] - mean) * q);
    }
  }
}

void moments(const float* x, int64_t n, float shift, double* sum, double* squares) {
  for (int64_t from = 0; from < n; from += kBlock) {
    const int64_t count = n - from < kBlock ? n - from : kBlock;
    const float* v = x + from;
    Floats a[kWays] = {}, b[kWays] = {};
    auto take = [&](int64_t i, int k) {
      const Floats d = load(v + i) - shift;
      a[k] += d;
      b[k] += d * d;
    };
    int64_t i = 0;
    for (; i + kWays * kLanes <= count; i += kWays * kLanes) {
#pragma GCC unroll 4
      for (int k = 0; k < kWays; ++k) take(i + k * kLanes, k);
    }
    for (; i + kLanes <= count; i += kLanes) take(i, 0);
    *sum += static_cast<double>(sum_lanes((a[0] + a[1]) + (a[2] + a[3])));
    *squares += static_cast<double>(sum_lanes((b[0] + b[1]) + (b[2] + b[3])));
    for (; i < count; ++i) {
      const float d = v[i] - shift;
      *sum += static_cast<double>(d);
      *squares += static_cast<double>(d * d);
    }
  }
}

void scale_by(const float* x, float* y, int64_t n, float mean, float scale, float shift) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, (load(x + i) - mean) * scale + shift);
  for (; i < n; ++i) y[i] = (x[i] - mean) * scale + shift;
}

void gradient_sums(const float* g, const float* x, int64_t n, float mean, double* first,
                   double* second) {
  *first += summed(
      n, [&](int64_t i) { return load(g + i); }, [&](int64_t i) { return g[i]; });
  *second += summed(
      n, [&](int64_t i) { return load(g + i) * (load(x + i) - mean); },
      [&](int64_t i) { return g[i] * (x[i] - mean); });
}

void combine(const float* g, const float* x, float* dx, int64_t n, float a, float b, float c) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dx + i, load(g + i) * a + (load(x + i) * b + c));
  for (; i < n; ++i) dx[i] = g[i] * a + (x[i] * b + c);
}

}  // namespace

const NormKernels norm_kernels{layer_norm, layer_norm_backward, moments,
                               scale_by,   gradient_sums,       combine};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
