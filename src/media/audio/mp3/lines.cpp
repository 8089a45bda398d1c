// A granule's scale factors and spectral lines: ISO/IEC 11172-3, 2.4.2.7 and 2.4.3.4, and 13818-3.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "media/audio/mp3/mp3.h"

namespace tallow::mp3 {
namespace {

/// How many scale factors have how many bits each.
struct Parts {
  int count[4], bits[4];
};

int kind_of(const Granule& g) { return g.type != 2 ? 0 : g.mixed ? 2 : 1; }

Parts first_version_parts(const Granule& g) {
  constexpr int kLow[16] = {0, 0, 0, 0, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4};
  constexpr int kHigh[16] = {0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 2, 3};
  constexpr int kCounts[3][4] = {{6, 5, 5, 5}, {9, 9, 9, 9}, {8, 9, 9, 9}};
  const int low = kLow[g.compress], high = kHigh[g.compress];
  Parts parts{{}, {low, low, high, high}};
  std::copy_n(kCounts[kind_of(g)], 4, parts.count);
  return parts;
}

/// MPEG-2's, which also say the preflag; `positions` are those of intensities.
Parts second_version_parts(Granule& g, bool positions) {
  constexpr int kCounts[6][3][4] = {{{6, 5, 5, 5}, {9, 9, 9, 9}, {6, 9, 9, 9}},
                                    {{6, 5, 7, 3}, {9, 9, 12, 6}, {6, 9, 12, 6}},
                                    {{11, 10, 0, 0}, {18, 18, 0, 0}, {15, 18, 0, 0}},
                                    {{7, 7, 7, 0}, {12, 12, 12, 0}, {6, 15, 12, 0}},
                                    {{6, 6, 6, 3}, {12, 9, 9, 6}, {6, 12, 9, 6}},
                                    {{8, 8, 5, 0}, {15, 12, 9, 0}, {6, 18, 9, 0}}};
  Parts parts{};
  const auto set = [&](int block, int a, int b, int c, int d) {
    parts = {{}, {a, b, c, d}};
    std::copy_n(kCounts[block][kind_of(g)], 4, parts.count);
  };
  int s = positions ? g.compress >> 1 : g.compress;
  if (positions) {
    if (s < 180) {
      set(3, s / 36, s % 36 / 6, s % 6, 0);
    } else if (s < 244) {
      s -= 180;
      set(4, s >> 4, s >> 2 & 3, s & 3, 0);
    } else {
      set(5, (s - 244) / 3, (s - 244) % 3, 0, 0);
    }
    return parts;
  }
  g.preflag = s >= 500;
  if (s < 400) {
    set(0, (s >> 4) / 5, (s >> 4) % 5, s >> 2 & 3, s & 3);
  } else if (s < 500) {
    s -= 400;
    set(1, (s >> 2) / 5, (s >> 2) % 5, s & 3, 0);
  } else {
    set(2, (s - 500) / 3, (s - 500) % 3, 0, 0);
  }
  return parts;
}

void read_scale(const Header& h, const SideInfo& side, int granule, int channel, Granule& g,
                Bits& bits) {
  const bool positions = h.version > 0 && h.intensity && channel == 1;
  const Parts parts = h.version == 0 ? first_version_parts(g) : second_version_parts(g, positions);
  int band = 0;
  for (int part = 0; part < 4; ++part) {
    const bool reuse = granule == 1 && side.reuse[channel][part] && g.type != 2;
    for (int i = 0; i < parts.count[part]; ++i, ++band) {
      const int width = parts.bits[part];
      g.scale[band] =
          reuse ? side.granules[0][channel].scale[band] : static_cast<int>(bits.read(width));
      g.illegal[band] = positions && width > 0 && g.scale[band] == (1 << width) - 1;
    }
  }
}

/// The whole numbers of a granule; returns how many may not be zero.
int read_values(const Granule& g, size_t end, Bits& bits, int* values) {
  std::fill_n(values, kLines, 0);
  const int big = std::min(2 * g.big_values, kLines);
  int i = 0;
  for (; i < big && bits.at() < end; i += 2) {
    const int region = i < g.regions[0] ? 0 : i < g.regions[1] ? 1 : 2;
    read_pair(g.tables[region], bits, values + i);
  }
  for (; i + 4 <= kLines && bits.at() < end; i += 4) {
    read_quad(g.plain_quads, bits, values + i);
    if (bits.at() > end) std::fill_n(values + i, 4, 0);  // the last word is cut off: filling
  }
  return i;
}

float power_four_thirds(int value) {
  static const std::vector<float> kPowers = [] {
    std::vector<float> powers(8207);
    for (size_t i = 0; i < powers.size(); ++i) {
      powers[i] = static_cast<float>(std::pow(static_cast<double>(i), 4.0 / 3));
    }
    return powers;
  }();
  const float power = kPowers[static_cast<size_t>(std::abs(value))];
  return value < 0 ? -power : power;
}

/// The step of a band's lines.
float step_of(const Granule& g, int band) {
  constexpr int kPreflag[22] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 2, 0};
  int scale = g.scale[band], gain = g.gain - 210;
  if (band >= g.bands.longs) gain -= 8 * g.subblock_gain[(band - g.bands.longs) % 3];
  if (g.preflag && g.type != 2) scale += kPreflag[band];
  return static_cast<float>(std::exp2(0.25 * (gain - (g.coarse ? 4 : 2) * scale)));
}

}  // namespace

void read_lines(const Header& h, const SideInfo& side, int granule, int channel, Granule& g,
                Bits& bits, float* lines) {
  const size_t end = bits.at() + static_cast<size_t>(g.bits);
  read_scale(h, side, granule, channel, g, bits);
  int values[kLines];
  const int used = read_values(g, end, bits, values);
  bits.seek(end);
  std::fill_n(lines, kLines, 0.0F);
  for (int band = 0, at = 0; band < g.bands.count && at < used; ++band) {
    const float step = step_of(g, band);
    for (const int next = at + g.bands.width[band]; at < next; ++at) {
      lines[at] = power_four_thirds(values[at]) * step;
    }
  }
}

namespace {

/// How loud the left and the right are at an intensity position.
std::pair<float, float> shares(const Header& h, const Granule& right, int position) {
  if (h.version == 0) {
    const double ratio = std::tan(position * std::numbers::pi / 12);
    if (position == 6) return {1.0F, 0.0F};
    return {static_cast<float>(ratio / (1 + ratio)), static_cast<float>(1 / (1 + ratio))};
  }
  const double root = (right.compress & 1) != 0 ? 0.5 : 0.25;
  const auto less = static_cast<float>(std::exp2(-root * std::floor((position + 1) / 2.0)));
  if (position % 2 != 0) return {less, 1.0F};
  return {1.0F, less};
}

void split_middle(float* left, float* right, int count) {
  constexpr float kHalf = std::numbers::sqrt2_v<float> / 2;
  for (int i = 0; i < count; ++i) {
    const float middle = left[i], side = right[i];
    left[i] = (middle + side) * kHalf;
    right[i] = (middle - side) * kHalf;
  }
}

/// The last band of each window in which the right channel has lines of its own.
std::array<int, 3> last_bands(const Granule& g, const float* right) {
  std::array<int, 3> last = {-1, -1, -1};
  for (int band = 0, at = 0; band < g.bands.count; at += g.bands.width[band++]) {
    const bool silent = std::all_of(right + at, right + at + g.bands.width[band],
                                    [](float line) { return line == 0; });
    if (!silent) last[static_cast<size_t>(band % 3)] = band;
  }
  if (g.bands.longs > 0) last.fill(*std::max_element(last.begin(), last.end()));
  return last;
}

}  // namespace

void split_stereo(const Header& h, const Granule& right, float* lines[2]) {
  if (!h.intensity) {
    if (h.middle_side) split_middle(lines[0], lines[1], kLines);
    return;
  }
  const Bands& bands = right.bands;
  const std::array<int, 3> last = last_bands(right, lines[1]);
  const int windows = right.type == 2 ? 3 : 1, none = h.version == 0 ? 7 : 64;
  for (int band = 0, at = 0; band < bands.count; at += bands.width[band++]) {
    float *l = lines[0] + at, *r = lines[1] + at;
    // The last band of a window has no factor of its own: it has that of the one before.
    const int from = band >= bands.count - windows ? band - windows : band;
    const int position = right.illegal[from] ? none : right.scale[from];
    const int own = last[static_cast<size_t>(band % 3)];
    if (band <= own || position >= none) {
      if (h.middle_side) split_middle(l, r, bands.width[band]);
      continue;
    }
    const auto [to_left, to_right] = shares(h, right, position);
    for (int i = 0; i < bands.width[band]; ++i) {
      r[i] = l[i] * to_right;
      l[i] *= to_left;
    }
  }
}

void reorder(const Granule& g, float* lines) {
  float ordered[kLines];
  int at = 0;
  for (int band = 0; band < g.bands.longs; ++band) at += g.bands.width[band];
  const int start = at;
  for (int band = g.bands.longs; band < g.bands.count; band += 3) {
    const int width = g.bands.width[band];
    for (int window = 0; window < 3; ++window) {
      for (int i = 0; i < width; ++i) ordered[at + 3 * i + window] = lines[at + window * width + i];
    }
    at += 3 * width;
  }
  std::copy(ordered + start, ordered + at, lines + start);
}

}  // namespace tallow::mp3
