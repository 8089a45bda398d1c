// Sounds in: files and bytes to samples.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tallow/tensor.h"

namespace tallow {

struct Audio {
  Tensor samples;    ///< f32 [channels, frames], in [-1, 1]
  int64_t rate = 0;  ///< frames per second
};

/// The sound of a WAV, FLAC, MP3 or OGG (Vorbis, Opus) file, told apart by its first bytes. Throws
/// Error, naming the file, for one that is damaged, empty or of another format.
Audio read_audio(const std::string& path);
/// The same of bytes in memory; `what` begins every error message.
Audio decode_audio(std::string_view bytes, const std::string& what);

/// samples f32 [..., frames] at `from` frames per second as `to` per second: [..., ceil(frames * to
/// / from)]. A windowed sinc, flat to 0.91 of the lower rate's half and 120 dB down past it.
Tensor resample_audio(const Tensor& samples, int64_t from, int64_t to);

/// One channel of `rate` frames per second, f32 [frames]: the mean of the channels, resampled where
/// the rates differ.
Tensor to_mono(const Audio& audio, int64_t rate);

}  // namespace tallow
