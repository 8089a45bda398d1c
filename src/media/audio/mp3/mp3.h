// MPEG-1, 2 and 2.5 audio, layer III: ISO/IEC 11172-3 and 13818-3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tallow::mp3 {

constexpr int kLines = 576;  // of a granule's spectrum, as many as its samples

/// Bits, the highest of a byte first; past the end there are zeros.
class Bits {
 public:
  explicit Bits(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint32_t read(int count) {
    uint32_t value = 0;
    for (; count > 0; --count, ++at_) {
      const size_t byte = at_ / 8;
      const auto b = byte < bytes_.size() ? static_cast<uint32_t>(bytes_[byte]) : 0;
      value = value << 1 | (b >> (7 - at_ % 8) & 1);
    }
    return value;
  }
  size_t at() const { return at_; }
  void seek(size_t bit) { at_ = bit; }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

struct Header {
  int version = 0;  ///< 0 for MPEG-1, 1 for MPEG-2, 2 for MPEG-2.5
  int rate = 0, channels = 0, bytes = 0;
  bool checked = false;  ///< a checksum follows
  bool middle_side = false, intensity = false;

  int granules() const { return version == 0 ? 2 : 1; }
  int side_bytes() const {
    return version == 0 ? (channels == 1 ? 17 : 32) : (channels == 1 ? 9 : 17);
  }
  /// Whether frames of both can be of one stream.
  bool agrees(const Header& h) const {
    return version == h.version && rate == h.rate && channels == h.channels;
  }
};
/// Nothing where no frame begins.
std::optional<Header> read_header(std::span<const std::byte> bytes);

/// The widths of a granule's scale factor bands, short ones by window, and how many are long.
struct Bands {
  int width[40], count = 0, longs = 0;
};

/// A granule of one channel, as the side information describes it.
struct Granule {
  int bits = 0, big_values = 0, gain = 0, compress = 0;
  int type = 0;  ///< of its blocks: 0 long, 1 start, 2 short, 3 stop
  bool mixed = false, preflag = false, coarse = false, plain_quads = false;
  int tables[3] = {}, subblock_gain[3] = {}, regions[2] = {};
  Bands bands;
  int scale[40] = {};
  /// Whether a scale factor of MPEG-2 is one that stands for no intensity position.
  bool illegal[40] = {};
};

struct SideInfo {
  int main_data_begin = 0;
  bool reuse[2][4] = {};  ///< by channel: the second granule has these scale factors of the first
  Granule granules[2][2];
};
SideInfo read_side_info(const Header& h, Bits& bits);

/// Reads a granule's scale factors and its lines f32 [kLines], in the file's order.
void read_lines(const Header& h, const SideInfo& side, int granule, int channel, Granule& g,
                Bits& bits, float* lines);
/// Takes middle and side, and intensities, apart.
void split_stereo(const Header& h, const Granule& right, float* lines[2]);
/// Puts the lines of short blocks into the order of frequencies.
void reorder(const Granule& g, float* lines);

/// Two values, or four of -1 to 1.
void read_pair(int select, Bits& bits, int* out);
void read_quad(bool plain, Bits& bits, int* out);

/// Takes out what the filters of the first `subbands` leak into each other.
void reduce_aliases(float* lines, int subbands);

/// The filters of one channel.
class Synthesis {
 public:
  /// kLines samples, `stride` apart.
  void operator()(const float* lines, int type, bool mixed, float* out, int stride);

 private:
  void polyphase(const float* subbands, float* out, int stride);

  float overlap_[32][18] = {};
  float history_[1024] = {};
  int start_ = 0;
};

}  // namespace tallow::mp3
