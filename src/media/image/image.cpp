// What kind of image a file is.
#include "tallow/image.h"

#include "tallow/error.h"

namespace tallow {

Tensor decode_image(std::string_view, const std::string& what) {
  fail(what, ": is no image of a known format; known are PNG, JPEG, WebP, GIF, BMP");
}

Tensor read_image(const std::string& path) { return decode_image({}, path); }

}  // namespace tallow
