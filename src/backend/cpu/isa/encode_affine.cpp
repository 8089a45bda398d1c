// Encoders of the types with a scale and a minimum: q2_k, q4_k, q5_k, and q4_1 and q5_1 where
// elements differ in importance.
#include "backend/cpu/quant/encode.h"
#include "backend/cpu/quant/lanes.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// Weighted sums over a group and its codes q, and the least squares of x = scale * q + min.
struct Sums {
  V w, x;              // of the weights, of the elements
  V q, qq, xq;         // of the codes, their squares, their products with the elements
  V scale, min, gain;  // of the sum of squares that they explain

  template <int n>
  void add_codes(const V* x_, const V* w_, V low, V step, float top) {
    q = qq = xq = V{};
    for (int j = 0; j < n; ++j) {
      const V code = clamped(nearest((x_[j] - low) * step), 0, top);
      const V wq = w_[j] * code;
      q += wq;
      qq += wq * code;
      xq += wq * x_[j];
    }
  }

  /// `below`: the minimum must not be positive.
  void solve(bool below) {
    const V det = w * qq - q * q;
    scale = quotient(w * xq - x * q, det);
    min = quotient(qq * x - q * xq, det);
    const I bad = det <= 0;
    scale = bad ? V{} : scale;
    min = bad ? quotient(x, w) : min;
    if (below) {
      const I positive = min > 0;
      min = positive ? V{} : min;
      scale = positive ? quotient(xq, qq) : scale;
    }
    gain = scale * xq + min * x;
  }
};

/// The scale and minimum of a group: of several ranges that are tried, the one whose codes, with
/// the best scale and minimum for them, are nearest.
template <int n>
Sums fit(const V* x, const V* w, float top, bool below) {
  V low = x[0], high = x[0];
  Sums s = {};
  for (int j = 0; j < n; ++j) {
    low = smaller(x[j], low);
    high = larger(x[j], high);
    s.w += w[j];
    s.x += w[j] * x[j];
  }
  if (below) low = smaller(low, V{});
  const V inverse = quotient(all(1), high - low);
  Sums best = s;
  best.solve(below);  // no codes: the mean
  best.scale = V{};
  const auto keep = [&best](const Sums& other) {
    const I better = other.gain > best.gain;
    best.gain = better ? other.gain : best.gain;
    best.scale = better ? other.scale : best.scale;
    best.min = better ? other.min : best.min;
  };
  for (int i = -6; i <= 6; ++i) {
    s.add_codes<n>(x, w, low, (top + 0.15f * static_cast<float>(i)) * inverse, top);
    s.solve(below);
    keep(s);
  }
  for (int i = 0; i < 3; ++i) {
    s.add_codes<n>(x, w, best.min, quotient(all(1), best.scale), top);
    s.solve(below);
    keep(s);
  }
  return best;
}

/// A block of `groups` groups of n: value = d * scale * q - dmin * min.
template <int groups, int n>
struct Block {
  I codes[groups * n];
  I scales[groups], mins[groups];
  V d, dmin;
};

template <int groups, int n>
struct Search {
  const Batch<groups * n>& batch;
  const float top, scale_top;
  V scale[groups], min[groups];  // as they should be
  V ls[groups], lm[groups];      // as integers
  V d = {}, dmin = {};
  V best_error = {}, best_d = {}, best_dmin = {}, best_ls[groups] = {}, best_lm[groups] = {};

  Search(const Batch<groups * n>& b, float t, float s) : batch(b), top(t), scale_top(s) {}

  void fit_groups() {
    V most = {}, most_min = {};
    for (int g = 0; g < groups; ++g) {
      const Sums s = fit<n>(batch.x + g * n, batch.w + g * n, top, true);
      scale[g] = larger(s.scale, V{});
      min[g] = larger(-s.min, V{});
      most = larger(scale[g], most);
      most_min = larger(min[g], most_min);
    }
    d = as_f16(most * (1 / scale_top));
    dmin = as_f16(most_min * (1 / scale_top));
  }

  void round_scales() {
    const V id = quotient(all(1), d), im = quotient(all(1), dmin);
    for (int g = 0; g < groups; ++g) {
      ls[g] = clamped(nearest(scale[g] * id), 0, scale_top);
      lm[g] = clamped(nearest(min[g] * im), 0, scale_top);
    }
  }

  V low(int g) const { return -(dmin * lm[g]); }
  V step(int g) const { return quotient(all(1), d * ls[g]); }

  /// Rounds with what is there, remembers the best, and moves to what suits the codes.
  void improve(bool first) {
    V error = {}, aa = {}, ab = {}, bb = {}, xa = {}, xb = {};
    for (int g = 0; g < groups; ++g) {
      const V *x = batch.x + g * n, *w = batch.w + g * n;
      Sums s = {};
      for (int j = 0; j < n; ++j) {
        s.w += w[j];
        s.x += w[j] * x[j];
      }
      s.add_codes<n>(x, w, low(g), step(g), top);
      aa += ls[g] * ls[g] * s.qq;
      ab += ls[g] * lm[g] * s.q;
      bb += lm[g] * lm[g] * s.w;
      xa += ls[g] * s.xq;
      xb += lm[g] * s.x;
      s.solve(true);
      scale[g] = larger(s.scale, V{});
      min[g] = larger(-s.min, V{});
    }
    // Up to the sum of squares of x.
    error = d * (d * aa - 2 * xa) + dmin * (dmin * bb + 2 * xb) - 2 * d * dmin * ab;
    const I better = first ? I{} == 0 : error < best_error;
    best_error = better ? error : best_error;
    best_d = better ? d : best_d;
    best_dmin = better ? dmin : best_dmin;
    for (int g = 0; g < groups; ++g) {
      best_ls[g] = better ? ls[g] : best_ls[g];
      best_lm[g] = better ? lm[g] : best_lm[g];
    }
    const V det = aa * bb - ab * ab;
    const V new_d = quotient(bb * xa - ab * xb, det), new_min = quotient(ab * xa - aa * xb, det);
    const I usable = (det > 0) & (new_d > 0) & (new_min >= 0);
    d = usable ? as_f16(new_d) : bb == 0 ? as_f16(quotient(xa, aa)) : d;
    dmin = usable ? as_f16(new_min) : dmin;
  }

  void run(Block<groups, n>& out) {
    fit_groups();
    round_scales();
    improve(true);
    for (int i = 0; i < 5; ++i) {
      if (i > 0) round_scales();
      improve(false);
    }
    d = best_d, dmin = best_dmin;
    for (int g = 0; g < groups; ++g) {
      ls[g] = best_ls[g], lm[g] = best_lm[g];
      out.scales[g] = integers(ls[g]);
      out.mins[g] = integers(lm[g]);
      const V from = low(g), by = step(g);
      for (int j = g * n; j < (g + 1) * n; ++j) {
        out.codes[j] = integers(clamped(nearest((batch.x[j] - from) * by), 0, top));
      }
    }
    out.d = d, out.dmin = dmin;
  }
};

template <int groups, int n>
void search(const Batch<groups * n>& batch, float top, float scale_top, Block<groups, n>& out) {
  Search<groups, n>(batch, top, scale_top).run(out);
}

void encode_q2_k(const EncodeJob& job) {
  static thread_local Block<16, 16> block;
  each_batch<256, 84>(
      job, [](const Batch<256>& batch) { search<16, 16>(batch, 3, 15, block); },
      [](int lane, uint8_t* out) {
        uint8_t codes[256], scales[16], mins[16];
        lane_bytes<256>(block.codes, lane, codes);
        lane_bytes<16>(block.scales, lane, scales);
        lane_bytes<16>(block.mins, lane, mins);
        for (int g = 0; g < 16; ++g) out[g] = static_cast<uint8_t>(scales[g] | mins[g] << 4);
        for (int h = 0; h < 2; ++h) {
          for (int l = 0; l < 32; ++l) {
            const uint8_t* c = codes + 128 * h + l;
            out[16 + 32 * h + l] =
                static_cast<uint8_t>(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
          }
        }
        put_half(out + 80, block.d[lane]);
        put_half(out + 82, block.dmin[lane]);
      });
}

/// The 6-bit scales and minima of q4_k and q5_k.
void put_scales_k4(const uint8_t* scales, const uint8_t* mins, uint8_t* out) {
  for (int b = 0; b < 4; ++b) {
    out[b] = static_cast<uint8_t>(scales[b] | (scales[b + 4] >> 4) << 6);
    out[b + 4] = static_cast<uint8_t>(mins[b] | (mins[b + 4] >> 4) << 6);
    out[b + 8] = static_cast<uint8_t>((scales[b + 4] & 15) | (mins[b + 4] & 15) << 4);
  }
}

template <int bits, int bytes>
void encode_k4(const EncodeJob& job) {
  static thread_local Block<8, 32> block;
  each_batch<256, bytes>(
      job,
      [](const Batch<256>& batch) {
        search<8, 32>(batch, static_cast<float>((1 << bits) - 1), 63, block);
      },
      [](int lane, uint8_t* out) {
        uint8_t codes[256], scales[8], mins[8];
        lane_bytes<256>(block.codes, lane, codes);
        lane_bytes<8>(block.scales, lane, scales);
        lane_bytes<8>(block.mins, lane, mins);
        put_half(out, block.d[lane]);
        put_half(out + 2, block.dmin[lane]);
        put_scales_k4(scales, mins, out + 4);
        uint8_t* low = out + bytes - 128;
        for (int c = 0; c < 4; ++c) {
          for (int l = 0; l < 32; ++l) {
            const uint8_t *first = codes + 64 * c + l, *second = first + 32;
            low[32 * c + l] = static_cast<uint8_t>((*first & 15) | *second << 4);
          }
        }
        if constexpr (bits == 5) {
          for (int l = 0; l < 32; ++l) {
            int high = 0;
            for (int g = 0; g < 8; ++g) high |= (codes[32 * g + l] >> 4) << g;
            out[16 + l] = static_cast<uint8_t>(high);
          }
        }
      });
}

/// q4_1 and q5_1 with importance: a scale and a minimum of any sign for every 32.
template <int bits, int bytes>
void encode_1(const EncodeJob& job) {
  static thread_local I codes[32];
  static thread_local V d, min;
  each_batch<32, bytes>(
      job,
      [](const Batch<32>& batch) {
        constexpr float top = (1 << bits) - 1;
        const Sums s = fit<32>(batch.x, batch.w, top, false);
        d = as_f16(s.scale), min = as_f16(s.min);
        const V step = quotient(all(1), d);
        for (int j = 0; j < 32; ++j) {
          codes[j] = integers(clamped(nearest((batch.x[j] - min) * step), 0, top));
        }
      },
      [](int lane, uint8_t* out) {
        uint8_t bytes_of[32];
        lane_bytes<32>(codes, lane, bytes_of);
        put_half(out, d[lane]);
        put_half(out + 2, min[lane]);
        if constexpr (bits == 5) put_fifth_bits(bytes_of, out + 4);
        put_nibbles(bytes_of, out + bytes - 16);
      });
}

}  // namespace

const quant::AffineEncoders affine_encoders{encode_q2_k, encode_k4<4, 144>, encode_k4<5, 176>,
                                            encode_1<4, 20>, encode_1<5, 24>};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
