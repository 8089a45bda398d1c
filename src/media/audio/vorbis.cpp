// Vorbis in Ogg (the Vorbis I specification), by libvorbis.
#include <vorbis/codec.h>

#include "media/audio/ogg.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int64_t kMostEntries = 1 << 20;  // of all codebooks; encoders write some 20,000

/// libvorbis's state of one stream.
struct Stream {
  vorbis_info info;
  vorbis_comment comment;
  vorbis_dsp_state dsp{};
  vorbis_block block{};

  Stream() {
    vorbis_info_init(&info);
    vorbis_comment_init(&comment);
  }
  ~Stream() {
    vorbis_block_clear(&block);
    vorbis_dsp_clear(&dsp);
    vorbis_comment_clear(&comment);
    vorbis_info_clear(&info);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

ogg_packet as_packet(const OggPacket& packet, int64_t number) {
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(packet.bytes.data()));
  return {bytes, static_cast<long>(packet.bytes.size()), number == 0, packet.last, packet.granule,
          number};
}

/// Bits of a header; past its end they are zero, and ended() says so.
class Bits {
 public:
  explicit Bits(std::span<const std::byte> bytes) {
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    oggpack_readinit(&bits_, data, static_cast<int>(bytes.size()));
  }
  int64_t read(int count) {
    const long value = oggpack_read(&bits_, count);
    ended_ = ended_ || value < 0;
    return std::max<int64_t>(value, 0);
  }
  void skip(int64_t count) {
    for (; count > 0 && !ended_; count -= 32) read(static_cast<int>(std::min<int64_t>(count, 32)));
  }
  bool ended() const { return ended_; }

 private:
  oggpack_buffer bits_;
  bool ended_ = false;
};

int width_of(int64_t value) {
  int bits = 0;
  for (; value > 0; value >>= 1) ++bits;
  return bits;
}

/// Passes over the lengths of a codebook's words.
void skip_lengths(Bits& bits, int64_t entries) {
  if (bits.read(1)) {  // in order: runs of the same length
    bits.read(5);
    for (int64_t i = 0; i < entries && !bits.ended();) i += bits.read(width_of(entries - i));
    return;
  }
  const bool sparse = bits.read(1) != 0;
  for (int64_t i = 0; i < entries && !bits.ended(); ++i) {
    if (!sparse || bits.read(1)) bits.read(5);
  }
}

/// The largest r such that r^dimensions <= entries.
int64_t root_of(int64_t entries, int64_t dimensions) {
  if (entries < 1 || dimensions < 1) return 0;
  int64_t root = 1;
  for (;; ++root) {
    int64_t power = 1;
    for (int64_t i = 0; i < dimensions && power <= entries; ++i) power *= root + 1;
    if (power > entries) return root;
  }
}

/// A few bytes may claim codebooks of gigabytes, which libvorbis would allocate.
void check_codebooks(const OggPacket& setup, const OggReader& packets) {
  Bits bits(setup.bytes);
  bits.skip(7 * 8);
  int64_t total = 0;
  for (int64_t book = bits.read(8) + 1; book > 0 && !bits.ended(); --book) {
    bits.read(24);
    const int64_t dimensions = bits.read(16), entries = bits.read(24);
    total += entries * std::max<int64_t>(dimensions, 1);
    if (total > kMostEntries) packets.fail("codebooks of more than ", kMostEntries, " numbers");
    skip_lengths(bits, entries);
    const int64_t lookup = bits.read(4);
    if (lookup == 0) continue;
    bits.skip(64);
    const int64_t width = bits.read(4) + 1;
    bits.read(1);
    bits.skip(width * (lookup == 1 ? root_of(entries, dimensions) : entries * dimensions));
  }
}

void read_headers(Stream& s, OggReader& packets) {
  for (int64_t number = 0; number < 3; ++number) {
    const auto packet = packets.next();
    if (!packet) packets.fail("the headers are not whole; the file is truncated");
    if (number == 2) check_codebooks(*packet, packets);
    ogg_packet p = as_packet(*packet, number);
    if (vorbis_synthesis_headerin(&s.info, &s.comment, &p) != 0) {
      packets.fail("header ", number + 1, " is damaged");
    }
  }
  if (vorbis_synthesis_init(&s.dsp, &s.info) != 0 || vorbis_block_init(&s.dsp, &s.block) != 0) {
    packets.fail("the headers are damaged");
  }
}

}  // namespace

Audio decode_vorbis(const AudioFile& file, OggReader& packets) {
  Stream s;
  read_headers(s, packets);
  const int channels = s.info.channels;
  SampleSink sink(file, static_cast<uint64_t>(channels), static_cast<uint64_t>(s.info.rate));
  for (int64_t number = 3;; ++number) {
    const auto packet = packets.next();
    if (!packet) break;
    ogg_packet p = as_packet(*packet, number);
    const int status = vorbis_synthesis(&s.block, &p);
    if (status == OV_ENOTAUDIO) continue;
    if (status != 0) packets.fail("is no Vorbis; the file is damaged");
    vorbis_synthesis_blockin(&s.dsp, &s.block);
    float** from = nullptr;
    const int frames = vorbis_synthesis_pcmout(&s.dsp, &from);
    if (frames <= 0) continue;
    float* to = sink.grow(frames);
    for (int i = 0; i < frames; ++i) {
      for (int c = 0; c < channels; ++c) *to++ = from[c][i];
    }
    vorbis_synthesis_read(&s.dsp, frames);
  }
  return std::move(sink).finish();
}

}  // namespace tallow
