// Images in: files and bytes to pixels, and pixels to other sizes, as Pillow does both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tallow/tensor.h"

namespace tallow {

/// The pixels u8 [height, width, 3] of a PNG, JPEG, WebP, GIF or BMP file, told apart by its first
/// bytes: the first frame, in RGB, turned as its EXIF orientation says. Equal to Pillow's
/// `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`. Throws Error, naming the file, for
/// one that is damaged, of another format, or of more than 178,956,970 pixels.
Tensor read_image(const std::string& path);
/// The same of bytes in memory; `what` begins every error message.
Tensor decode_image(std::string_view bytes, const std::string& what);

}  // namespace tallow
