// Packing 16 rows of the types of one to three bits, whose codes are first spread to a byte each,
// and the choice of a type's packing. Included by one file per instruction set.
#pragma once

#include "backend/cpu/quant/pack_grouped.h"
#include "backend/cpu/quant/pack_rows.h"
#include "core/blocks.h"

namespace tallow::cpu::quant {
namespace {

/// A group's 32 codes of each row, a byte each: words[q] is quad q.
template <Format f>
inline void store_codes(const Words* words, uint8_t* to) {
  Words out[4] = {};
  for (int q = 0; q < 8; ++q) {
    for (int r = 0; r < 16; ++r) {
      const uint32_t w = words[q][r];
      if constexpr (f.codes == Codes::nibbles) out[q % 4][r] |= w << (q < 4 ? 0 : 4);
      if constexpr (f.codes == Codes::bits) out[0][r] |= w << q;
      if constexpr (f.codes == Codes::pairs || f.codes == Codes::pairs_high) {
        out[q / 4][r] |= (w & 0x03030303) << (2 * (q % 4));
      }
      if constexpr (f.codes == Codes::pairs_high) {
        out[2][r] |= ((w >> 2) & 0x01010101) << high_bit(q);
      }
    }
  }
  for (int v = 0; v < f.bits(); ++v) store(out[v], to + 64 * v);
}

inline void pack_tq2_0(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_tq2_0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    const int64_t at = u * 66;
    halves(rows, at + 64, out);
    Words codes[8];
    for (int g = 0; g < 8; ++g) {
      if (g % 4 == 0) load<8>(rows, at + 8 * g, codes);
      pick_pairs(codes, g % 4, group<f>(out, g));
    }
  }
}

/// The four pairs of bits of a byte, a byte each.
inline uint32_t spread_pairs(uint32_t x) {
  x = (x | x << 12) & 0x000f000f;
  return (x | x << 6) & 0x03030303;
}

inline void pack_q2_0(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_q2_0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    halves(rows, u * 18, out);
    Words bytes[4], codes[8];
    load<4>(rows, u * 18 + 2, bytes);
    for (int g = 0; g < 2; ++g) {
      for (int q = 0; q < 8; ++q) {
        for (int r = 0; r < 16; ++r) {
          codes[q][r] = spread_pairs((bytes[2 * g + q / 4][r] >> (8 * (q % 4))) & 255);
        }
      }
      store_codes<f>(codes, group<f>(out, g));
    }
  }
}

inline void pack_q1_0(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_q1_0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    halves(rows, u * 18, out);
    Words bits[4], codes[8];
    load<4>(rows, u * 18 + 2, bits);
    for (int g = 0; g < 4; ++g) {
      for (int q = 0; q < 8; ++q) {
        for (int r = 0; r < 16; ++r) {
          codes[q][r] = (((bits[g][r] >> (4 * q)) & 15) * 0x00204081) & 0x01010101;
        }
      }
      store_codes<f>(codes, group<f>(out, g));
    }
  }
}

/// Bytes [0, 256) are the trits of a block.
inline void spread_trits(const uint8_t* block, uint8_t* codes) {
  const auto part = [&](const uint8_t* bytes, int count, int trits) {
    uint8_t power = 1;
    for (int j = 0; j < trits; ++j, power = static_cast<uint8_t>(3 * power), codes += count) {
      for (int l = 0; l < count; ++l) {
        codes[l] = static_cast<uint8_t>((static_cast<uint8_t>(bytes[l] * power) * 3) >> 8);
      }
    }
  };
  part(block, 32, 5);
  part(block + 32, 16, 5);
  part(block + 48, 4, 4);
}

inline void pack_tq1_0(Rows rows, int64_t units, uint8_t* out) {
  constexpr Format f = k_tq1_0;
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    halves(rows, u * 54 + 52, out);
    Words codes[64];
    for (int r = 0; r < 16; ++r) {
      uint32_t row[64];
      spread_trits(rows[r] + u * 54, reinterpret_cast<uint8_t*>(row));
      for (int q = 0; q < 64; ++q) codes[q][r] = row[q];
    }
    for (int g = 0; g < 8; ++g) store_codes<f>(codes + 8 * g, group<f>(out, g));
  }
}

/// A codebook with its codes a byte each, and the bits of signs the same.
template <int entries, int length>
struct Book {
  uint64_t codes[entries];
  explicit Book(const uint16_t* grid) {
    constexpr int bits = length == 8 ? 2 : 3;
    for (int e = 0; e < entries; ++e) {
      codes[e] = 0;
      for (int i = 0; i < length; ++i) {
        codes[e] |= static_cast<uint64_t>((grid[e] >> (bits * i)) & ((1 << bits) - 1)) << (8 * i);
      }
    }
  }
};

inline const Book<2048, 8>& iq1_book() {
  static const Book<2048, 8> book(blocks::kIq1Grid);
  return book;
}
inline const Book<256, 8>& iq2_xxs_book() {
  static const Book<256, 8> book(blocks::kIq2XxsGrid);
  return book;
}
inline const Book<512, 8>& iq2_xs_book() {
  static const Book<512, 8> book(blocks::kIq2XsGrid);
  return book;
}
inline const Book<1024, 8>& iq2_s_book() {
  static const Book<1024, 8> book(blocks::kIq2SGrid);
  return book;
}
inline const Book<256, 4>& iq3_xxs_book() {
  static const Book<256, 4> book(blocks::kIq3XxsGrid);
  return book;
}
inline const Book<512, 4>& iq3_s_book() {
  static const Book<512, 4> book(blocks::kIq3SGrid);
  return book;
}

/// Bit i of `signs` as bit `up` of byte i.
inline uint64_t sign_bytes(uint32_t signs, int up) {
  const uint64_t low = ((signs & 127) * 0x02040810204081) & 0x0001010101010101;
  return (low | static_cast<uint64_t>(signs >> 7) << 56) << up;
}

inline uint32_t u16_of(const uint8_t* p) { return p[0] | static_cast<uint32_t>(p[1]) << 8; }
inline uint32_t u32_of(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}
inline uint32_t nibble_of(const uint8_t* p, int i) { return (p[i / 2] >> (4 * (i % 2))) & 15; }

/// The codes of a row's 256 elements, 8 a word, and its 16 scales.
struct Spread {
  uint64_t codes[32];
  int8_t scales[16];
};

inline int8_t odd(uint32_t s) { return static_cast<int8_t>(2 * s + 1); }

inline void spread_iq1_s(const uint8_t* b, Spread& s) {
  const auto& book = iq1_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t high = u16_of(b + 34 + 2 * (i / 4));
    s.codes[i] = book.codes[b[2 + i] | ((high >> (3 * (i % 4))) & 7) << 8] |
                 (high >> 15) * 0x0404040404040404;
    s.scales[i / 2] = odd((high >> 12) & 7);
  }
}

inline void spread_iq1_m(const uint8_t* b, Spread& s) {
  const auto& book = iq1_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t high = nibble_of(b + 32, i);
    s.codes[i] = book.codes[b[i] | (high & 7) << 8] | (high >> 3) * 0x0404040404040404;
    s.scales[i / 2] = odd((u16_of(b + 48 + 2 * (i / 8)) >> (3 * (i / 2 % 4))) & 7);
  }
}

inline void spread_iq2_xxs(const uint8_t* b, Spread& s) {
  const auto& book = iq2_xxs_book();
  for (int i = 0; i < 32; ++i) {
    const uint8_t* p = b + 2 + 8 * (i / 4);
    const uint32_t word = u32_of(p + 4);
    const uint32_t signs = blocks::even_signs((word >> (7 * (i % 4))) & 127);
    s.codes[i] = book.codes[p[i % 4]] | sign_bytes(signs, 2);
    s.scales[i / 2] = odd(word >> 28);
  }
}

inline void spread_iq2_xs(const uint8_t* b, Spread& s) {
  const auto& book = iq2_xs_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t code = u16_of(b + 2 + 2 * i);
    const uint32_t signs = blocks::even_signs(static_cast<int>(code >> 9));
    s.codes[i] = book.codes[code & 511] | sign_bytes(signs, 2);
    s.scales[i / 2] = odd(nibble_of(b + 66, i / 2));
  }
}

inline void spread_iq2_s(const uint8_t* b, Spread& s) {
  const auto& book = iq2_s_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t index = b[2 + i] | ((b[66 + i / 4] >> (2 * (i % 4))) & 3u) << 8;
    s.codes[i] = book.codes[index] | sign_bytes(b[34 + i], 2);
    s.scales[i / 2] = odd(nibble_of(b + 74, i / 2));
  }
}

inline void spread_iq3_xxs(const uint8_t* b, Spread& s) {
  const auto& book = iq3_xxs_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t word = u32_of(b + 66 + 4 * (i / 4));
    const uint32_t signs = blocks::even_signs((word >> (7 * (i % 4))) & 127);
    s.codes[i] = book.codes[b[2 + 2 * i]] | book.codes[b[3 + 2 * i]] << 32 | sign_bytes(signs, 3);
    s.scales[i / 2] = odd(word >> 28);
  }
}

inline void spread_iq3_s(const uint8_t* b, Spread& s) {
  const auto& book = iq3_s_book();
  for (int i = 0; i < 32; ++i) {
    const uint32_t high = static_cast<uint32_t>(b[66 + i / 4]) >> (2 * (i % 4));
    const uint64_t low = book.codes[b[2 + 2 * i] | (high & 1) << 8];
    const uint64_t up = book.codes[b[3 + 2 * i] | (high & 2) << 7];
    s.codes[i] = low | up << 32 | sign_bytes(b[74 + i], 3);
    s.scales[i / 2] = odd(nibble_of(b + 106, i / 4));
  }
}

inline uint16_t first_half(const uint8_t* b) { return static_cast<uint16_t>(u16_of(b)); }
inline uint16_t iq1_m_half(const uint8_t* b) { return blocks::scale_iq1m(b + 48); }

template <Format f, int block_bytes, void (*spread)(const uint8_t*, Spread&),
          uint16_t (*half)(const uint8_t*) = first_half>
inline void pack_book(Rows rows, int64_t units, uint8_t* out) {
  for (int64_t u = 0; u < units; ++u, out += f.unit_bytes()) {
    Words codes[64];
    for (int r = 0; r < 16; ++r) {
      const uint8_t* block = rows[r] + u * block_bytes;
      Spread s;
      spread(block, s);
      for (int i = 0; i < 32; ++i) {
        codes[2 * i][r] = static_cast<uint32_t>(s.codes[i]);
        codes[2 * i + 1][r] = static_cast<uint32_t>(s.codes[i] >> 32);
      }
      const uint16_t d = half(block);
      std::memcpy(out + 2 * r, &d, 2);
      for (int g = 0; g < 8; ++g) {
        uint8_t* to = group<f>(out, g) + f.code_bytes() + r;
        to[0] = static_cast<uint8_t>(s.scales[2 * g]);
        if constexpr (f.per_16()) to[16] = static_cast<uint8_t>(s.scales[2 * g + 1]);
      }
    }
    for (int g = 0; g < 8; ++g) store_codes<f>(codes + 8 * g, group<f>(out, g));
  }
}

constexpr PackFn pack_iq1_s = pack_book<k_iq1_s, 50, spread_iq1_s>;
constexpr PackFn pack_iq1_m = pack_book<k_iq1_m, 56, spread_iq1_m, iq1_m_half>;
constexpr PackFn pack_iq2_xxs = pack_book<k_iq2_xxs, 66, spread_iq2_xxs>;
constexpr PackFn pack_iq2_xs = pack_book<k_iq2_xs, 74, spread_iq2_xs>;
constexpr PackFn pack_iq2_s = pack_book<k_iq2_s, 82, spread_iq2_s>;
constexpr PackFn pack_iq3_xxs = pack_book<k_iq3_xxs, 98, spread_iq3_xxs>;
constexpr PackFn pack_iq3_s = pack_book<k_iq3_s, 110, spread_iq3_s>;

inline PackFn pack_for(DType dtype) {
  switch (dtype) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return pack_##type;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    default: return pack_for_others(dtype);
  }
}

}  // namespace
}  // namespace tallow::cpu::quant
