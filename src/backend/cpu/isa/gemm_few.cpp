// Products of few rows with a weight whose rows are read as they lie in memory: dot products, a few
// rows of each side at a time, without packing.
#include "backend/cpu/gemm/kernels.h"
#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL == 2
constexpr int kDotRows = 6;
#elif TALLOW_ISA_LEVEL == 1
constexpr int kDotRows = 2;
#else
constexpr int kDotRows = 1;
#endif
constexpr int kColumns = kDotColumns;
constexpr int64_t kAhead = 512;  // elements of a row that are asked for before they are needed

TALLOW_INLINE Floats load_some(const float* p) { return load(p); }
TALLOW_INLINE Floats load_some(const uint16_t* p) { return widen(load_as<Halves>(p)); }
TALLOW_INLINE Floats load_rest(const float* p, int64_t n) { return load_first(p, n); }
TALLOW_INLINE Floats load_rest(const uint16_t* p, int64_t n) {
  uint16_t lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_some(lanes);
}

// The sums of four vectors' lanes.
TALLOW_INLINE Quad sum_each(const Floats (&v)[kColumns]) {
#if TALLOW_ISA_LEVEL == 2
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
  const __m512d p = reinterpret_cast<__m512d>(ab), q = reinterpret_cast<__m512d>(cd);
  const __m512 all = _mm512_add_ps(reinterpret_cast<__m512>(_mm512_unpacklo_pd(p, q)),
                                   reinterpret_cast<__m512>(_mm512_unpackhi_pd(p, q)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
#elif TALLOW_ISA_LEVEL == 1
  const __m256 ab = _mm256_hadd_ps(v[0], v[1]), cd = _mm256_hadd_ps(v[2], v[3]);
  const __m256 all = _mm256_hadd_ps(ab, cd);
  return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
#else
  return Quad{sum_lanes(v[0]), sum_lanes(v[1]), sum_lanes(v[2]), sum_lanes(v[3])};
#endif
}

// y [R, columns] (+)= x [R, k] w [columns, k]^T; columns past the last repeat it.
template <class W, int R>
void dot(int64_t k, const float* x, int64_t ldx, const W* w, int64_t ldw, int columns, float* y,
         int64_t ldy, bool accumulate) {
  const W* row[kColumns];
#pragma GCC unroll 4
  for (int c = 0; c < kColumns; ++c) row[c] = w + (c < columns ? c : columns - 1) * ldw;
  Floats sum[R][kColumns] = {};
  int64_t i = 0;
#pragma GCC unroll 1
  for (; i + kLanes <= k; i += kLanes) {
    Floats value[kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      value[c] = load_some(row[c] + i);
      __builtin_prefetch(row[c] + i + kAhead);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Floats left = load(x + r * ldx + i);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sum[r][c] += left * value[c];
    }
  }
  if (i < k) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      const Floats value = load_rest(row[c] + i, k - i);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][c] += load_first(x + r * ldx + i, k - i) * value;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r, y += ldy) {
    Quad total = sum_each(sum[r]);
    if (columns == kColumns) {
      store_as(y, accumulate ? total + load_as<Quad>(y) : total);
    } else {
      for (int c = 0; c < columns; ++c) y[c] = accumulate ? y[c] + total[c] : total[c];
    }
  }
}

template <class W, int R>
constexpr void fill(DotFn<W> (&fn)[kMostDotRows]) {
  fn[R - 1] = dot<W, R>;
  if constexpr (R > 1) fill<W, R - 1>(fn);
}

// Columns that a register tile holds.
constexpr int kVectors = 4;
constexpr int kTileColumns = kVectors * kLanes;

template <class W, int R, int N>
TALLOW_INLINE void row_tile(int64_t k, const float* x, int64_t row_stride, int64_t k_stride,
                            const W* w, int64_t ldw, float* y, int64_t ldy, bool accumulate) {
  Floats sum[R][N] = {};
#pragma GCC unroll 1
  for (int64_t i = 0; i < k; ++i, x += k_stride, w += ldw) {
    Floats value[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      value[n] = load_some(w + n * kLanes);
      __builtin_prefetch(w + kTileColumns + n * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Floats left = splat(x[r * row_stride]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[r][n] += left * value[n];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      float* p = y + r * ldy + n * kLanes;
      store(p, accumulate ? load(p) + sum[r][n] : sum[r][n]);
    }
  }
}

// The columns that do not fill a vector.
template <class W, int R>
void row_rest(int64_t k, const float* x, int64_t row_stride, int64_t k_stride, const W* w,
              int64_t ldw, int columns, float* y, int64_t ldy, bool accumulate) {
  Floats sum[R] = {};
  for (int64_t i = 0; i < k; ++i, x += k_stride, w += ldw) {
    const Floats value = load_rest(w, columns);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r] += splat(x[r * row_stride]) * value;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    float* p = y + r * ldy;
    store_first(p, accumulate ? load_first(p, columns) + sum[r] : sum[r], columns);
  }
}

template <class W, int R>
void rows_of(int64_t k, const float* x, int64_t row_stride, int64_t k_stride, const W* w,
             int64_t ldw, int columns, float* y, int64_t ldy, bool accumulate) {
  int c = 0;
  for (; c + kTileColumns <= columns; c += kTileColumns) {
    row_tile<W, R, kVectors>(k, x, row_stride, k_stride, w + c, ldw, y + c, ldy, accumulate);
  }
  for (; c + kLanes <= columns; c += kLanes) {
    row_tile<W, R, 1>(k, x, row_stride, k_stride, w + c, ldw, y + c, ldy, accumulate);
  }
  if (c < columns) {
    row_rest<W, R>(k, x, row_stride, k_stride, w + c, ldw, columns - c, y + c, ldy, accumulate);
  }
}

template <class W, int R>
constexpr void fill_rows(RowFn<W> (&fn)[kMostDotRows]) {
  fn[R - 1] = rows_of<W, R>;
  if constexpr (R > 1) fill_rows<W, R - 1>(fn);
}

constexpr DotKernels kernels() {
  DotKernels table{.rows = kDotRows, .f32 = {}, .bf16 = {}, .columns_f32 = {}, .columns_bf16 = {}};
  fill<float, kDotRows>(table.f32);
  fill<uint16_t, kDotRows>(table.bf16);
  fill_rows<float, kDotRows>(table.columns_f32);
  fill_rows<uint16_t, kDotRows>(table.columns_bf16);
  return table;
}

}  // namespace

constinit const DotKernels dot_kernels = kernels();

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
