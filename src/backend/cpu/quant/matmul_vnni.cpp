// Quantized products with AVX-512 VNNI: unsigned weights times signed activations.
#include "backend/cpu/quant/codes_avx512.h"

namespace tallow::cpu::quant {
namespace {

/// The weights of 32 k of 16 rows, unpacked once for all columns.
struct Group {
  __m512i quad[8];
  GroupScales scales;
};

template <Format f, int q = 0>
TALLOW_INLINE void unpack(const uint8_t* p, Group& g) {
  g.quad[q] = quad<f, q>(p);
  if constexpr (q < 7) unpack<f, q + 1>(p, g);
}

/// sum += quads [q, end) . x
template <int q, int end>
TALLOW_INLINE __m512i dot(__m512i sum, const Group& g, const QuantizedBlock* x) {
  if constexpr (q == end) {
    return sum;
  } else {
    return dot<q + 1, end>(_mm512_dpbusd_epi32(sum, g.quad[q], _mm512_set1_epi32(x->q[q])), g, x);
  }
}

/// Plain codes have no zero point.
template <Format f>
TALLOW_INLINE __m512i start(const int32_t& zero, int32_t otherwise) {
  return _mm512_set1_epi32(f.values == Values::plain ? otherwise : zero);
}

/// y + sum * scale of one column of 32 k. The sum of 32 starts at the magic number and is taken for
/// a float without conversion, which saves one vector operation of eleven.
template <Format f>
TALLOW_INLINE __m512 column(const Group& g, const QuantizedBlock* x, __m512 y) {
  const GroupScales& s = g.scales;
  const __m512 scale = _mm512_set1_ps(x->scale);
  if constexpr (f.per_16()) {
    const __m512i low = dot<0, 4>(start<f>(x->zero2[0], 0), g, x);
    const __m512i high = dot<4, 8>(start<f>(x->zero2[1], 0), g, x);
    const __m512 sum = _mm512_mul_ps(s.scale[0], _mm512_cvtepi32_ps(low));
    y = _mm512_fmadd_ps(_mm512_fmadd_ps(s.scale[1], _mm512_cvtepi32_ps(high), sum), scale, y);
    if constexpr (f.has_min()) {
      y = _mm512_fmadd_ps(s.min[0], _mm512_set1_ps(x->half[0]), y);
      y = _mm512_fmadd_ps(s.min[1], _mm512_set1_ps(x->half[1]), y);
    }
  } else {
    const __m512 sum = _mm512_castsi512_ps(dot<0, 8>(start<f>(x->zero, kMagicBits), g, x));
    y = _mm512_fmadd_ps(s.scale[0], _mm512_fmsub_ps(sum, scale, _mm512_set1_ps(x->magic)), y);
    if constexpr (f.has_min()) y = _mm512_fmadd_ps(s.min[0], _mm512_set1_ps(x->total), y);
  }
  return y;
}

template <Format f, int columns, int c = 0>
TALLOW_INLINE void all_columns(const Group& g, const QuantizedBlock* x, __m512* y) {
  y[c] = column<f>(g, x + c, y[c]);
  if constexpr (c + 1 < columns) all_columns<f, columns, c + 1>(g, x, y);
}

template <Format f, int columns, int c = 0>
TALLOW_INLINE void store(const MatmulTile& t, const __m512* y) {
  const __m512 unit = _mm512_set1_ps(unit_value<f>());
  const __mmask16 rows = static_cast<__mmask16>((1u << t.rows) - 1);
  _mm512_mask_storeu_ps(t.y + c * t.ldy, rows, _mm512_mul_ps(y[c], unit));
  if constexpr (c + 1 < columns) store<f, columns, c + 1>(t, y);
}

template <Format f, int columns, int c = 0>
TALLOW_INLINE void clear(__m512* y) {
  y[c] = _mm512_setzero_ps();
  if constexpr (c + 1 < columns) clear<f, columns, c + 1>(y);
}

/// How far ahead of the arithmetic weights are asked for where reading them is what takes the time:
/// the processor's own prefetcher stops at the ends of pages. Into L2, which can wait for three
/// times as many lines as L1; past the end of a tensor comes, mostly, the one that is used next.
constexpr int kPrefetch = 12 << 10;

template <Format f, int columns>
void matmul(const MatmulTile& t) {
  __m512 y[columns];
  clear<f, columns>(y);
  const uint8_t* p = t.weights;
  const QuantizedBlock* x = t.x;
  for (int64_t u = 0; u < t.length.units; ++u) {
    const Head h = head<f>(p);
    p += f.head_bytes();
    for (int i = 0; i < f.unit_groups(t.length.groups); ++i, p += f.group_bytes(), x += t.x_step) {
      if constexpr (columns <= 4) {
        for (int line = 0; line < f.group_bytes(); line += 64) {
          _mm_prefetch(reinterpret_cast<const char*>(p) + kPrefetch + line, _MM_HINT_T1);
        }
      }
      Group g;
      unpack<f>(p, g);
      g.scales = group_scales<f>(h, p + f.code_bytes());
      all_columns<f, columns>(g, x, y);
    }
  }
  store<f, columns>(t, y);
}

/// Widths that are rare are two tiles: unpacking twice costs less than the code of three more
/// kernels.
template <Format f, int first, int second>
void two_tiles(const MatmulTile& t) {
  matmul<f, first>(t);
  MatmulTile rest = t;
  rest.x += first;
  rest.y += first * t.ldy;
  matmul<f, second>(rest);
}

template <Format f>
constexpr MatmulKernels kernels{{matmul<f, 1>, matmul<f, 2>, matmul<f, 3>, matmul<f, 4>,
                                 two_tiles<f, 4, 1>, two_tiles<f, 3, 3>, two_tiles<f, 4, 3>,
                                 matmul<f, 8>}};

}  // namespace

const MatmulKernels* matmul_vnni(DType dtype) {
  switch (format_type(dtype)) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return &kernels<k_##type>;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    default: return nullptr;
  }
}

}  // namespace tallow::cpu::quant
