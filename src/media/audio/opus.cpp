// Opus in Ogg (RFC 7845), by libopus.
#include <memory>

#include <opus/opus_multistream.h>

#include "media/audio/ogg.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int kClock = 48000;  // positions count at this rate, whatever that of the samples

struct Head {
  int channels = 0, skip = 0, rate = 0, gain = 0, streams = 1, coupled = 0;
  unsigned char mapping[255] = {0, 1};
};

/// The rate of what was encoded, where libopus gives that.
int output_rate(uint32_t input) {
  for (const int rate : {8000, 12000, 16000, 24000}) {
    if (input == static_cast<uint32_t>(rate)) return rate;
  }
  return kClock;
}

Head read_head(const OggPacket& packet, const std::string& what) {
  ByteReader r(packet.bytes, what);
  r.take(8, "OpusHead");
  Head head;
  if (r.read<uint8_t>("version") > 15) r.fail_at("version", "is unknown");
  head.channels = r.read<uint8_t>("channels");
  head.skip = r.read<uint16_t>("pre-skip");
  head.rate = output_rate(r.read<uint32_t>("input sample rate"));
  head.gain = r.read<int16_t>("gain");
  const auto family = r.read<uint8_t>("mapping family");
  if (head.channels < 1 || (family == 0 && head.channels > 2)) {
    r.fail_at("channels", head.channels, " are none that mapping ", static_cast<int>(family),
              " knows");
  }
  if (family == 0) {
    head.coupled = head.channels - 1;
    return head;
  }
  head.streams = r.read<uint8_t>("streams");
  head.coupled = r.read<uint8_t>("coupled streams");
  const auto mapping = r.take(static_cast<uint64_t>(head.channels), "channel mapping");
  std::memcpy(head.mapping, mapping.data(), mapping.size());
  return head;
}

}  // namespace

Audio decode_opus(const AudioFile& file, OggReader& packets) {
  const Head head = read_head(*packets.next(), file.what);
  const auto close = [](OpusMSDecoder* d) { opus_multistream_decoder_destroy(d); };
  int status = 0;
  const std::unique_ptr<OpusMSDecoder, decltype(close)> decoder(
      opus_multistream_decoder_create(head.rate, head.channels, head.streams, head.coupled,
                                      head.mapping, &status),
      close);
  if (!decoder) packets.fail("OpusHead: ", opus_strerror(status));
  opus_multistream_decoder_ctl(decoder.get(), OPUS_SET_GAIN(head.gain));

  const int factor = kClock / head.rate, longest = head.rate / 1000 * 120;
  SampleSink sink(file, static_cast<uint64_t>(head.channels), static_cast<uint64_t>(head.rate));
  std::vector<float> samples(static_cast<size_t>(longest * head.channels));
  int64_t skip = head.skip / factor, done = -skip;
  packets.next();  // OpusTags
  while (const auto packet = packets.next()) {
    const auto size = static_cast<opus_int32>(packet->bytes.size());
    const int frames = opus_multistream_decode_float(
        decoder.get(), reinterpret_cast<const unsigned char*>(packet->bytes.data()), size,
        samples.data(), longest, 0);
    if (frames < 0) packets.fail(opus_strerror(frames), "; the file is damaged");
    const int64_t from = std::clamp<int64_t>(-done, 0, frames);
    int64_t to = frames;
    done += frames;
    // The last page says where the sound ends, which may be within its packets.
    if (packet->last && packet->granule >= 0) {
      const int64_t end = (packet->granule - head.skip) / factor;
      to = std::clamp<int64_t>(frames - (done - end), from, frames);
    }
    if (to > from) {
      std::copy_n(samples.data() + from * head.channels, (to - from) * head.channels,
                  sink.grow(to - from));
    }
  }
  return std::move(sink).finish();
}

}  // namespace tallow
