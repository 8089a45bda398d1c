// A function per format of sound, and where they put what they decode.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/audio.h"

namespace tallow {

/// The bytes of a file and its name, for messages.
struct AudioFile {
  std::span<const std::byte> bytes;
  const std::string& what;
};

/// Collects interleaved samples. A file of few bytes may say a lot of silence: what it may grow to
/// is bounded by its size.
class SampleSink {
 public:
  /// Throws Error for more than 1024 channels, none, or a rate that is none.
  SampleSink(const AudioFile& file, uint64_t channels, uint64_t rate);

  int64_t frames() const { return frames_; }
  /// Throws Error where there is no room for `frames` more.
  void expect(uint64_t frames) const;
  /// Room for `frames` more, of `channels` samples each; valid until the next call.
  float* grow(int64_t frames);
  /// Takes the last `frames` back.
  void cut(int64_t frames);
  /// Throws Error when there is no sound.
  Audio finish() &&;

 private:
  struct Block {
    std::unique_ptr<float[]> samples;
    int64_t frames = 0, room = 0;
  };
  const AudioFile* file_;
  int64_t channels_, rate_, frames_ = 0, limit_;
  std::vector<Block> blocks_;
};

Audio decode_wav(const AudioFile& file);
Audio decode_flac(const AudioFile& file, bool in_ogg = false);
/// Whether frames of MP3 are found near the beginning.
bool is_mp3(std::string_view bytes);
Audio decode_mp3(const AudioFile& file);
Audio decode_ogg(const AudioFile& file);

class OggReader;
/// The rest of a stream whose first packet was found.
Audio decode_vorbis(const AudioFile& file, OggReader& packets);
Audio decode_opus(const AudioFile& file, OggReader& packets);

}  // namespace tallow
