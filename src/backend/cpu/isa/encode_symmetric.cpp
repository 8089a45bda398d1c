// Encoders of the types with a scale only, whose codes are integers or stand for a table of values.
#include "backend/cpu/quant/encode.h"
#include "backend/cpu/quant/lanes.h"
#include "core/blocks.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// Codes low to high, which are their own values.
template <int low_, int high_>
struct Integers {
  static constexpr float low = low_, high = high_;
  static V value(V v) { return clamped(nearest(v), low, high); }
  /// From 0 up.
  static I code(V v) { return integers(value(v)) - low_; }
};

/// A rising table of 16 values.
template <const int8_t (&table)[16]>
struct Values {
  static constexpr float low = table[0], high = table[15];
  static float middle(int i) { return 0.5f * static_cast<float>(table[i - 1] + table[i]); }
  static V value(V v) {
    V out = all(table[0]);
    for (int i = 1; i < 16; ++i) out = v >= middle(i) ? all(table[i]) : out;
    return out;
  }
  static I code(V v) {
    I out = {};
    for (int i = 1; i < 16; ++i) out -= v >= middle(i);
    return out;
  }
};
using Iq4 = Values<blocks::kIq4Values>;

/// The scale of a group: of several that are tried, and of the best for the codes of each, the one
/// that explains most.
template <int n, class Codes, int tries>
V fit(const V* x, const V* w) {
  V extreme = {};
  for (int j = 0; j < n; ++j) extreme = magnitude(x[j]) > magnitude(extreme) ? x[j] : extreme;
  const V inverse = quotient(all(1), extreme);
  V best = {}, best_gain = {};
  const auto attempt = [&](V step) {
    V xq = {}, qq = {};
    for (int j = 0; j < n; ++j) {
      const V q = Codes::value(x[j] * step), wq = w[j] * q;
      xq += wq * x[j];
      qq += wq * q;
    }
    const V scale = quotient(xq, qq), gain = scale * xq;
    const I better = gain > best_gain;
    best_gain = better ? gain : best_gain;
    best = better ? scale : best;
  };
  // The extreme goes to the lower end, which reaches farther, or somewhat beyond it or short of it.
  constexpr float reach = Codes::low < -100 ? 1.0f : 0.1f;
  for (int i = -tries; i <= tries; ++i) {
    attempt((Codes::low + reach * static_cast<float>(i)) * inverse);
  }
  for (int i = -1; i <= 1; ++i) {
    attempt((Codes::high + reach * static_cast<float>(i) * 3) * inverse);
  }
  attempt(quotient(all(1), best));
  return best;
}

/// A block of `groups` groups of n: value = d * scale * value(code).
template <int groups, int n>
struct Block {
  I codes[groups * n];
  I scales[groups];
  V d;
};

template <int groups, int n, class Codes, int tries, int scale_low, int scale_high>
void search(const Batch<groups * n>& batch, Block<groups, n>& out) {
  V scale[groups], ls[groups], best_ls[groups] = {}, extreme = {};
  for (int g = 0; g < groups; ++g) {
    scale[g] = fit<n, Codes, tries>(batch.x + g * n, batch.w + g * n);
    extreme = magnitude(scale[g]) > magnitude(extreme) ? scale[g] : extreme;
  }
  V d = as_f16(extreme * (1.0f / scale_low)), best_d = {}, best_error = {};
  for (int i = 0; i < 4; ++i) {
    if (i != 1) {
      const V id = quotient(all(1), d);
      for (int g = 0; g < groups; ++g) {
        ls[g] = clamped(nearest(scale[g] * id), scale_low, scale_high);
      }
    }
    V xa = {}, aa = {};
    for (int g = 0; g < groups; ++g) {
      const V step = quotient(all(1), d * ls[g]);
      V xq = {}, qq = {};
      for (int j = g * n; j < (g + 1) * n; ++j) {
        const V q = Codes::value(batch.x[j] * step), wq = batch.w[j] * q;
        xq += wq * batch.x[j];
        qq += wq * q;
      }
      xa += ls[g] * xq;
      aa += ls[g] * ls[g] * qq;
      scale[g] = ls[g] == 0 ? scale[g] : quotient(xq, qq);
    }
    const V error = d * (d * aa - 2 * xa);  // up to the sum of squares of x
    const I better = i == 0 ? I{} == 0 : error < best_error;
    best_error = better ? error : best_error;
    best_d = better ? d : best_d;
    for (int g = 0; g < groups; ++g) best_ls[g] = better ? ls[g] : best_ls[g];
    const V next = quotient(xa, aa);
    d = as_f16(next == 0 ? d : next);
  }
  for (int g = 0; g < groups; ++g) {
    const V step = quotient(all(1), best_d * best_ls[g]);
    out.scales[g] = integers(best_ls[g]);
    for (int j = g * n; j < (g + 1) * n; ++j) out.codes[j] = Codes::code(batch.x[j] * step);
  }
  out.d = best_d;
}

void encode_q3_k(const EncodeJob& job) {
  static thread_local Block<16, 16> block;
  each_batch<256, 110>(
      job,
      [](const Batch<256>& batch) { search<16, 16, Integers<-4, 3>, 9, -32, 31>(batch, block); },
      [](int lane, uint8_t* out) {
        uint8_t codes[256], scales[16];
        lane_bytes<256>(block.codes, lane, codes);
        lane_bytes<16>(block.scales, lane, scales);
        std::memset(out, 0, 32);
        for (int i = 0; i < 256; ++i) {
          out[i % 32] = static_cast<uint8_t>(out[i % 32] | (codes[i] >> 2) << (i / 32));
        }
        for (int h = 0; h < 2; ++h) {
          for (int l = 0; l < 32; ++l) {
            const uint8_t* c = codes + 128 * h + l;
            out[32 + 32 * h + l] = static_cast<uint8_t>((c[0] & 3) | (c[32] & 3) << 2 |
                                                        (c[64] & 3) << 4 | (c[96] & 3) << 6);
          }
        }
        uint8_t* packed = out + 96;
        std::memset(packed, 0, 12);
        for (int b = 0; b < 16; ++b) {
          const int s = static_cast<int8_t>(scales[b]) + 32;
          packed[b % 8] = static_cast<uint8_t>(packed[b % 8] | (s & 15) << (4 * (b / 8)));
          packed[8 + b % 4] = static_cast<uint8_t>(packed[8 + b % 4] | (s >> 4) << (2 * (b / 4)));
        }
        put_half(out + 108, block.d[lane]);
      });
}

void encode_q6_k(const EncodeJob& job) {
  static thread_local Block<16, 16> block;
  each_batch<256, 210>(
      job,
      [](const Batch<256>& batch) {
        search<16, 16, Integers<-32, 31>, 5, -128, 127>(batch, block);
      },
      [](int lane, uint8_t* out) {
        uint8_t codes[256];
        lane_bytes<256>(block.codes, lane, codes);
        lane_bytes<16>(block.scales, lane, out + 192);
        for (int h = 0; h < 2; ++h) {
          for (int l = 0; l < 32; ++l) {
            const uint8_t* c = codes + 128 * h + l;
            out[64 * h + l] = static_cast<uint8_t>((c[0] & 15) | c[64] << 4);
            out[64 * h + 32 + l] = static_cast<uint8_t>((c[32] & 15) | c[96] << 4);
            out[128 + 32 * h + l] = static_cast<uint8_t>(c[0] >> 4 | (c[32] >> 4) << 2 |
                                                         (c[64] >> 4) << 4 | (c[96] >> 4) << 6);
          }
        }
        put_half(out + 208, block.d[lane]);
      });
}

void encode_iq4_xs(const EncodeJob& job) {
  static thread_local Block<8, 32> block;
  each_batch<256, 136>(
      job, [](const Batch<256>& batch) { search<8, 32, Iq4, 7, -32, 31>(batch, block); },
      [](int lane, uint8_t* out) {
        uint8_t codes[256], scales[8];
        lane_bytes<256>(block.codes, lane, codes);
        lane_bytes<8>(block.scales, lane, scales);
        put_half(out, block.d[lane]);
        std::memset(out + 2, 0, 6);
        for (int g = 0; g < 8; ++g) {
          const int s = static_cast<int8_t>(scales[g]) + 32;
          out[2 + g / 4] = static_cast<uint8_t>(out[2 + g / 4] | (s >> 4) << (2 * (g % 4)));
          out[4 + g / 2] = static_cast<uint8_t>(out[4 + g / 2] | (s & 15) << (4 * (g % 2)));
          put_nibbles(codes + 32 * g, out + 8 + 16 * g);
        }
      });
}

/// Blocks of one group of n with a scale in f16: `put` writes the codes.
template <int n, int bytes, class Codes, int tries, void (*put)(const uint8_t*, uint8_t*)>
void encode_one(const EncodeJob& job) {
  static thread_local I codes[n];
  static thread_local V d;
  each_batch<n, bytes>(
      job,
      [](const Batch<n>& batch) {
        d = as_f16(fit<n, Codes, tries>(batch.x, batch.w));
        const V step = quotient(all(1), d);
        for (int j = 0; j < n; ++j) codes[j] = Codes::code(batch.x[j] * step);
      },
      [](int lane, uint8_t* out) {
        uint8_t bytes_of[n];
        lane_bytes<n>(codes, lane, bytes_of);
        put_half(out, d[lane]);
        put(bytes_of, out + 2);
      });
}

void put_q4(const uint8_t* codes, uint8_t* out) { put_nibbles(codes, out); }
void put_q5(const uint8_t* codes, uint8_t* out) {
  put_fifth_bits(codes, out);
  put_nibbles(codes, out + 4);
}
void put_pairs(const uint8_t* codes, uint8_t* out) {
  for (int j = 0; j < 16; ++j) {
    const uint8_t* c = codes + 4 * j;
    out[j] = static_cast<uint8_t>(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
  }
}

/// q4_0 as gguf has it: the extreme goes to the lowest code.
void encode_q4_0(const EncodeJob& job) {
  if (job.importance) return encode_one<32, 18, Integers<-8, 7>, 9, put_q4>(job);
  static thread_local B nibbles[16];
  static thread_local V d;
  each_batch<32, 18>(
      job,
      [](const Batch<32>& batch) {
        V extreme = batch.x[0];
        for (const V x : batch.x) extreme = magnitude(x) > magnitude(extreme) ? x : extreme;
        d = extreme / -8.0f;
        const V inverse = quotient(all(1), d);
        const auto code = [&](V x) { return integers(clamped(x * inverse + 8.5f, 0, 15)); };
        for (int j = 0; j < 16; ++j) {
          const I pair = code(batch.x[j]) | code(batch.x[j + 16]) << 4;
          nibbles[j] = __builtin_convertvector(pair, B);
        }
      },
      [](int lane, uint8_t* out) {
        put_half(out, d[lane]);
        for (int j = 0; j < 16; ++j) out[2 + j] = nibbles[j][lane];
      });
}

/// A bit for the sign; the scale that suits is the mean magnitude.
void encode_q1_0(const EncodeJob& job) {
  static thread_local I codes[128];
  static thread_local V d;
  each_batch<128, 18>(
      job,
      [](const Batch<128>& batch) {
        V sum = {}, weights = {};
        for (int j = 0; j < 128; ++j) {
          sum += batch.w[j] * magnitude(batch.x[j]);
          weights += batch.w[j];
          codes[j] = -(batch.x[j] >= 0);
        }
        d = quotient(sum, weights);
      },
      [](int lane, uint8_t* out) {
        put_half(out, d[lane]);
        std::memset(out + 2, 0, 16);
        for (int j = 0; j < 128; ++j) {
          out[2 + j / 8] = static_cast<uint8_t>(out[2 + j / 8] | (codes[j][lane] & 1) << (j % 8));
        }
      });
}

/// The magnitude of an FP4 value, doubled, nearest to a magnitude; and its code.
struct Fp4 {
  static constexpr float kMiddles[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  static V value(V v) {
    V out = {};
    for (int i = 0; i < 7; ++i) {
      out = v > kMiddles[i] ? all(blocks::kFp4Values[i + 1]) : out;
    }
    return out;
  }
  static I code(V v) {
    I out = {};
    for (const float middle : kMiddles) out -= v > middle;
    return out;
  }
};

/// The scale of 16 elements in FP8: what brings the largest to the largest code, or is near that.
I nvfp4_scale(const V* x, const V* w) {
  V most = {};
  for (int j = 0; j < 16; ++j) most = larger(magnitude(x[j]), most);
  I first;
  for (int l = 0; l < kLanes; ++l) {
    // As f32_to_f8_e4m3, whose largest value 448 serves here as well.
    first[l] = f32_to_f8_e4m3(most[l] / 6.0f) & 0x7f;
  }
  I best = {};
  V best_error = {};
  for (int step = -3; step <= 2; ++step) {
    I code = first + step;
    code = code < 0 ? I{} : code;
    code = code > 0x7e ? alli(0x7e) : code;
    V scale;
    for (int l = 0; l < kLanes; ++l) scale[l] = blocks::ue4m3_half(static_cast<uint8_t>(code[l]));
    const V inverse = quotient(all(1), scale);
    V error = {};
    for (int j = 0; j < 16; ++j) {
      const V a = magnitude(x[j]), off = a - scale * Fp4::value(a * inverse);
      error += w[j] * off * off;
    }
    const I better = step == -3 ? I{} == 0 : error < best_error;
    best_error = better ? error : best_error;
    best = better ? code : best;
  }
  return best;
}

void encode_nvfp4(const EncodeJob& job) {
  static thread_local I codes[64], scales[4];
  each_batch<64, 36>(
      job,
      [](const Batch<64>& batch) {
        for (int g = 0; g < 4; ++g) {
          const V* x = batch.x + 16 * g;
          scales[g] = nvfp4_scale(x, batch.w + 16 * g);
          V inverse;
          for (int l = 0; l < kLanes; ++l) {
            inverse[l] = blocks::ue4m3_half(static_cast<uint8_t>(scales[g][l]));
          }
          inverse = quotient(all(1), inverse);
          for (int j = 0; j < 16; ++j) {
            const I code = Fp4::code(magnitude(x[j]) * inverse);
            codes[16 * g + j] = (x[j] < 0) & (code > 0) ? code + 8 : code;
          }
        }
      },
      [](int lane, uint8_t* out) {
        uint8_t bytes_of[64];
        lane_bytes<64>(codes, lane, bytes_of);
        lane_bytes<4>(scales, lane, out);
        for (int i = 0; i < 32; ++i) {
          const uint8_t* c = bytes_of + 16 * (i / 8) + i % 8;
          out[4 + i] = static_cast<uint8_t>(c[0] | c[8] << 4);
        }
      });
}

}  // namespace

const quant::SymmetricEncoders symmetric_encoders{
    .q3_k = encode_q3_k,
    .q6_k = encode_q6_k,
    .iq4_xs = encode_iq4_xs,
    .iq4_nl = encode_one<32, 18, Iq4, 7, put_q4>,
    .q4_0 = encode_q4_0,
    .q5_0 = encode_one<32, 22, Integers<-16, 15>, 9, put_q5>,
    .q1_0 = encode_q1_0,
    .q2_0 = encode_one<64, 18, Integers<-1, 2>, 9, put_pairs>,
    .nvfp4 = encode_nvfp4,
};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
