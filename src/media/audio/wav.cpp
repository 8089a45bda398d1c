// WAV: RIFF, its big-endian twin RIFX, and RF64 (EBU Tech 3306), as Microsoft's "Multimedia
// Programming Interface and Data Specifications 1.0" and mmreg.h define them.
#include <bit>
#include <optional>

#include "formats/byte_reader.h"
#include "media/audio/decoders.h"

namespace tallow {
namespace {

constexpr uint32_t kUnknown = 0xFFFFFFFF;  // a size that RF64 says elsewhere, or a pipe never knew
enum Tag : uint16_t { pcm = 1, ieee_float = 3, a_law = 6, mu_law = 7, extensible = 0xFFFE };

struct Layout {
  uint16_t tag = 0, channels = 0;
  uint32_t rate = 0;
  uint16_t frame_bytes = 0, bits = 0;
  bool big_endian = false;
};

Layout read_format(ByteReader r, uint64_t size, bool big_endian) {
  r.set_big_endian(big_endian);
  Layout f{.big_endian = big_endian};
  f.tag = r.read<uint16_t>("format");
  f.channels = r.read<uint16_t>("channels");
  f.rate = r.read<uint32_t>("sample rate");
  r.read<uint32_t>("bytes per second");
  f.frame_bytes = r.read<uint16_t>("bytes per frame");
  f.bits = r.read<uint16_t>("bits per sample");
  if (f.tag == extensible && size >= 26) {
    r.take(8, "format extension");
    f.tag = r.read<uint16_t>("subformat");
  }
  return f;
}

/// The little end of a sample of `Bytes` bytes, whatever the file's.
template <size_t Bytes>
uint64_t load(const std::byte* p, bool big_endian) {
  uint64_t v = 0;
  for (size_t i = 0; i < Bytes; ++i) {
    v |= static_cast<uint64_t>(p[big_endian ? Bytes - 1 - i : i]) << (8 * i);
  }
  return v;
}

/// Signed integers of `Bytes` bytes to [-1, 1).
template <size_t Bytes>
float from_pcm(const std::byte* p, bool big_endian) {
  const auto high = static_cast<uint32_t>(load<Bytes>(p, big_endian) << (32 - 8 * Bytes));
  return static_cast<float>(static_cast<int32_t>(high)) * 0x1p-31F;
}

float from_u8(const std::byte* p, bool) {
  return static_cast<float>(static_cast<int>(*p) - 128) / 128;
}

float from_f32(const std::byte* p, bool big_endian) {
  return std::bit_cast<float>(static_cast<uint32_t>(load<4>(p, big_endian)));
}

float from_f64(const std::byte* p, bool big_endian) {
  return static_cast<float>(std::bit_cast<double>(load<8>(p, big_endian)));
}

/// ITU-T G.711: a sign, an exponent of three bits and a mantissa of four.
float from_a_law(const std::byte* p, bool) {
  const int v = static_cast<int>(*p) ^ 0x55, exponent = v >> 4 & 7, mantissa = (v & 15) * 2 + 1;
  const int size = exponent == 0 ? mantissa * 8 : (mantissa + 32) * 8 << (exponent - 1);
  return static_cast<float>(v & 0x80 ? size : -size) / 32768;
}

float from_mu_law(const std::byte* p, bool) {
  const int v = ~static_cast<int>(*p), exponent = v >> 4 & 7, mantissa = (v & 15) * 2 + 33;
  const int size = (mantissa << (exponent + 2)) - 33 * 4;
  return static_cast<float>(v & 0x80 ? -size : size) / 32768;
}

struct Encoding {
  uint16_t tag;
  int bytes;  // of a sample
  float (*decode)(const std::byte* p, bool big_endian);
};

constexpr Encoding kEncodings[] = {
    {pcm, 1, from_u8},      {pcm, 2, from_pcm<2>},     {pcm, 3, from_pcm<3>},
    {pcm, 4, from_pcm<4>},  {ieee_float, 4, from_f32}, {ieee_float, 8, from_f64},
    {a_law, 1, from_a_law}, {mu_law, 1, from_mu_law},
};

const Encoding& encoding_of(const Layout& f, const ByteReader& r) {
  const int bytes = f.channels > 0 ? f.frame_bytes / f.channels : 0;
  for (const Encoding& e : kEncodings) {
    if (e.tag == f.tag && e.bytes == bytes && f.frame_bytes == bytes * f.channels) return e;
  }
  r.fail_at("format", f.tag, " with ", f.bits, " bits in ", f.frame_bytes, " bytes for ",
            f.channels, " channels is unknown; known are PCM of 8 to 32 bits, floats, A-law and ",
            "mu-law");
}

Audio decode_samples(const AudioFile& file, const Layout& f, const Encoding& encoding,
                     std::span<const std::byte> data) {
  SampleSink sink(file, f.channels, f.rate);
  sink.expect(data.size() / f.frame_bytes);
  constexpr int64_t kAtOnce = 1 << 14;
  const std::byte* from = data.data();
  for (auto left = static_cast<int64_t>(data.size() / f.frame_bytes); left > 0;) {
    const int64_t frames = std::min(left, kAtOnce);
    float* to = sink.grow(frames);
    for (int64_t i = 0; i < frames * f.channels; ++i, from += encoding.bytes) {
      to[i] = encoding.decode(from, f.big_endian);
    }
    left -= frames;
  }
  return std::move(sink).finish();
}

}  // namespace

Audio decode_wav(const AudioFile& file) {
  ByteReader r(file.bytes, file.what);
  const bool big_endian = as_text(r.take(4, "signature")) == "RIFX";
  r.set_big_endian(big_endian);
  r.take(8, "signature");
  std::optional<Layout> format;
  uint64_t long_size = 0;
  while (r.remaining() > 0) {
    const std::string_view name = as_text(r.take(4, "chunk"));
    uint64_t size = r.read<uint32_t>("size of a chunk");
    if (name == "ds64") {
      ByteReader sizes = r;
      sizes.read<uint64_t>("size of the file");
      long_size = sizes.read<uint64_t>("size of the samples");
    }
    if (name == "fmt ") format = read_format(r, size, big_endian);
    if (name == "data") {
      if (!format) r.fail_at("data", "comes before the format");
      const Encoding& encoding = encoding_of(*format, r);
      if (size == kUnknown) size = long_size > 0 ? long_size : r.remaining();
      return decode_samples(file, *format, encoding, r.take(size, "samples"));
    }
    r.take(std::min(size + size % 2, std::max(size, r.remaining())), quoted(name));
  }
  r.fail_at("data", "there are no samples");
}

}  // namespace tallow
