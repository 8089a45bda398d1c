// Register tiles of the matrix product in vector extensions, compiled for each instruction set.
// Accumulators are arrays that unrolling turns into registers: read the disassembly after a change.
#include "backend/cpu/gemm/kernels.h"

#if TALLOW_ISA_LEVEL >= 1
#include <immintrin.h>
#endif

#include "core/half.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL == 2
constexpr int kBytes = 64, kRows = 14, kGroups = 2, kRowsF64 = 12, kPairRows = 8, kSteps = 2;
#elif TALLOW_ISA_LEVEL == 1
constexpr int kBytes = 32, kRows = 6, kGroups = 1, kRowsF64 = 3, kPairRows = 4, kSteps = 1;
#else
constexpr int kBytes = 16, kRows = 2, kGroups = 1, kRowsF64 = 1, kPairRows = 2, kSteps = 1;
#endif

template <class T>
struct VecOf {
  // g++ ignores attributes of an alias of a dependent type. NOLINTBEGIN(modernize-use-using)
  typedef T type __attribute__((vector_size(kBytes)));
  typedef T loose __attribute__((vector_size(kBytes), aligned(sizeof(T)), may_alias));
  // NOLINTEND(modernize-use-using)
};
template <class T>
using Vec = typename VecOf<T>::type;

template <class T>
inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecOf<T>::loose*>(p);
}
template <class T>
inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecOf<T>::loose*>(p) = v;
}

// Adds the products of one k to the accumulators. x - 0 is a broadcast without arithmetic.
template <class T, int R, int N>
[[gnu::always_inline]] inline void multiply_add(Vec<T> (&sum)[R][N], const T* x,
                                                const Vec<T> (&w)[N]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec<T> value = x[r] - Vec<T>{};
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sum[r][n] += value * w[n];
  }
}

// Asks for the lines of c that a tile will write, while it computes.
template <class T, int R, int G>
[[gnu::always_inline]] inline void fetch(const T* c, int64_t ldc) {
  constexpr int kLine = 64 / static_cast<int>(sizeof(T));
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int n = 0; n < G * kGroup; n += kLine) {
#if TALLOW_ISA_LEVEL >= 1
      asm volatile("prefetchw %0" : : "m"(c[r * ldc + n]));
#else
      __builtin_prefetch(c + r * ldc + n, 1);
#endif
    }
  }
}

template <class T, int R, int N>
[[gnu::always_inline]] inline void clear(Vec<T> (&sum)[R][N]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sum[r][n] = Vec<T>{};
  }
}

template <class T, int R, int N>
[[gnu::always_inline]] inline void put(const Vec<T> (&sum)[R][N], T* c, int64_t ldc,
                                       bool accumulate) {
  constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      T* p = c + r * ldc + n * kLanes;
      store(p, accumulate ? load(p) + sum[r][n] : sum[r][n]);
    }
  }
}

template <class T, int R, int G>
struct Dense {
  template <int N>
  [[gnu::always_inline]] static inline void step(Vec<T> (&sum)[R][N], const T* x, const T* w,
                                                 int64_t group_stride) {
    constexpr int kLanes = kBytes / static_cast<int>(sizeof(T));
    Vec<T> column[N];
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      column[n] = load(w + n * kLanes / kGroup * group_stride + n * kLanes % kGroup);
    }
    multiply_add<T, R, N>(sum, x, column);
  }
  static void run(int64_t k, const T* x, const T* w, int64_t group_stride, T* c, int64_t ldc,
                  bool accumulate) {
    constexpr int kLanes = kBytes / static_cast<int>(sizeof(T)), N = kGroup / kLanes * G;
    Vec<T> sum[R][N];
    clear<T, R, N>(sum);
    fetch<T, R, G>(c, ldc);
    int64_t i = 0;
#pragma GCC unroll 1
    for (; i + kSteps <= k; i += kSteps, x += kSteps * R, w += kSteps * kGroup) {
#pragma GCC unroll 4
      for (int j = 0; j < kSteps; ++j) step<N>(sum, x + j * R, w + j * kGroup, group_stride);
    }
#pragma GCC unroll 1
    for (; i < k; ++i, x += R, w += kGroup) step<N>(sum, x, w, group_stride);
    put<T, R, N>(sum, c, ldc, accumulate);
  }
};

// A pair's halves, shifted up, are two f32.
template <int R, int G>
struct Pairs {
  static void run(int64_t k, const float* x, const uint32_t* w, int64_t group_stride, float* c,
                  int64_t ldc, bool accumulate) {
    constexpr int kLanes = kBytes / 4, N = kGroup / kLanes * G;
    Vec<float> sum[R][N];
    clear<float, R, N>(sum);
    fetch<float, R, G>(c, ldc);
#pragma GCC unroll 1
    for (int64_t i = 0; i < k; ++i, x += 2 * R, w += kGroup) {
      Vec<float> even[N], odd[N];
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) {
        Vec<uint32_t> both = load(w + n * kLanes / kGroup * group_stride + n * kLanes % kGroup);
        even[n] = reinterpret_cast<Vec<float>>(both << 16);
        odd[n] = reinterpret_cast<Vec<float>>(both & 0xffff0000u);
      }
      multiply_add<float, R, N>(sum, x, even);
      multiply_add<float, R, N>(sum, x + R, odd);
    }
    put<float, R, N>(sum, c, ldc, accumulate);
  }
};

template <int R, int G>
struct DenseF32 : Dense<float, R, G> {};
template <int R, int G>
struct DenseF64 : Dense<double, R, G> {};

// Fills fn[r - 1][g - 1] for r <= R and g <= G of `kMost` groups.
template <template <int, int> class Tile, int R, int G, int kMost, class Table>
constexpr void fill(Table& table) {
  table.fn[R - 1][G - 1] = Tile<R, G>::run;
  if constexpr (G > 1) fill<Tile, R, G - 1, kMost>(table);
  if constexpr (R > 1 && G == 1) fill<Tile, R - 1, kMost, kMost>(table);
}

template <template <int, int> class Tile, int R, int G, class X, class W, class C>
constexpr Tiles<X, W, C> tiles() {
  Tiles<X, W, C> table{R, G, {}};
  fill<Tile, R, G, G>(table);
  return table;
}

#if TALLOW_ISA_LEVEL == 2

[[gnu::always_inline]] inline void transpose_16(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) {
    __m512i a = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    __m512i b = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    __m512i c = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    __m512i d = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    t[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    t[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
    t[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

void interleave_32(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                   int64_t stride) {
  for (int64_t j = 0; j < k; j += 16) {
    const int64_t left = k - j;
    const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
    __m512i r[16];
    if (rows == 16 && left >= 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(source + i * ld + j);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const uint32_t* p = source + (i < rows ? i : 0) * ld + j;
        r[i] = _mm512_maskz_loadu_epi32(i < rows ? mask : __mmask16{0}, p);
      }
    }
    transpose_16(r);
    if (left >= 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(target + (j + i) * stride, r[i]);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        if (i < left) _mm512_storeu_si512(target + (j + i) * stride, r[i]);
      }
    }
  }
}

void copy_32(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
             int64_t stride) {
  constexpr int kAhead = 2 * kGroup;
  const __mmask16 mask = static_cast<__mmask16>((1 << rows) - 1);
  for (int64_t j = 0; j < k; ++j, source += ld, target += stride) {
    __builtin_prefetch(source + kAhead);
    _mm512_storeu_si512(target, _mm512_maskz_loadu_epi32(mask, source));
  }
}

#elif TALLOW_ISA_LEVEL == 1

[[gnu::always_inline]] inline void transpose_8(__m256 (&r)[8]) {
  __m256 t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

void interleave_8(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                  int64_t stride) {
  int64_t j = 0;
  for (; j + 8 <= k; j += 8) {
    __m256 r[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      r[i] = i < rows ? _mm256_loadu_ps(reinterpret_cast<const float*>(source + i * ld + j))
                      : _mm256_setzero_ps();
    }
    transpose_8(r);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      _mm256_storeu_ps(reinterpret_cast<float*>(target + (j + i) * stride), r[i]);
    }
  }
  for (; j < k; ++j) {
    for (int i = 0; i < 8; ++i) target[j * stride + i] = i < rows ? source[i * ld + j] : 0;
  }
}

// With a stride under 16 only the first half may be written past it.
void interleave_32(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                   int64_t stride) {
  interleave_8(rows < 8 ? rows : 8, k, source, ld, target, stride);
  if (stride < kGroup) return;
  const int rest = rows > 8 ? rows - 8 : 0;
  interleave_8(rest, k, rest ? source + 8 * ld : source, ld, target + 8, stride);
}

#else

void interleave_32(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
                   int64_t stride) {
  const int lanes = stride < kGroup ? rows : kGroup;
  for (int64_t j = 0; j < k; ++j) {
    for (int i = 0; i < lanes; ++i) target[j * stride + i] = i < rows ? source[i * ld + j] : 0;
  }
}

#endif

#if TALLOW_ISA_LEVEL < 2
void copy_32(int rows, int64_t k, const uint32_t* source, int64_t ld, uint32_t* target,
             int64_t stride) {
  const int lanes = stride < kGroup ? rows : kGroup;
  for (int64_t j = 0; j < k; ++j, source += ld, target += stride) {
    for (int i = 0; i < lanes; ++i) target[i] = i < rows ? source[i] : 0;
  }
}
#endif

void pairs_to_f32(const uint32_t* pairs, int64_t count, float* target) {
  constexpr int kLanes = kBytes / 4;
  for (int64_t i = 0; i < count; ++i, pairs += kGroup, target += 2 * kGroup) {
    for (int n = 0; n < kGroup; n += kLanes) {
      Vec<uint32_t> both = load(pairs + n);
      store(target + n, reinterpret_cast<Vec<float>>(both << 16));
      store(target + kGroup + n, reinterpret_cast<Vec<float>>(both & 0xffff0000u));
    }
  }
}

void bf16_row(const uint16_t* source, float* target, int64_t n) {
  for (int64_t i = 0; i < n; ++i) target[i] = bf16_to_f32(source[i]);
}

void f16_row(const uint16_t* source, float* target, int64_t n) {
  int64_t i = 0;
#if TALLOW_ISA_LEVEL >= 1
  for (; i + 8 <= n; i += 8) {
    __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i));
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(half));
  }
#endif
  for (; i < n; ++i) target[i] = f16_to_f32(source[i]);
}

void to_bf16_row(const float* source, uint16_t* target, int64_t n) {
  for (int64_t i = 0; i < n; ++i) target[i] = f32_to_bf16(source[i]);
}

// exp by 2^n times a polynomial of degree 6 on [-ln2/2, ln2/2]: 2 units in the last place.
inline Vec<float> exp(Vec<float> x) {
  constexpr float kLow = -87.3f, kHigh = 88.3f;
  x = x < kLow ? Vec<float>{} + kLow : x;
  x = x > kHigh ? Vec<float>{} + kHigh : x;
  Vec<float> shifted = x * 1.44269504f + 12582912.f;  // rounds to an integer in the low bits
  Vec<float> n = shifted - 12582912.f;
  Vec<float> r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  Vec<uint32_t> bits = reinterpret_cast<Vec<uint32_t>>(shifted) << 23;
  return reinterpret_cast<Vec<float>>(reinterpret_cast<Vec<uint32_t>>(p) + bits);
}

inline Vec<float> silu_mul(Vec<float> gate, Vec<float> up) {
  return gate / (1.f + exp(-gate)) * up;
}

void silu_mul_row(float* gate, const float* up, int64_t n) {
  constexpr int kLanes = kBytes / 4;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(gate + i, silu_mul(load(gate + i), load(up + i)));
  if (i == n) return;
  float last[2][kLanes] = {};
  for (int64_t j = i; j < n; ++j) last[0][j - i] = gate[j], last[1][j - i] = up[j];
  store(last[0], silu_mul(load(last[0]), load(last[1])));
  for (int64_t j = i; j < n; ++j) gate[j] = last[0][j - i];
}

}  // namespace

constinit const GemmKernels gemm_kernels{
    .f32 = tiles<DenseF32, kRows, kGroups, float, float, float>(),
    .f64 = tiles<DenseF64, kRowsF64, 1, double, double, double>(),
    .pairs = tiles<Pairs, kPairRows, kGroups, float, uint32_t, float>(),
    .interleave_32 = interleave_32,
    .copy_32 = copy_32,
    .pairs_to_f32 = pairs_to_f32,
    .bf16_to_f32 = bf16_row,
    .f16_to_f32 = f16_row,
    .f32_to_bf16 = to_bf16_row,
    .silu_mul = silu_mul_row,
};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
