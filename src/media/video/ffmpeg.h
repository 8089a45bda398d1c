// Videos, through FFmpeg's programs where they are installed.
#pragma once

#include <string>
#include <string_view>

#include "tallow/image.h"

namespace tallow::video {

/// Whether a file that begins so is a video: MP4, QuickTime, Matroska, WebM, AVI, MPEG, Ogg, FLV.
bool is_video(std::string_view begin);

/// As read_frames. Throws Error, naming the file, where FFmpeg is not installed or cannot read it.
Frames read(const std::string& path, const FrameSampling& sampling);

}  // namespace tallow::video
