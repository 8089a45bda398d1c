// Quantized products with AVX2: 8 rows at a time, bytes multiplied in pairs into 16 bits.
#include <immintrin.h>

#include "backend/cpu/quant/kernels.h"

namespace tallow::cpu::quant {
namespace {

#define TALLOW_INLINE static inline __attribute__((always_inline))

template <int left>
TALLOW_INLINE __m256i shift(__m256i v) {
  if constexpr (left > 0) return _mm256_slli_epi16(v, left);
  if constexpr (left < 0) return _mm256_srli_epi16(v, -left);
  return v;
}

TALLOW_INLINE __m256i load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

template <int left, int mask>
TALLOW_INLINE __m256i field(__m256i v) {
  return _mm256_and_si256(shift<left>(v), _mm256_set1_epi8(static_cast<char>(mask)));
}

/// Quad q of 8 rows as unsigned codes; bytes keep their +128.
template <Format f, int q>
TALLOW_INLINE __m256i code(const uint8_t* p) {
  if constexpr (f.codes == Codes::bytes) return load(p + 64 * q);
  if constexpr (f.codes == Codes::bits) return field<-q, 1>(load(p));
  __m256i v;
  if constexpr (f.codes <= Codes::nibbles_pair) {
    v = field < q < 4 ? 0 : -4, 15 > (load(p + 64 * (q % 4)));
  } else {
    v = field<-2 * (q % 4), 3>(load(p + 64 * (q / 4)));
  }
  if constexpr (f.codes == Codes::nibbles_high) {
    v = _mm256_or_si256(v, field<4 - high_bit(q), 16>(load(p + 256)));
  } else if constexpr (f.codes == Codes::nibbles_pair) {
    v = _mm256_or_si256(v, field<4 - 2 * (q % 4), 48>(load(p + 256 + 64 * (q / 4))));
  } else if constexpr (f.codes == Codes::pairs_high) {
    v = _mm256_or_si256(v, field<2 - high_bit(q), 4>(load(p + 128)));
  }
  return v;
}

/// Types whose values take all 8 bits go through absolute values and signs: unsigned times signed
/// bytes would overflow the 16 bits of a pair.
template <Format f>
constexpr bool by_sign() {
  return f.codes == Codes::bytes || f.has_table();
}

template <Format f, int q>
TALLOW_INLINE __m256i quad(const uint8_t* p) {
  const __m256i v = code<f, q>(p);
  if constexpr (f.codes == Codes::bytes) {
    return _mm256_xor_si256(v, _mm256_set1_epi8(-128));
  } else if constexpr (f.has_table()) {
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(f.table().values));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), v);
  }
  return v;
}

/// How many products of pairs fit in 16 bits together.
template <Format f>
constexpr int pairs_that_fit() {
  if (f.codes == Codes::bytes || f.values == Values::iq4) return 1;
  if (f.has_table()) return f.table().bits <= 4 ? 8 : 2;
  return f.bits() <= 4 ? 8 : f.bits() == 5 ? 4 : 2;
}

/// The weights of 32 k of 8 rows. Index 1 of the scales is for the upper 16 k.
struct Group {
  __m256i quad[8];
  __m256 scale[2], min[2];
};

template <Format f, int q = 0>
TALLOW_INLINE void unpack(const uint8_t* p, Group& g) {
  g.quad[q] = quad<f, q>(p);
  if constexpr (q < 7) unpack<f, q + 1>(p, g);
}

TALLOW_INLINE __m256 halves(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

TALLOW_INLINE __m256 floats(const uint8_t* p) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
}

TALLOW_INLINE __m128i load8(const uint8_t* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}

TALLOW_INLINE __m256 signed_bytes(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load8(p)));
}

TALLOW_INLINE __m256 unsigned_bytes(__m128i v) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
}

/// d, and minus dmin, of a K block, for the rows of half h; or d and m in f32.
struct Head {
  __m256 d, minus_min, min;
};

template <Format f>
TALLOW_INLINE Head head(const uint8_t* unit, int h) {
  Head out = {};
  if constexpr (f.is_k()) out.d = halves(unit + 16 * h);
  if constexpr (f.scales == Scales::f32_min || f.scales == Scales::f32_fp8) {
    out.d = floats(unit + 32 * h);
  }
  if constexpr (f.scales == Scales::f32_min) out.min = floats(unit + 64 + 32 * h);
  if constexpr (f.has_table() && f.table().shift > 0) {
    out.d = _mm256_mul_ps(out.d, _mm256_set1_ps(1.0f / static_cast<float>(1 << f.table().shift)));
  }
  if constexpr (f.is_k() && f.has_min()) {
    out.minus_min = _mm256_xor_ps(halves(unit + 32 + 16 * h), _mm256_set1_ps(-0.0f));
  }
  return out;
}

template <Format f>
TALLOW_INLINE void group_scales(const Head& d, const uint8_t* s, int h, Group& g) {
  if constexpr (f.scales == Scales::f16 || f.scales == Scales::f16_min) {
    g.scale[0] = halves(s + 16 * h);
  }
  if constexpr (f.scales == Scales::f16_min) g.min[0] = halves(s + 32 + 16 * h);
  if constexpr (f.scales == Scales::e8m0) {
    const __m128i exponent = _mm_subs_epu8(load8(s + 8 * h), _mm_set1_epi8(1));
    g.scale[0] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(exponent), 23));
  }
  if constexpr (f.scales == Scales::k32) g.scale[0] = _mm256_mul_ps(d.d, signed_bytes(s + 8 * h));
  if constexpr (f.scales == Scales::k16) {
    g.scale[0] = _mm256_mul_ps(d.d, signed_bytes(s + 8 * h));
    g.scale[1] = _mm256_mul_ps(d.d, signed_bytes(s + 16 + 8 * h));
  }
  if constexpr (f.scales == Scales::unit || f.scales == Scales::f32_min) g.scale[0] = d.d;
  if constexpr (f.scales == Scales::f32_min) g.min[0] = d.min;
  if constexpr (f.fp8_scales()) {
    // The bits as an f16 of which the exponent is 8 too small; and half of that.
    __m256 unit = _mm256_set1_ps(128.0f);
    if constexpr (f.scales == Scales::f32_fp8) unit = _mm256_mul_ps(unit, d.d);
    for (int half = 0; half < 2; ++half) {
      const __m128i bits = _mm_slli_epi16(_mm_cvtepu8_epi16(load8(s + 16 * half + 8 * h)), 7);
      g.scale[half] = _mm256_mul_ps(_mm256_cvtph_ps(bits), unit);
    }
  }
  if constexpr (f.scales == Scales::k32_min) {
    g.scale[0] = _mm256_mul_ps(d.d, unsigned_bytes(load8(s + 8 * h)));
    g.min[0] = _mm256_mul_ps(d.minus_min, unsigned_bytes(load8(s + 16 + 8 * h)));
  }
  if constexpr (f.scales == Scales::k16_min) {
    const __m128i low = _mm_set1_epi8(15);
    for (int half = 0; half < 2; ++half) {
      const __m128i v = load8(s + 16 * half + 8 * h);
      g.scale[half] = _mm256_mul_ps(d.d, unsigned_bytes(_mm_and_si128(v, low)));
      g.min[half] =
          _mm256_mul_ps(d.minus_min, unsigned_bytes(_mm_and_si128(_mm_srli_epi16(v, 4), low)));
    }
  }
}

/// Quad q times x, in pairs of 16 bits.
template <Format f>
TALLOW_INLINE __m256i product(__m256i w, int32_t x4) {
  const __m256i x = _mm256_set1_epi32(x4);
  if constexpr (by_sign<f>()) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  } else {
    return _mm256_maddubs_epi16(w, x);
  }
}

/// Quads [q, end) . x in pairs of 16 bits.
template <Format f, int q, int end>
TALLOW_INLINE __m256i pairs(const Group& g, const QuantizedBlock* x) {
  const __m256i p = product<f>(g.quad[q], x->q[q]);
  if constexpr (q + 1 == end) {
    return p;
  } else {
    return _mm256_add_epi16(p, pairs<f, q + 1, end>(g, x));
  }
}

/// sum += quads [q, end) . x
template <Format f, int q, int end>
TALLOW_INLINE __m256i dot(__m256i sum, const Group& g, const QuantizedBlock* x) {
  if constexpr (q == end) {
    return sum;
  } else {
    constexpr int next = q + pairs_that_fit<f>() < end ? q + pairs_that_fit<f>() : end;
    const __m256i part = _mm256_madd_epi16(pairs<f, q, next>(g, x), _mm256_set1_epi16(1));
    return dot<f, next, end>(_mm256_add_epi32(sum, part), g, x);
  }
}

/// Minus the zero point times the sum of the activations, of which `zero` is -128 times.
template <Format f>
TALLOW_INLINE __m256i start(int32_t zero) {
  if constexpr (f.has_min() || by_sign<f>()) return _mm256_setzero_si256();
  return _mm256_set1_epi32(zero / 128 * f.zero_point());
}

template <Format f>
TALLOW_INLINE __m256 column(const Group& g, const QuantizedBlock* x, __m256 y) {
  const __m256 scale = _mm256_set1_ps(x->scale);
  if constexpr (f.per_16()) {
    const __m256i low = dot<f, 0, 4>(start<f>(x->zero2[0]), g, x);
    const __m256i high = dot<f, 4, 8>(start<f>(x->zero2[1]), g, x);
    const __m256 sum = _mm256_mul_ps(g.scale[0], _mm256_cvtepi32_ps(low));
    y = _mm256_fmadd_ps(_mm256_fmadd_ps(g.scale[1], _mm256_cvtepi32_ps(high), sum), scale, y);
    if constexpr (f.has_min()) {
      y = _mm256_fmadd_ps(g.min[0], _mm256_set1_ps(x->half[0]), y);
      y = _mm256_fmadd_ps(g.min[1], _mm256_set1_ps(x->half[1]), y);
    }
  } else {
    const __m256i sum = dot<f, 0, 8>(start<f>(x->zero - kMagicBits), g, x);
    y = _mm256_fmadd_ps(g.scale[0], _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), y);
    if constexpr (f.has_min()) y = _mm256_fmadd_ps(g.min[0], _mm256_set1_ps(x->total), y);
  }
  return y;
}

/// `limit` columns at most: with 1 the sums stay in registers, with 8 they pass through the L1
/// cache, which costs little beside unpacking the weights again.
template <Format f, int limit>
void matmul(const MatmulTile& t) {
  const int columns = limit == 1 ? 1 : t.columns;
  __m256 y[2][limit];
  for (int c = 0; c < limit; ++c) y[0][c] = y[1][c] = _mm256_setzero_ps();
  const uint8_t* p = t.weights;
  const QuantizedBlock* x = t.x;
  for (int64_t u = 0; u < t.length.units; ++u) {
    const Head heads[2] = {head<f>(p, 0), head<f>(p, 1)};
    p += f.head_bytes();
    for (int i = 0; i < f.unit_groups(t.length.groups); ++i, p += f.group_bytes(), x += t.x_step) {
      for (int h = 0; h < 2; ++h) {
        Group g;
        unpack<f>(p + 32 * h, g);
        group_scales<f>(heads[h], p + f.code_bytes(), h, g);
        for (int c = 0; c < columns; ++c) y[h][c] = column<f>(g, x + c, y[h][c]);
      }
    }
  }
  for (int c = 0; c < columns; ++c) {
    alignas(32) float out[16];
    for (int h = 0; h < 2; ++h) _mm256_store_ps(out + 8 * h, y[h][c]);
    for (int r = 0; r < t.rows; ++r) t.y[c * t.ldy + r] = out[r];
  }
}

template <Format f>
constexpr MatmulKernels kernels{{matmul<f, 1>, matmul<f, 8>, matmul<f, 8>, matmul<f, 8>,
                                 matmul<f, 8>, matmul<f, 8>, matmul<f, 8>, matmul<f, 8>}};

}  // namespace

const MatmulKernels* matmul_avx2(DType dtype) {
  switch (format_type(dtype)) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return &kernels<k_##type>;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    default: return nullptr;
  }
}

}  // namespace tallow::cpu::quant
