// Packing 16 rows of each block type. Included by one file per instruction set; the loops over the
// 16 rows are what the compiler vectorizes.
#pragma once

#include <cstdint>
#include <cstring>
#if TALLOW_ISA_LEVEL >= 2
#include <immintrin.h>
#endif

#include "backend/cpu/quant/kernels.h"

namespace tallow::cpu::quant {
namespace {

using Rows = const uint8_t* const*;
using Words = uint32_t[16];  // one word of each row

#if TALLOW_ISA_LEVEL >= 2
/// Four words of each row: a transposition of 4 x 4 words in each 128-bit lane.
inline void load4(Rows rows, int64_t offset, Words* words) {
  __m512i row[4];  // rows i, i + 4, i + 8, i + 12
  for (int i = 0; i < 4; ++i) {
    const auto at = [&](int r) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + offset));
    };
    row[i] = _mm512_castsi128_si512(at(i));
    row[i] = _mm512_inserti32x4(row[i], at(i + 4), 1);
    row[i] = _mm512_inserti32x4(row[i], at(i + 8), 2);
    row[i] = _mm512_inserti32x4(row[i], at(i + 12), 3);
  }
  const __m512i a = _mm512_unpacklo_epi32(row[0], row[1]);
  const __m512i b = _mm512_unpacklo_epi32(row[2], row[3]);
  const __m512i c = _mm512_unpackhi_epi32(row[0], row[1]);
  const __m512i d = _mm512_unpackhi_epi32(row[2], row[3]);
  _mm512_storeu_si512(words[0], _mm512_unpacklo_epi64(a, b));
  _mm512_storeu_si512(words[1], _mm512_unpackhi_epi64(a, b));
  _mm512_storeu_si512(words[2], _mm512_unpacklo_epi64(c, d));
  _mm512_storeu_si512(words[3], _mm512_unpackhi_epi64(c, d));
}
#endif

/// words[w][r] = the w-th word at rows[r] + offset.
template <int count>
inline void load(Rows rows, int64_t offset, Words* words) {
#if TALLOW_ISA_LEVEL >= 2
  if constexpr (count % 4 == 0) {
    for (int w = 0; w < count; w += 4) load4(rows, offset + 4 * w, words + w);
    return;
  }
#endif
  for (int r = 0; r < 16; ++r) {
    uint32_t row[count];
    std::memcpy(row, rows[r] + offset, sizeof row);
    for (int w = 0; w < count; ++w) words[w][r] = row[w];
  }
}

/// 16-bit scales, one of each row.
inline void halves(Rows rows, int64_t offset, uint8_t* out) {
  for (int r = 0; r < 16; ++r) std::memcpy(out + 2 * r, rows[r] + offset, 2);
}

/// Byte `byte` of each row's word, plus `add`.
inline void bytes_of(const Words& words, int byte, int add, uint8_t* out) {
  for (int r = 0; r < 16; ++r) {
    out[r] = static_cast<uint8_t>((words[r] >> (8 * byte)) + static_cast<uint32_t>(add));
  }
}

inline void store(const Words& words, uint8_t* out) { std::memcpy(out, words, 64); }

/// 32 bytes whose low and high nibbles are two groups: four vectors for each.
inline void split_nibbles(const Words* words, uint8_t* low, uint8_t* high) {
  for (int v = 0; v < 4; ++v) {
    Words a, b;
    for (int r = 0; r < 16; ++r) {
      const uint32_t first = words[v][r], second = words[v + 4][r];
      a[r] = (first & 0x0f0f0f0f) | (second & 0x0f0f0f0f) << 4;
      b[r] = ((first >> 4) & 0x0f0f0f0f) | (second & 0xf0f0f0f0);
    }
    store(a, low + 64 * v);
    store(b, high + 64 * v);
  }
}

/// Bit `bit` of 32 bytes: the vector of high bits of that group.
inline void pick_bits(const Words* words, int bit, uint8_t* out) {
  Words high = {};
  for (int q = 0; q < 8; ++q) {
    for (int r = 0; r < 16; ++r) high[r] |= ((words[q][r] >> bit) & 0x01010101) << high_bit(q);
  }
  store(high, out);
}

/// Bits 2 t and 2 t + 1 of 32 bytes: the two vectors of pairs of that group.
inline void pick_pairs(const Words* words, int t, uint8_t* out) {
  for (int half = 0; half < 2; ++half) {
    Words pairs = {};
    for (int q = 0; q < 4; ++q) {
      for (int r = 0; r < 16; ++r) {
        pairs[r] |= ((words[4 * half + q][r] >> (2 * t)) & 0x03030303) << (2 * q);
      }
    }
    store(pairs, out + 64 * half);
  }
}

/// 32 consecutive bits, as q5_0 and q5_1 have them: swaps bits 4 with 1 and 3 with 0 of the index.
inline void spread_bits(Rows rows, int64_t offset, uint8_t* out) {
  Words words[1];
  load<1>(rows, offset, words);
  for (int r = 0; r < 16; ++r) {
    uint32_t x = words[0][r];
    uint32_t t = ((x >> 14) ^ x) & 0x0000cccc;
    x ^= t ^ (t << 14);
    t = ((x >> 7) ^ x) & 0x00aa00aa;
    words[0][r] = x ^ t ^ (t << 7);
  }
  store(words[0], out);
}

/// Blocks of 32 with nibbles: 16-bit scales (or a byte) first, then high bits if any, then nibbles.
template <Format f, int block_bytes>
inline void pack_32(Rows rows, int64_t units, uint8_t* out) {
  constexpr int scale = f.scales == Scales::e8m0 ? 1 : f.scales == Scales::f16_min ? 4 : 2;
  constexpr int high = f.codes == Codes::nibbles_high ? 4 : 0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * block_bytes;
    Words words[4];
    load<4>(rows, at + scale + high, words);
    for (int v = 0; v < 4; ++v) store(words[v], out + 64 * v);
    if constexpr (high != 0) spread_bits(rows, at + scale, out + 256);
    uint8_t* scales = out + f.code_bytes();
    if constexpr (f.scales == Scales::e8m0) {
      for (int r = 0; r < 16; ++r) scales[r] = rows[r][at];
    } else {
      halves(rows, at, scales);
      if constexpr (f.scales == Scales::f16_min) halves(rows, at + 2, scales + 32);
    }
  }
}

inline void pack_q4_0(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_q4_0, 18>(rows, units, out);
}
inline void pack_q4_1(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_q4_1, 20>(rows, units, out);
}
inline void pack_q5_0(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_q5_0, 22>(rows, units, out);
}
inline void pack_q5_1(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_q5_1, 24>(rows, units, out);
}
inline void pack_iq4_nl(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_iq4_nl, 18>(rows, units, out);
}
inline void pack_mxfp4(Rows rows, int64_t units, uint8_t* out) {
  pack_32<k_mxfp4, 17>(rows, units, out);
}

template <int codes_at>
inline void pack_bytes(Rows rows, int64_t units, uint8_t* out) {
  for (int64_t u = 0; u < units; ++u, out += k_q8_0.unit_bytes()) {
    const int64_t at = u * (codes_at + 32);
    Words words[8];
    load<8>(rows, at + codes_at, words);
    for (int q = 0; q < 8; ++q) {
      for (int r = 0; r < 16; ++r) words[q][r] ^= 0x80808080;
      store(words[q], out + 64 * q);
    }
    halves(rows, at, out + 512);
  }
}

inline void pack_q8_0(Rows rows, int64_t units, uint8_t* out) { pack_bytes<2>(rows, units, out); }
inline void pack_q8_1(Rows rows, int64_t units, uint8_t* out) { pack_bytes<4>(rows, units, out); }

// Every K block: `at` is its offset in the row, `head` its place in the packed form, whose group g
// starts at head + head_bytes + g * group_bytes.
template <Format f>
inline uint8_t* group(uint8_t* unit, int g) {
  return unit + f.head_bytes() + g * f.group_bytes();
}

inline void pack_q2_k(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_q2_k;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * 84;
    halves(rows, at + 80, out);
    halves(rows, at + 82, out + 32);
    Words scales[4], codes[8];
    load<4>(rows, at, scales);
    for (int g = 0; g < 8; ++g) {
      if (g % 4 == 0) load<8>(rows, at + 16 + 8 * g, codes);
      uint8_t* to = group<f>(out, g);
      pick_pairs(codes, g % 4, to);
      bytes_of(scales[g / 2], 2 * (g % 2), 0, to + f.code_bytes());
      bytes_of(scales[g / 2], 2 * (g % 2) + 1, 0, to + f.code_bytes() + 16);
    }
  }
}

inline void pack_q3_k(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_q3_k;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * 110;
    halves(rows, at + 108, out);
    Words packed[3], scales[4], high[8], codes[8];
    load<3>(rows, at + 96, packed);
    for (int w = 0; w < 4; ++w) {
      for (int r = 0; r < 16; ++r) {
        scales[w][r] = ((packed[w % 2][r] >> (4 * (w / 2))) & 0x0f0f0f0f) |
                       ((packed[2][r] >> (2 * w)) & 0x03030303) << 4;
      }
    }
    load<8>(rows, at, high);
    for (int g = 0; g < 8; ++g) {
      if (g % 4 == 0) load<8>(rows, at + 32 + 8 * g, codes);
      uint8_t* to = group<f>(out, g);
      pick_pairs(codes, g % 4, to);
      pick_bits(high, g, to + 128);
      bytes_of(scales[g / 2], 2 * (g % 2), -32, to + f.code_bytes());
      bytes_of(scales[g / 2], 2 * (g % 2) + 1, -32, to + f.code_bytes() + 16);
    }
  }
}

/// The 6-bit scales and minima of q4_k and q5_k: words 0, 1 are 8 scales and 2, 3 are 8 minima.
inline void scales_k4(Rows rows, int64_t offset, Words* out) {
  Words s[3];
  load<3>(rows, offset, s);
  for (int r = 0; r < 16; ++r) {
    out[0][r] = s[0][r] & 0x3f3f3f3f;
    out[1][r] = (s[2][r] & 0x0f0f0f0f) | ((s[0][r] >> 6) & 0x03030303) << 4;
    out[2][r] = s[1][r] & 0x3f3f3f3f;
    out[3][r] = ((s[2][r] >> 4) & 0x0f0f0f0f) | ((s[1][r] >> 6) & 0x03030303) << 4;
  }
}

template <Format f, int block_bytes>
inline void pack_k4(Rows rows, int64_t units, uint8_t* out) {
  constexpr int high = f.codes == Codes::nibbles_high ? 32 : 0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * block_bytes;
    halves(rows, at, out);
    halves(rows, at + 2, out + 32);
    Words scales[4], codes[8];
    scales_k4(rows, at + 4, scales);
    for (int c = 0; c < 4; ++c) {
      load<8>(rows, at + 16 + high + 32 * c, codes);
      split_nibbles(codes, group<f>(out, 2 * c), group<f>(out, 2 * c + 1));
    }
    if constexpr (high != 0) {
      load<8>(rows, at + 16, codes);
      for (int g = 0; g < 8; ++g) pick_bits(codes, g, group<f>(out, g) + 256);
    }
    for (int g = 0; g < 8; ++g) {
      uint8_t* to = group<f>(out, g) + f.code_bytes();
      bytes_of(scales[g / 4], g % 4, 0, to);
      bytes_of(scales[2 + g / 4], g % 4, 0, to + 16);
    }
  }
}

inline void pack_q4_k(Rows rows, int64_t units, uint8_t* out) {
  pack_k4<k_q4_k, 144>(rows, units, out);
}
inline void pack_q5_k(Rows rows, int64_t units, uint8_t* out) {
  pack_k4<k_q5_k, 176>(rows, units, out);
}

inline void pack_q6_k(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_q6_k;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * 210;
    halves(rows, at + 208, out);
    Words scales[4], words[8];
    load<4>(rows, at + 192, scales);
    for (int h = 0; h < 2; ++h) {
      for (int c = 0; c < 2; ++c) {
        load<8>(rows, at + 64 * h + 32 * c, words);
        split_nibbles(words, group<f>(out, 4 * h + c), group<f>(out, 4 * h + c + 2));
      }
      load<8>(rows, at + 128 + 32 * h, words);
      for (int t = 0; t < 4; ++t) pick_pairs(words, t, group<f>(out, 4 * h + t) + 256);
    }
    for (int g = 0; g < 8; ++g) {
      uint8_t* to = group<f>(out, g) + f.code_bytes();
      bytes_of(scales[g / 2], 2 * (g % 2), 0, to);
      bytes_of(scales[g / 2], 2 * (g % 2) + 1, 0, to + 16);
    }
  }
}

inline void pack_iq4_xs(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_iq4_xs;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * 136;
    halves(rows, at, out);
    Words head[2], codes[4];
    load<2>(rows, at, head);  // d and the upper pairs; the low nibbles
    for (int g = 0; g < 8; ++g) {
      uint8_t* to = group<f>(out, g);
      load<4>(rows, at + 8 + 16 * g, codes);
      for (int v = 0; v < 4; ++v) store(codes[v], to + 64 * v);
      for (int r = 0; r < 16; ++r) {
        const uint32_t scale = ((head[1][r] >> (4 * g)) & 15) | ((head[0][r] >> (16 + 2 * g)) & 3)
                                                                    << 4;
        to[f.code_bytes() + r] = static_cast<uint8_t>(scale - 32);
      }
    }
  }
}

inline void pack_nvfp4(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_nvfp4;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    Words scales[1], codes[8];
    load<1>(rows, u * 36, scales);
    for (int r = 0; r < 16; ++r) {  // of which 0x7f counts as 0, and the sign not
      for (int b = 0; b < 32; b += 8) {
        if ((scales[0][r] >> b & 0xff) == 0x7f) scales[0][r] &= ~(0xffu << b);
      }
      scales[0][r] &= 0x7f7f7f7f;
    }
    load<8>(rows, u * 36 + 4, codes);
    for (int g = 0; g < 2; ++g) {
      // Quads 0 and 1 are the low nibbles of words 0 and 1, quads 2 and 3 the high ones.
      uint8_t* to = group<f>(out, g);
      const Words* w = codes + 4 * g;
      Words vectors[4];
      for (int r = 0; r < 16; ++r) {
        for (int q = 0; q < 2; ++q) {
          vectors[q][r] = (w[q][r] & 0x0f0f0f0f) | (w[2 + q][r] & 0x0f0f0f0f) << 4;
          vectors[2 + q][r] = ((w[q][r] >> 4) & 0x0f0f0f0f) | (w[2 + q][r] & 0xf0f0f0f0);
        }
      }
      for (int v = 0; v < 4; ++v) store(vectors[v], to + 64 * v);
      bytes_of(scales[0], 2 * g, 0, to + f.code_bytes());
      bytes_of(scales[0], 2 * g + 1, 0, to + f.code_bytes() + 16);
    }
  }
}

}  // namespace
}  // namespace tallow::cpu::quant
