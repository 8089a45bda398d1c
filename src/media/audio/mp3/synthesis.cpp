// From spectral lines to samples: ISO/IEC 11172-3, 2.4.3.4.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "media/audio/mp3/mp3.h"

namespace tallow::mp3 {
namespace {

constexpr double kPi = std::numbers::pi;

// The window of the polyphase filters times 65536 (table B.3), up to its middle.
constexpr int kWindow[257] = {
    0,      -1,     -1,     -1,     -1,     -1,     -1,     -2,     -2,     -2,     -2,     -3,
    -3,     -4,     -4,     -5,     -5,     -6,     -7,     -7,     -8,     -9,     -10,    -11,
    -13,    -14,    -16,    -17,    -19,    -21,    -24,    -26,    -29,    -31,    -35,    -38,
    -41,    -45,    -49,    -53,    -58,    -63,    -68,    -73,    -79,    -85,    -91,    -97,
    -104,   -111,   -117,   -125,   -132,   -139,   -147,   -154,   -161,   -169,   -176,   -183,
    -190,   -196,   -202,   -208,   213,    218,    222,    225,    227,    228,    228,    227,
    224,    221,    215,    208,    200,    189,    177,    163,    146,    127,    106,    83,
    57,     29,     -2,     -36,    -72,    -111,   -153,   -197,   -244,   -294,   -347,   -401,
    -459,   -519,   -581,   -645,   -711,   -779,   -848,   -919,   -991,   -1064,  -1137,  -1210,
    -1283,  -1356,  -1428,  -1498,  -1567,  -1634,  -1698,  -1759,  -1817,  -1870,  -1919,  -1962,
    -2001,  -2032,  -2057,  -2075,  -2085,  -2087,  -2080,  -2063,  2037,   2000,   1952,   1893,
    1822,   1739,   1644,   1535,   1414,   1280,   1131,   970,    794,    605,    402,    185,
    -45,    -288,   -545,   -814,   -1095,  -1388,  -1692,  -2006,  -2330,  -2663,  -3004,  -3351,
    -3705,  -4063,  -4425,  -4788,  -5153,  -5517,  -5879,  -6237,  -6589,  -6935,  -7271,  -7597,
    -7910,  -8209,  -8491,  -8755,  -8998,  -9219,  -9416,  -9585,  -9727,  -9838,  -9916,  -9959,
    -9966,  -9935,  -9863,  -9750,  -9592,  -9389,  -9139,  -8840,  -8492,  -8092,  -7640,  -7134,
    6574,   5959,   5288,   4561,   3776,   2935,   2037,   1082,   70,     -998,   -2122,  -3300,
    -4533,  -5818,  -7154,  -8540,  -9975,  -11455, -12980, -14548, -16155, -17799, -19478, -21189,
    -22929, -24694, -26482, -28289, -30112, -31947, -33791, -35640, -37489, -39336, -41176, -43006,
    -44821, -46617, -48390, -50137, -51853, -53534, -55178, -56778, -58333, -59838, -61289, -62684,
    -64019, -65290, -66494, -67629, -68692, -69679, -70590, -71420, -72169, -72835, -73415, -73908,
    -74313, -74630, -74856, -74992, 75038,
};

struct Tables {
  float long_waves[18][36], short_waves[6][12];  // of the inverse modified cosine transform
  float windows[4][36];                          // by block type; of 2, the first 12
  float subband_waves[32][32];                   // waves 17 to 48 of the polyphase filters
  float window[512];
  float keep[8], cross[8];  // of aliases between subbands

  Tables() {
    for (int k = 0; k < 18; ++k) {
      for (int i = 0; i < 36; ++i) {
        long_waves[k][i] = wave(kPi / 72 * (2 * i + 19) * (2 * k + 1));
      }
    }
    for (int k = 0; k < 6; ++k) {
      for (int i = 0; i < 12; ++i) short_waves[k][i] = wave(kPi / 24 * (2 * i + 7) * (2 * k + 1));
    }
    for (int k = 0; k < 32; ++k) {
      for (int i = 0; i < 32; ++i) {
        subband_waves[k][i] = wave(kPi / 64 * (i + 33) * (2 * k + 1));
      }
    }
    fill_windows();
    constexpr double kAliases[8] = {-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037};
    for (int i = 0; i < 8; ++i) {
      keep[i] = static_cast<float>(1 / std::sqrt(1 + kAliases[i] * kAliases[i]));
      cross[i] = static_cast<float>(kAliases[i] / std::sqrt(1 + kAliases[i] * kAliases[i]));
    }
  }

 private:
  static float wave(double angle) { return static_cast<float>(std::cos(angle)); }

  void fill_windows() {
    for (int i = 0; i < 512; ++i) {
      const int v = kWindow[std::min(i, 512 - i)];
      window[i] = static_cast<float>(i > 256 && i % 64 != 0 ? -v : v) / 65536;
    }
    const auto rise = [](int i, double n) {
      return static_cast<float>(std::sin(kPi / n * (i + 0.5)));
    };
    for (int i = 0; i < 36; ++i) {
      windows[0][i] = rise(i, 36);
      windows[2][i] = i < 12 ? rise(i, 12) : 0;
      windows[1][i] = i < 18 ? rise(i, 36) : i < 24 ? 1 : i < 30 ? rise(i - 18, 12) : 0;
    }
    for (int i = 0; i < 36; ++i) windows[3][i] = windows[1][35 - i];
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

/// 36 samples of 18 lines.
void transform(const float* lines, int type, float* out) {
  const Tables& t = tables();
  std::fill_n(out, 36, 0.0F);
  if (type != 2) {
    for (int k = 0; k < 18; ++k) {
      for (int i = 0; i < 36; ++i) out[i] += lines[k] * t.long_waves[k][i];
    }
    for (int i = 0; i < 36; ++i) out[i] *= t.windows[type][i];
    return;
  }
  for (int w = 0; w < 3; ++w) {
    float part[12] = {};
    for (int k = 0; k < 6; ++k) {
      for (int i = 0; i < 12; ++i) part[i] += lines[3 * k + w] * t.short_waves[k][i];
    }
    for (int i = 0; i < 12; ++i) out[6 + 6 * w + i] += part[i] * t.windows[2][i];
  }
}

}  // namespace

void reduce_aliases(float* lines, int subbands) {
  const Tables& t = tables();
  for (int at = 18; at < 18 * subbands; at += 18) {
    for (int i = 0; i < 8; ++i) {
      const float low = lines[at - 1 - i], high = lines[at + i];
      lines[at - 1 - i] = low * t.keep[i] - high * t.cross[i];
      lines[at + i] = high * t.keep[i] + low * t.cross[i];
    }
  }
}

void Synthesis::operator()(const float* lines, int type, bool mixed, float* out, int stride) {
  float slots[18][32];
  for (int band = 0; band < 32; ++band) {
    float samples[36];
    transform(lines + 18 * band, mixed && band < 2 ? 0 : type, samples);
    for (int i = 0; i < 18; ++i) {
      const float sum = samples[i] + overlap_[band][i];
      slots[i][band] = band % 2 != 0 && i % 2 != 0 ? -sum : sum;
      overlap_[band][i] = samples[18 + i];
    }
  }
  for (int i = 0; i < 18; ++i) polyphase(slots[i], out + 32 * i * stride, stride);
}

void Synthesis::polyphase(const float* subbands, float* out, int stride) {
  const Tables& t = tables();
  float waves[32] = {};
  for (int k = 0; k < 32; ++k) {
    for (int i = 0; i < 32; ++i) waves[i] += subbands[k] * t.subband_waves[k][i];
  }
  start_ = (start_ + 1024 - 64) % 1024;
  float* v = history_ + start_;
  // Wave 16 is zero; those around it are odd, and those around 48 even.
  v[16] = 0;
  for (int i = 0; i < 32; ++i) v[17 + i] = waves[i];
  for (int i = 1; i <= 16; ++i) v[16 - i] = -v[16 + i];
  for (int i = 1; i <= 15; ++i) v[48 + i] = v[48 - i];

  float sums[32] = {};
  for (int part = 0; part < 16; ++part) {
    const int from = part / 2 * 128 + (part % 2 != 0 ? 96 : 0);
    const float* u = history_ + (start_ + from) % 1024;
    for (int j = 0; j < 32; ++j) sums[j] += u[j] * t.window[32 * part + j];
  }
  for (int j = 0; j < 32; ++j) out[j * stride] = sums[j];
}

}  // namespace tallow::mp3
