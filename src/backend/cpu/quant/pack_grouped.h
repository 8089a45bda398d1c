// Packing of the block types of repacked checkpoints (core/blocks_grouped.h), whose codes stand as
// the packed form has them. Included by one file per instruction set, after pack_rows.h.
#pragma once

#include "backend/cpu/quant/pack_rows.h"

namespace tallow::cpu::quant {
namespace {

/// Integer codes under f32 scales and zero points, of which the packed form has minima; 8 bits are
/// taken around their middle, to which 128 is added again.
template <int bits>
inline void pack_grouped(Rows rows, int64_t units, int groups, uint8_t* out) {
  constexpr bool centred = bits == 8;
  int64_t at = 0;
  for (int64_t u = 0; u < units; ++u) {
    float d[16], m[16];
    for (int r = 0; r < 16; ++r) {
      float head[2];
      std::memcpy(head, rows[r] + at, sizeof head);
      d[r] = head[0], m[r] = head[0] * ((centred ? 128.0f : 0.0f) - head[1]);
    }
    std::memcpy(out, d, 64);
    std::memcpy(out + 64, m, 64);
    out += 128, at += 8;
    for (int g = 0; g < groups; ++g, out += 64 * bits, at += 4 * bits) {
      Words words[bits];
      load<bits>(rows, at, words);
      for (int w = 0; w < bits; ++w) store(words[w], out + 64 * w);
    }
  }
}

template <int bits, int groups>
inline void pack_groups(Rows rows, int64_t units, uint8_t* out) {
  pack_grouped<bits>(rows, units, groups, out);
}

inline void pack_fp4_g16(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_fp4_g16;
  for (int64_t u = 0; u < units; ++u) {
    const int64_t at = u * 40;
    Words scales[1], codes[4];
    load<1>(rows, at, scales);
    store(scales[0], out);
    load<1>(rows, at + 4, scales);
    out += 64;
    for (int g = 0; g < 2; ++g, out += f.group_bytes()) {
      load<4>(rows, at + 8 + 16 * g, codes);
      for (int v = 0; v < 4; ++v) store(codes[v], out + 64 * v);
      bytes_of(scales[0], 2 * g, 0, out + f.code_bytes());
      bytes_of(scales[0], 2 * g + 1, 0, out + f.code_bytes() + 16);
    }
  }
}

/// Numbers under an f32 scale for 64.
template <int words>
inline void pack_real(Rows rows, int64_t units, uint8_t* out) {
  for (int64_t u = 0; u < units; ++u) {
    const int64_t at = u * (4 + 8 * words);
    Words codes[words];
    load<1>(rows, at, codes);
    store(codes[0], out);
    out += 64;
    for (int g = 0; g < 2; ++g) {
      load<words>(rows, at + 4 + 4 * g * words, codes);
      for (int w = 0; w < words; ++w, out += 64) store(codes[w], out);
    }
  }
}

constexpr PackFn pack_u2_g32 = pack_groups<2, 1>, pack_u3_g32 = pack_groups<3, 1>;
constexpr PackFn pack_u4_g32 = pack_groups<4, 1>, pack_u8_g32 = pack_groups<8, 1>;

/// The types without a row of their own in TALLOW_BLOCK_FORMATS.
inline PackFn pack_for_others(DType dtype) {
  switch (dtype) {
    case DType::u2_g64: return pack_groups<2, 2>;
    case DType::u2_g128: return pack_groups<2, 4>;
    case DType::u3_g64: return pack_groups<3, 2>;
    case DType::u3_g128: return pack_groups<3, 4>;
    case DType::u4_g64: return pack_groups<4, 2>;
    case DType::u4_g128: return pack_groups<4, 4>;
    case DType::u8_g64: return pack_groups<8, 2>;
    case DType::u8_g128: return pack_groups<8, 4>;
    case DType::nf4_g64:
    case DType::bnb4_g64: return pack_real<4>;
    case DType::f8_g64: return pack_real<8>;
    default: return nullptr;
  }
}

}  // namespace
}  // namespace tallow::cpu::quant
