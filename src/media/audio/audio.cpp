// What kind of sound a file is.
#include "tallow/audio.h"

#include "tallow/error.h"

namespace tallow {

Audio decode_audio(std::string_view, const std::string& what) {
  fail(what, ": is no sound of a known format; known are WAV, FLAC, MP3, OGG");
}

Audio read_audio(const std::string& path) { return decode_audio({}, path); }

}  // namespace tallow
