// Images in: files and bytes to pixels, and pixels to other sizes, as Pillow does both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/tensor.h"

namespace tallow {

/// The pixels u8 [height, width, 3] of a PNG, JPEG, WebP, GIF or BMP file, told apart by its first
/// bytes: the first frame, in RGB, turned as its EXIF orientation says. Equal to Pillow's
/// `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`. Throws Error, naming the file, for
/// one that is damaged, of another format, or of more than 178,956,970 pixels.
Tensor read_image(const std::string& path);
/// The same of bytes in memory; `what` begins every error message.
Tensor decode_image(std::string_view bytes, const std::string& what);

/// Pictures one after another.
struct Frames {
  std::vector<Tensor> frames;   ///< u8 [height, width, 3] each
  std::vector<double> seconds;  ///< when each of them is shown first
};
/// Which frames of a video are taken: at even distances, the first among them, no more than there
/// are.
struct FrameSampling {
  int64_t most = 32;  ///< 0: all
  double rate = 0;    ///< a second, in place of a number; 0: `most`
};
/// The frames of an animated GIF or WebP file, as Pillow composes them, or the images of a folder
/// in the order of their names, 24 a second; of a video, where FFmpeg is installed; of another
/// image, itself. Those of `sampling` are taken, as transformers' video processors do. Throws Error
/// as read_image does, and for more than 4096 frames or 4 GiB of them.
Frames read_frames(const std::string& path, const FrameSampling& sampling = {});

/// Pixels u8 [height, width, channels] at another size, equal to Pillow's `Image.resize`. `filter`
/// is "nearest", "box", "bilinear", "hamming", "bicubic" or "lanczos"; all but the first see every
/// pixel where an image shrinks. Throws Error for another filter, and for sides below 1.
Tensor resize_image(const Tensor& image, int64_t height, int64_t width, std::string_view filter);

}  // namespace tallow
