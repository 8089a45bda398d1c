// Products and panels in plain C++: the reference for the other instruction sets, and what runs
// where there is none of them.
#include <cstring>

#include "backend/cpu/quant/kernels.h"
#include "core/blocks.h"
#include "core/half.h"

namespace tallow::cpu::quant {
namespace {

// What does not depend on the type is shared by all of them, or the code grows thirteenfold.
#define TALLOW_NOINLINE __attribute__((noinline))

/// 16 rows x 32 k as integers in f32, in the order of the packed form: weight [row r, k = 4 q + i]
/// is code[q][4 r + i]. Sums of 32 products of bytes are exact in f32.
struct Group {
  float code[8][64];
  float scale[2][16];  // of each 16 k
  float min[2][16];    // is added
};

template <Format f, int q>
inline int code_at(const uint8_t* codes, int byte) {
  int code = 0;
  if constexpr (f.codes == Codes::bytes) return codes[64 * q + byte] - 128;
  if constexpr (f.codes == Codes::bits) {
    code = (codes[byte] >> q) & 1;
  } else if constexpr (f.codes <= Codes::nibbles_pair) {
    code = (codes[64 * (q % 4) + byte] >> (q < 4 ? 0 : 4)) & 15;
  } else {
    code = (codes[64 * (q / 4) + byte] >> (2 * (q % 4))) & 3;
  }
  if constexpr (f.codes == Codes::nibbles_high) {
    code |= ((codes[256 + byte] >> high_bit(q)) & 1) << 4;
  } else if constexpr (f.codes == Codes::nibbles_pair) {
    code |= ((codes[256 + 64 * (q / 4) + byte] >> (2 * (q % 4))) & 3) << 4;
  } else if constexpr (f.codes == Codes::pairs_high) {
    code |= ((codes[128 + byte] >> high_bit(q)) & 1) << 2;
  }
  if constexpr (f.has_table()) return f.table().values[code];
  return code - f.zero_point();
}

inline float f16_at(const uint8_t* p, int r) {
  uint16_t h;
  std::memcpy(&h, p + 2 * r, 2);
  return f16_to_f32(h);
}

inline float f32_at(const uint8_t* p, int r) {
  float value;
  std::memcpy(&value, p + 4 * r, 4);
  return value;
}

template <Format f>
inline void scales_at(const uint8_t* head, const uint8_t* s, int r, Group& out) {
  float scale[2] = {}, min[2] = {};
  if constexpr (f.is_k()) {
    float d = f16_at(head, r);
    if constexpr (f.has_table()) d /= static_cast<float>(1 << f.table().shift);
    for (int half = 0; half < 2; ++half) {
      const uint8_t byte = f.scales == Scales::unit ? 1 : s[f.per_16() ? 16 * half + r : r];
      if constexpr (f.scales == Scales::k16_min) {
        scale[half] = d * static_cast<float>(byte & 15);
        min[half] = -f16_at(head + 32, r) * static_cast<float>(byte >> 4);
      } else if constexpr (f.scales == Scales::k32_min) {
        scale[half] = d * static_cast<float>(byte);
        min[half] = -f16_at(head + 32, r) * static_cast<float>(s[16 + r]);
      } else {
        scale[half] = d * static_cast<float>(static_cast<int8_t>(byte));
      }
    }
  } else if constexpr (f.scales == Scales::f32_min) {
    scale[0] = scale[1] = f32_at(head, r);
    min[0] = min[1] = f32_at(head + 64, r);
  } else if constexpr (f.scales == Scales::f32_fp8) {
    for (int half = 0; half < 2; ++half) {
      scale[half] = 0.5f * f8_e4m3_to_f32(s[16 * half + r]) * f32_at(head, r);
    }
  } else if constexpr (f.scales == Scales::fp8_16) {
    for (int half = 0; half < 2; ++half) scale[half] = blocks::ue4m3_half(s[16 * half + r]);
  } else {
    scale[0] = f.scales == Scales::e8m0 ? blocks::e8m0_half(s[r]) : f16_at(s, r);
    scale[1] = scale[0];
    if constexpr (f.has_min()) min[0] = min[1] = f16_at(s + 32, r);
  }
  for (int half = 0; half < 2; ++half)
    out.scale[half][r] = scale[half], out.min[half][r] = min[half];
}

template <Format f, int q = 0>
inline void unpack_quads(const uint8_t* codes, Group& out) {
  for (int b = 0; b < 64; ++b) out.code[q][b] = static_cast<float>(code_at<f, q>(codes, b));
  if constexpr (q < 7) unpack_quads<f, q + 1>(codes, out);
}

template <Format f>
TALLOW_NOINLINE void unpack(const uint8_t* head, const uint8_t* codes, Group& out) {
  unpack_quads<f>(codes, out);
  for (int r = 0; r < 16; ++r) scales_at<f>(head, codes + f.code_bytes(), r, out);
}

/// Calls visit(index of the group, group) along k.
template <Format f, class Visit>
void each_group(const uint8_t* weights, Length length, Visit visit) {
  Group group;
  const int groups = f.unit_groups(length.groups);
  for (int64_t u = 0; u < length.units; ++u, weights += f.unit_bytes(groups)) {
    for (int g = 0; g < groups; ++g) {
      unpack<f>(weights, weights + f.head_bytes() + g * f.group_bytes(), group);
      visit(u * groups + g, group);
    }
  }
}

TALLOW_NOINLINE void add_column(const Group& w, const QuantizedBlock& x, float* y) {
  int8_t bytes[32];
  std::memcpy(bytes, x.q, 32);
  float q[32];
  for (int j = 0; j < 32; ++j) q[j] = static_cast<float>(bytes[j]);
  for (int half = 0; half < 2; ++half) {
    const float* v = q + 16 * half;
    const float(*c)[64] = w.code + 4 * half;
    for (int r = 0; r < 16; ++r) {
      float sum[4];
      for (int i = 0; i < 4; ++i) {
        sum[i] = c[0][4 * r + i] * v[i] + c[1][4 * r + i] * v[4 + i] + c[2][4 * r + i] * v[8 + i] +
                 c[3][4 * r + i] * v[12 + i];
      }
      const float dot = (sum[0] + sum[2]) + (sum[1] + sum[3]);
      y[r] += w.scale[half][r] * (x.scale * dot) + w.min[half][r] * x.half[half];
    }
  }
}

template <Format f>
void matmul(const MatmulTile& t) {
  float y[8][16] = {};
  each_group<f>(t.weights, t.length, [&](int64_t b, const Group& w) {
    for (int c = 0; c < t.columns; ++c) add_column(w, t.x[b * t.x_step + c], y[c]);
  });
  for (int c = 0; c < t.columns; ++c) {
    for (int r = 0; r < t.rows; ++r) t.y[c * t.ldy + r] = y[c][r];
  }
}

template <Format f>
constexpr MatmulKernels kernels{
    {matmul<f>, matmul<f>, matmul<f>, matmul<f>, matmul<f>, matmul<f>, matmul<f>, matmul<f>}};

inline float weight(const Group& w, int j, int r) {
  return w.scale[j / 16][r] * w.code[j / 4][4 * r + j % 4] + w.min[j / 16][r];
}

TALLOW_NOINLINE void group_to_bf16(const Group& w, uint16_t* panel) {
  for (int j = 0; j < 32; ++j) {
    for (int r = 0; r < 16; ++r) {
      panel[(j / 2 * 16 + r) * 2 + j % 2] = f32_to_bf16(weight(w, j, r));
    }
  }
}

TALLOW_NOINLINE void group_to_f32(const Group& w, float* panel) {
  for (int j = 0; j < 32; ++j) {
    for (int r = 0; r < 16; ++r) panel[j * 32 + r] = weight(w, j, r);
  }
}

template <Format f>
void to_bf16(const uint8_t* weights, Length length, uint16_t* panel) {
  each_group<f>(weights, length,
                [panel](int64_t b, const Group& w) { group_to_bf16(w, panel + b * 32 * 16); });
}

template <Format f>
void to_f32(const uint8_t* weights, Length length, float* panel) {
  each_group<f>(weights, length,
                [panel](int64_t b, const Group& w) { group_to_f32(w, panel + b * 32 * 32); });
}

}  // namespace

#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type:                                     \
    return TALLOW_PICK(k_##type);
#define TALLOW_PICK(f) &kernels<f>
const MatmulKernels* matmul_portable(DType dtype) {
  switch (format_type(dtype)) {
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
    default: return nullptr;
  }
}
#undef TALLOW_PICK
#define TALLOW_PICK(f) to_bf16<f>
PanelBf16Fn panel_bf16_portable(DType dtype) {
  switch (format_type(dtype)) {
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
    default: return nullptr;
  }
}
#undef TALLOW_PICK
#define TALLOW_PICK(f) to_f32<f>
PanelF32Fn panel_f32_portable(DType dtype) {
  switch (format_type(dtype)) {
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
    default: return nullptr;
  }
}
#undef TALLOW_PICK
#undef TALLOW_ROW

}  // namespace tallow::cpu::quant
