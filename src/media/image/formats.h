// What the decoders of image formats share: their results, their limits and orientations.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "formats/byte_reader.h"
#include "tallow/tensor.h"

namespace tallow::image {

using Bytes = std::span<const std::byte>;

/// What a file holds, before it is turned.
struct Decoded {
  Tensor pixels;        ///< u8 [height, width, 3]
  int orientation = 0;  ///< EXIF's 1 to 8; 0 for none
};

Decoded decode_png(Bytes bytes, const std::string& what);
Decoded decode_jpeg(Bytes bytes, const std::string& what);
Decoded decode_webp(Bytes bytes, const std::string& what);
Decoded decode_gif(Bytes bytes, const std::string& what);
Decoded decode_bmp(Bytes bytes, const std::string& what);

/// Takes the next frame of an animation, and when it is shown first. The pixels change afterwards.
using OnFrame = std::function<void(const Tensor& pixels, double seconds)>;
/// Calls `take` with each frame; gives their number where there is no `take`, without decoding.
int64_t each_webp_frame(Bytes bytes, const std::string& what, const OnFrame& take);
int64_t each_gif_frame(Bytes bytes, const std::string& what, const OnFrame& take);

/// Colours by number: without a palette, greys.
struct Palette : std::array<std::array<uint8_t, 3>, 256> {
  Palette() {
    for (size_t i = 0; i < size(); ++i) (*this)[i].fill(static_cast<uint8_t>(i));
  }
  /// Makes those after the first `known` ones black.
  void cut(size_t known) {
    for (size_t i = known; i < size(); ++i) (*this)[i].fill(0);
  }
};

/// Black pixels u8 [height, width, 3]. Throws Error for sides of 0, for more pixels than Pillow
/// takes, and for many more than `bytes` bytes of an image could be meant for.
Tensor new_pixels(int64_t height, int64_t width, size_t bytes, const std::string& what);
/// The same checks alone, for `frames` images of that size.
void check_size(int64_t height, int64_t width, size_t bytes, const std::string& what,
                int64_t frames = 1);

/// Makes all pixels one colour.
void fill(const Tensor& pixels, const std::array<uint8_t, 3>& colour);

/// The orientation that EXIF data (a TIFF header and its first directory) names; 0 for none.
int exif_orientation(Bytes tiff);
/// The same of XMP's text.
int xmp_orientation(std::string_view xml);

/// The pixels as they are to be seen.
Tensor turned(const Tensor& pixels, int orientation);

}  // namespace tallow::image
