// Headers and side information of frames: ISO/IEC 11172-3, 2.4.1, and 13818-3, 2.4.1.
#include <algorithm>

#include "media/audio/mp3/mp3.h"

namespace tallow::mp3 {
namespace {

constexpr int kBitRates[2][15] = {
    {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
    {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};  // kbit/s
constexpr int kRates[3] = {44100, 48000, 32000};

// Where bands begin (table B.8), by version and rate; MPEG-2.5 at 11025 and 12000 Hz has those of
// MPEG-2 at 16000.
constexpr int kLongBands[7][23] = {{0,  4,  8,   12,  16,  20,  24,  30,  36,  44,  52, 62,
                                    74, 90, 110, 134, 162, 196, 238, 288, 342, 418, 576},
                                   {0,  4,  8,   12,  16,  20,  24,  30,  36,  42,  50, 60,
                                    72, 88, 106, 128, 156, 190, 230, 276, 330, 384, 576},
                                   {0,  4,   8,   12,  16,  20,  24,  30,  36,  44,  54, 66,
                                    82, 102, 126, 156, 194, 240, 296, 364, 448, 550, 576},
                                   {0,   6,   12,  18,  24,  30,  36,  44,  54,  66,  80, 96,
                                    116, 140, 168, 200, 238, 284, 336, 396, 464, 522, 576},
                                   {0,   6,   12,  18,  24,  30,  36,  44,  54,  66,  80, 96,
                                    114, 136, 162, 194, 232, 278, 332, 394, 464, 540, 576},
                                   {0,   6,   12,  18,  24,  30,  36,  44,  54,  66,  80, 96,
                                    116, 140, 168, 200, 238, 284, 336, 396, 464, 522, 576},
                                   {0,   12,  24,  36,  48,  60,  72,  88,  108, 132, 160, 192,
                                    232, 280, 336, 400, 476, 566, 568, 570, 572, 574, 576}};
constexpr int kShortBands[7][14] = {{0, 4, 8, 12, 16, 22, 30, 40, 52, 66, 84, 106, 136, 192},
                                    {0, 4, 8, 12, 16, 22, 28, 38, 50, 64, 80, 100, 126, 192},
                                    {0, 4, 8, 12, 16, 22, 30, 42, 58, 78, 104, 138, 180, 192},
                                    {0, 4, 8, 12, 18, 24, 32, 42, 56, 74, 100, 132, 174, 192},
                                    {0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 136, 180, 192},
                                    {0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192},
                                    {0, 8, 16, 24, 36, 52, 72, 96, 124, 160, 162, 164, 166, 192}};

int row_of(const Header& h) {
  if (h.version == 2) return h.rate == 8000 ? 6 : 5;
  for (int i = 0; i < 3; ++i) {
    if (kRates[i] >> h.version == h.rate) return 3 * h.version + i;
  }
  return 0;
}

Bands bands_of(const Header& h, const Granule& g) {
  const int row = row_of(h);
  Bands bands;
  bands.longs = g.type != 2 ? 22 : g.mixed ? (h.version == 0 ? 8 : 6) : 0;
  for (; bands.count < bands.longs; ++bands.count) {
    bands.width[bands.count] = kLongBands[row][bands.count + 1] - kLongBands[row][bands.count];
  }
  if (g.type != 2) return bands;
  for (int band = g.mixed ? 3 : 0; band < 13; ++band) {
    for (int window = 0; window < 3; ++window) {
      bands.width[bands.count++] = kShortBands[row][band + 1] - kShortBands[row][band];
    }
  }
  return bands;
}

void read_regions(const Header& h, Granule& g, Bits& bits) {
  const int row = row_of(h);
  if (bits.read(1) == 0) {
    for (int& table : g.tables) table = static_cast<int>(bits.read(5));
    const int first = static_cast<int>(bits.read(4)) + 1;
    const int second = first + static_cast<int>(bits.read(3)) + 1;
    g.regions[0] = kLongBands[row][std::min(first, 22)];
    g.regions[1] = kLongBands[row][std::min(second, 22)];
    return;
  }
  g.type = static_cast<int>(bits.read(2));
  g.mixed = bits.read(1) != 0 && g.type == 2;
  for (int i = 0; i < 2; ++i) g.tables[i] = static_cast<int>(bits.read(5));
  for (int& gain : g.subblock_gain) gain = static_cast<int>(bits.read(3));
  g.regions[0] = g.type == 2 && !g.mixed ? 3 * kShortBands[row][3] : kLongBands[row][8];
  g.regions[1] = kLines;
}

}  // namespace

std::optional<Header> read_header(std::span<const std::byte> bytes) {
  if (bytes.size() < 4) return {};
  Bits bits(bytes);
  if (bits.read(11) != 0x7FF) return {};
  const uint32_t version = bits.read(2), layer = bits.read(2);
  Header h;
  h.checked = bits.read(1) == 0;
  const uint32_t bit_rate = bits.read(4), rate = bits.read(2), padding = bits.read(1);
  bits.read(1);
  const uint32_t mode = bits.read(2), extension = bits.read(2);
  if (version == 1 || layer != 1 || bit_rate == 0 || bit_rate == 15 || rate == 3) return {};
  h.version = version == 3 ? 0 : version == 2 ? 1 : 2;
  h.rate = kRates[rate] >> h.version;
  h.channels = mode == 3 ? 1 : 2;
  h.intensity = mode == 1 && (extension & 1);
  h.middle_side = mode == 1 && (extension & 2);
  const int kilobits = kBitRates[h.version == 0 ? 0 : 1][bit_rate];
  h.bytes = 72 * h.granules() * kilobits * 1000 / h.rate + static_cast<int>(padding);
  return h;
}

SideInfo read_side_info(const Header& h, Bits& bits) {
  const bool first_version = h.version == 0;
  SideInfo side;
  side.main_data_begin = static_cast<int>(bits.read(first_version ? 9 : 8));
  bits.read(first_version ? (h.channels == 1 ? 5 : 3) : h.channels);  // private
  for (int c = 0; first_version && c < h.channels; ++c) {
    for (bool& reuse : side.reuse[c]) reuse = bits.read(1) != 0;
  }
  for (int i = 0; i < h.granules(); ++i) {
    for (int c = 0; c < h.channels; ++c) {
      Granule& g = side.granules[i][c];
      g.bits = static_cast<int>(bits.read(12));
      g.big_values = static_cast<int>(bits.read(9));
      g.gain = static_cast<int>(bits.read(8));
      g.compress = static_cast<int>(bits.read(first_version ? 4 : 9));
      read_regions(h, g, bits);
      if (first_version) g.preflag = bits.read(1) != 0;
      g.coarse = bits.read(1) != 0;
      g.plain_quads = bits.read(1) != 0;
      g.bands = bands_of(h, g);
    }
  }
  return side;
}

}  // namespace tallow::mp3
