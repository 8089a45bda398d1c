// Videos, through FFmpeg's programs where they are installed.
#pragma once

#include <string>
#include <string_view>

#include "tallow/image.h"

namespace tallow::video {

/// Whether a file that begins so is a video: MP4, QuickTime, Matroska, WebM, AVI, MPEG, Ogg, FLV.
bool is_video(std::string_view begin);

/// At most `most` frames, at even distances. Throws Error, naming the file, where FFmpeg is not
/// installed or cannot read it.
Frames read(const std::string& path, int64_t most);

}  // namespace tallow::video
