// What kind of sound a file is.
#include "tallow/audio.h"

#include "formats/file_bytes.h"
#include "media/audio/decoders.h"
#include "tallow/error.h"

namespace tallow {
namespace {

bool is_wav(std::string_view b) {
  return b.size() >= 12 && b.substr(8, 4) == "WAVE" &&
         (b.starts_with("RIFF") || b.starts_with("RIFX") || b.starts_with("RF64"));
}

bool is_flac(std::string_view b) { return b.starts_with("fLaC"); }
bool is_ogg(std::string_view b) { return b.starts_with("OggS"); }

struct Format {
  bool (*matches)(std::string_view bytes);
  Audio (*decode)(const AudioFile& file);
};

constexpr Format kFormats[] = {
    {is_wav, decode_wav},
    {is_flac, [](const AudioFile& file) { return decode_flac(file); }},
    {is_ogg, decode_ogg},
    {is_mp3, decode_mp3},  // the last, since it looks for more than a signature
};

/// Skips the tag that some programs write before the sound (id3.org, ID3v2.4.0).
std::string_view after_tag(std::string_view b) {
  if (!b.starts_with("ID3") || b.size() < 10) return b;
  size_t size = 10 + (b[5] & 0x10 ? 10 : 0);
  for (size_t i = 6, shift = 21; i < 10; ++i, shift -= 7) {
    size += static_cast<size_t>(b[i] & 0x7F) << shift;
  }
  return b.substr(std::min(size, b.size()));
}

Audio decode(std::span<const std::byte> bytes, const std::string& what) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) fail(what, ": is empty");
  const std::string_view sound = after_tag(text);
  for (const Format& format : kFormats) {
    if (format.matches(sound)) return format.decode({bytes.last(sound.size()), what});
  }
  fail(what, ": is no sound of a known format; known are WAV, FLAC, MP3, OGG");
}

}  // namespace

Audio decode_audio(std::string_view bytes, const std::string& what) {
  return decode(std::as_bytes(std::span(bytes)), what);
}

Audio read_audio(const std::string& path) { return decode(FileBytes::open(path)->bytes(), path); }

}  // namespace tallow
