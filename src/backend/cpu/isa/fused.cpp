// The vector kernels of the small fused ops, compiled once per level.
#include "backend/cpu/fused.h"

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

namespace {

/// Adds delta (unless null) into `sum` and returns the sum of squares of the result. Four
/// accumulators, since one would wait for itself.
TALLOW_INLINE float squares_of_row(const float* x, const float* delta, float* sum, int64_t n) {
  Floats total[4] = {};
  int64_t i = 0;
  auto take = [&](Floats v, int lane) { total[lane] += v * v; };
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Floats v = load(x + i + k * kLanes);
      if (delta) store(sum + i + k * kLanes, v += load(delta + i + k * kLanes));
      take(v, k);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    Floats v = load(x + i);
    if (delta) store(sum + i, v += load(delta + i));
    take(v, 0);
  }
  if (i < n) {
    Floats v = load_first(x + i, n - i);
    if (delta) store_first(sum + i, v += load_first(delta + i, n - i), n - i);
    take(v, 1);
  }
  return sum_lanes((total[0] + total[1]) + (total[2] + total[3]));
}

void rms_norm(const float* x, const float* delta, const float* weight, float* sum, float* y,
              int64_t rows, int64_t n, float eps) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float squares = squares_of_row(x, delta, sum, n);
    const float inverse = 1.f / __builtin_sqrtf(squares / static_cast<float>(n) + eps);
    const float* from = delta ? sum : x;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(y + i, load(from + i) * inverse * load(weight + i));
    if (i < n)
      store_first(y + i, load_first(from + i, n - i) * inverse * load_first(weight + i, n - i),
                  n - i);
    if (delta) {
      delta += n;
      sum += n;
    }
  }
}

TALLOW_INLINE Floats gated(Floats gate, Floats up) { return gate / (1.f + exp(-gate)) * up; }

void swiglu(const float* gate, const float* up, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, gated(load(gate + i), load(up + i)));
  if (i < n)
    store_first(y + i, gated(load_first(gate + i, n - i), load_first(up + i, n - i)), n - i);
}

constexpr int64_t kAngles = 256;  // angles at a time, on the stack

/// cosines and sines [count] of position * frequencies.
TALLOW_INLINE void angles_of(float position, const float* frequencies, int64_t count, float scale,
                             float* cosines, float* sines) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats f =
        i + kLanes <= count ? load(frequencies + i) : load_first(frequencies + i, count - i);
    Floats s, c;
    sincos(f * position, s, c);
    store(cosines + i, c * scale);
    store(sines + i, s * scale);
  }
}

TALLOW_INLINE void rotate_apart(const float* a, const float* b, float* y, float* z, const float* c,
                                const float* s, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Floats u = load(a + i), v = load(b + i), cosine = load(c + i), sine = load(s + i);
    store(y + i, u * cosine - v * sine);
    store(z + i, v * cosine + u * sine);
  }
  for (; i < n; ++i) {
    const float u = a[i], v = b[i];
    y[i] = u * c[i] - v * s[i];
    z[i] = v * c[i] + u * s[i];
  }
}

TALLOW_INLINE void rotate_pairs(const float* x, float* y, const float* c, const float* s,
                                int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float u = x[2 * i], v = x[2 * i + 1];
    y[2 * i] = u * c[i] - v * s[i];
    y[2 * i + 1] = v * c[i] + u * s[i];
  }
}

/// One axis of the heads of a token.
TALLOW_INLINE void rotate_axis(const RopeCall& call, const float* x, float* y, int32_t position) {
  alignas(64) float cosines[kAngles + kLanes], sines[kAngles + kLanes];
  const int64_t half = call.half, dim = call.dim, next = call.axes * dim;
  for (int64_t from = 0; from < half; from += kAngles) {
    const int64_t n = half - from < kAngles ? half - from : kAngles;
    angles_of(static_cast<float>(position), call.frequencies + from, n, call.scale, cosines, sines);
    for (int64_t h = 0; h < call.heads; ++h) {
      const float* u = x + h * next;
      float* v = y + h * next;
      if (call.interleaved) {
        rotate_pairs(u + 2 * from, v + 2 * from, cosines, sines, n);
      } else {
        rotate_apart(u + from, u + half + from, v + from, v + half + from, cosines, sines, n);
      }
    }
  }
  if (2 * half == dim) return;
  for (int64_t h = 0; h < call.heads; ++h) {
    for (int64_t i = 2 * half; i < dim; ++i) y[h * next + i] = x[h * next + i];
  }
}

void rope(const RopeCall& call, int64_t token_begin, int64_t token_end) {
  for (int64_t t = token_begin; t < token_end; ++t) {
    for (int64_t axis = 0; axis < call.axes; ++axis) {
      rotate_axis(call, call.x + t * call.x_stride + axis * call.dim,
                  call.y + (t * call.heads * call.axes + axis) * call.dim,
                  call.positions[t * call.axes + axis]);
    }
  }
}

TALLOW_INLINE void put(uint16_t* to, Floats v) { store_as(to, narrow(v)); }
TALLOW_INLINE void put(float* to, Floats v) { store(to, v); }
TALLOW_INLINE void put(uint16_t* to, float x) { *to = narrow(x); }
TALLOW_INLINE void put(float* to, float x) { *to = x; }

template <class E>
TALLOW_INLINE void put_row(const float* from, E* to, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) put(to + i, load(from + i));
  for (; i < n; ++i) put(to + i, from[i]);
}

/// `count` tokens of values, dim each, become dim rows of `count` neighbours.
template <class E>
TALLOW_INLINE void put_transposed(const float* from, int64_t stride, int64_t count, E* to,
                                  int64_t page_size, int64_t dim) {
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (int64_t d = 0; d < dim; ++d) {
      float lanes[kLanes];
      for (int k = 0; k < kLanes; ++k) lanes[k] = from[(j + k) * stride + d];
      put(to + d * page_size + j, load(lanes));
    }
  }
  for (; j < count; ++j) {
    for (int64_t d = 0; d < dim; ++d) put(to + d * page_size + j, from[j * stride + d]);
  }
}

template <class E>
void write_heads(const CacheWrite& c, int64_t head_begin, int64_t head_end) {
  for (int64_t t = 0; t < c.tokens;) {
    const int64_t slot = c.slots[t], page = slot / c.page_size, at = slot % c.page_size;
    int64_t run = 1;  // tokens in neighbouring slots of the same page
    while (t + run < c.tokens && at + run < c.page_size && c.slots[t + run] == slot + run) ++run;
    for (int64_t h = head_begin; h < head_end; ++h) {
      const int64_t base = (page * c.kv_heads + h) * c.page_size * c.dim;
      E* k = static_cast<E*>(c.k_cache) + base + at * c.dim;
      E* v = static_cast<E*>(c.v_cache) + base + at;
      for (int64_t i = 0; i < run; ++i)
        put_row(c.keys + (t + i) * c.key_stride + h * c.dim, k + i * c.dim, c.dim);
      put_transposed(c.values + t * c.value_stride + h * c.dim, c.value_stride, run, v, c.page_size,
                     c.dim);
    }
    t += run;
  }
}

void cache_write(const CacheWrite& call, int64_t head_begin, int64_t head_end) {
  if (call.bf16) return write_heads<uint16_t>(call, head_begin, head_end);
  write_heads<float>(call, head_begin, head_end);
}

}  // namespace

const FusedKernels fused_kernels{rms_norm, swiglu, rope, cache_write};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
