// Weights whose codes stand for numbers that no 8-bit integers are: bitsandbytes' tables, and FP8.
// They are multiplied with activations in f32, decoded once for up to 4 columns, or dequantized
// into bf16 panels.
#include "backend/cpu/quant/panel_avx512.h"
#include "core/blocks_grouped.h"

namespace tallow::cpu::quant {
namespace {

/// Number q, i of a group: that of k = 4 q + i for 16 rows.
struct Table4 {
  static constexpr Format f = k_real4;
  __m512 table;
  explicit Table4(const float* values) : table(_mm512_loadu_ps(values)) {}
  template <int q>
  __attribute__((always_inline)) static inline __m512i quad(const uint8_t* p) {
    const __m512i v = load(p + 64 * (q % 4));
    return q < 4 ? v : _mm512_srli_epi32(v, 4);
  }
  template <int i>
  TALLOW_INLINE __m512 number(const Table4& self, __m512i quad) {
    return _mm512_permutexvar_ps(_mm512_srli_epi32(quad, 8 * i), self.table);
  }
};

struct Nf4 : Table4 {
  Nf4() : Table4(blocks::kNf4Values) {}
};
struct Bnb4 : Table4 {
  Bnb4() : Table4(blocks::kBnb4Values) {}
};

struct E4m3 {
  static constexpr Format f = k_real8;
  template <int q>
  __attribute__((always_inline)) static inline __m512i quad(const uint8_t* p) {
    return load(p + 64 * q);
  }
  /// The exponent is moved to that of f32. Where it is 0, the number is m / 8 * 2^-6: what the next
  /// exponent gives, without its leading 1. The code of NaN gives 480.
  template <int i>
  TALLOW_INLINE __m512 number(const E4m3&, __m512i quad) {
    const __m512i field = _mm512_set1_epi32(0x07f00000);
    __m512i v = i == 3 ? _mm512_srli_epi32(quad, 4) : _mm512_slli_epi32(quad, 20 - 8 * i);
    v = _mm512_and_si512(v, field);
    const __mmask16 small = _mm512_cmplt_epu32_mask(v, _mm512_set1_epi32(1 << 23));
    v = _mm512_add_epi32(v, _mm512_set1_epi32(120 << 23));
    v = _mm512_mask_add_epi32(v, small, v, _mm512_set1_epi32(1 << 23));
    __m512 number = _mm512_castsi512_ps(v);
    number = _mm512_mask_sub_ps(number, small, number, _mm512_set1_ps(0x1p-6f));
    const __m512i sign = _mm512_slli_epi32(quad, 24 - 8 * i);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
        _mm512_castps_si512(number), sign, _mm512_set1_epi32(INT32_MIN), 0xf8));  // a | (b & c)
  }
};

template <class Code, int columns, int q = 0>
TALLOW_INLINE void add_group(const Code& code, const uint8_t* p, const float* x, int64_t ldx,
                             __m512 (*sum)[4]) {
  const __m512i quad = Code::template quad<q>(p);
  const __m512 w[4] = {Code::template number<0>(code, quad), Code::template number<1>(code, quad),
                       Code::template number<2>(code, quad), Code::template number<3>(code, quad)};
#pragma GCC unroll 4
  for (int c = 0; c < columns; ++c) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      sum[c][i] = _mm512_fmadd_ps(w[i], _mm512_set1_ps(x[c * ldx + 4 * q + i]), sum[c][i]);
    }
  }
  if constexpr (q < 7) add_group<Code, columns, q + 1>(code, p, x, ldx, sum);
}

constexpr int kAhead =
    8 << 10;  // bytes of weights that are asked for early, as matmul_vnni.cpp does

template <class Code, int columns>
void matmul(const RealTile& t) {
  const Code code;
  __m512 y[columns];
#pragma GCC unroll 4
  for (int c = 0; c < columns; ++c) y[c] = _mm512_setzero_ps();
  const uint8_t* p = t.weights;
  const float* x = t.x;
  for (int64_t u = 0; u < t.units; ++u) {
    const __m512 scale = _mm512_loadu_ps(p);
    p += Code::f.head_bytes();
    __m512 sum[columns][4];
#pragma GCC unroll 4
    for (int c = 0; c < columns; ++c) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sum[c][i] = _mm512_setzero_ps();
    }
    for (int g = 0; g < Code::f.groups; ++g, p += Code::f.group_bytes(), x += 32) {
      for (int line = 0; line < Code::f.group_bytes(); line += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(p) + kAhead + line, _MM_HINT_T1);
      }
      add_group<Code, columns>(code, p, x, t.ldx, sum);
    }
#pragma GCC unroll 4
    for (int c = 0; c < columns; ++c) {
      const __m512 total =
          _mm512_add_ps(_mm512_add_ps(sum[c][0], sum[c][1]), _mm512_add_ps(sum[c][2], sum[c][3]));
      y[c] = _mm512_fmadd_ps(scale, total, y[c]);
    }
  }
  const auto rows = static_cast<__mmask16>((1u << t.rows) - 1);
  for (int c = 0; c < columns; ++c) _mm512_mask_storeu_ps(t.y + c * t.ldy, rows, y[c]);
}

template <class Code, int q = 0>
TALLOW_INLINE void group_to_bf16(const Code& code, const uint8_t* p, __m512 scale,
                                 uint16_t* panel) {
  const __m512i quad = Code::template quad<q>(p);
  const __m512 w[4] = {_mm512_mul_ps(scale, Code::template number<0>(code, quad)),
                       _mm512_mul_ps(scale, Code::template number<1>(code, quad)),
                       _mm512_mul_ps(scale, Code::template number<2>(code, quad)),
                       _mm512_mul_ps(scale, Code::template number<3>(code, quad))};
  _mm512_storeu_si512(panel + 64 * q, pair_bf16(w[0], w[1]));
  _mm512_storeu_si512(panel + 64 * q + 32, pair_bf16(w[2], w[3]));
  if constexpr (q < 7) group_to_bf16<Code, q + 1>(code, p, scale, panel);
}

template <class Code>
void to_bf16(const uint8_t* p, Length length, uint16_t* panel) {
  const Code code;
  for (int64_t u = 0; u < length.units; ++u) {
    const __m512 scale = _mm512_loadu_ps(p);
    p += Code::f.head_bytes();
    for (int g = 0; g < Code::f.groups; ++g, p += Code::f.group_bytes(), panel += 32 * 16) {
      group_to_bf16<Code>(code, p, scale, panel);
    }
  }
}

template <class Code>
constexpr RealKernels kernels{{matmul<Code, 1>, matmul<Code, 2>, matmul<Code, 3>, matmul<Code, 4>},
                              to_bf16<Code>};

}  // namespace

const RealKernels* real_avx512(DType dtype) {
  switch (dtype) {
    case DType::nf4_g64: return &kernels<Nf4>;
    case DType::bnb4_g64: return &kernels<Bnb4>;
    case DType::f8_g64: return &kernels<E4m3>;
    default: return nullptr;
  }
}

}  // namespace tallow::cpu::quant
