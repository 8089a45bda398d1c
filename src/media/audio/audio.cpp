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

struct Format {
  bool (*matches)(std::string_view bytes);
  Audio (*decode)(const AudioFile& file);
};

constexpr Format kFormats[] = {
    {is_wav, decode_wav},
};

Audio decode(std::span<const std::byte> bytes, const std::string& what) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) fail(what, ": is empty");
  for (const Format& format : kFormats) {
    if (format.matches(text)) return format.decode({bytes, what});
  }
  fail(what, ": is no sound of a known format; known are WAV, FLAC, MP3, OGG");
}

}  // namespace

Audio decode_audio(std::string_view bytes, const std::string& what) {
  return decode(std::as_bytes(std::span(bytes)), what);
}

Audio read_audio(const std::string& path) { return decode(FileBytes::open(path)->bytes(), path); }

}  // namespace tallow
