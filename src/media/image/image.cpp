// What kind of image a file is.
#include "tallow/image.h"

#include <cstring>

#include "formats/file_bytes.h"
#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow {
namespace image {
namespace {

constexpr int64_t kMostPixels = 178'956'970;  // Pillow's
// Compressed images of one colour hold many pixels in a byte; files of them stay small.
constexpr int64_t kSmallImage = int64_t{1} << 24, kPixelsPerByte = int64_t{1} << 14;

Decoded decode(Bytes bytes, const std::string& what) {
  using namespace std::string_view_literals;
  const std::string_view text = as_text(bytes);
  if (text.empty()) fail(what, ": is empty");
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) return decode_png(bytes, what);
  if (text.starts_with("\xff\xd8\xff"sv)) return decode_jpeg(bytes, what);
  if (text.starts_with("GIF87a") || text.starts_with("GIF89a")) return decode_gif(bytes, what);
  if (text.starts_with("BM")) return decode_bmp(bytes, what);
  if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) {
    return decode_webp(bytes, what);
  }
  fail(what, ": is no image of a known format; known are PNG, JPEG, WebP, GIF, BMP");
}

}  // namespace

void check_size(int64_t height, int64_t width, size_t bytes, const std::string& what,
                int64_t frames) {
  if (height < 1 || width < 1) fail(what, ": size: ", width, " x ", height, " pixels are no image");
  if (width > kMostPixels / height) {
    fail(what, ": size: ", width, " x ", height, " pixels are more than ", kMostPixels);
  }
  const int64_t count = frames * height * width;
  if (count > kSmallImage && count / kPixelsPerByte > static_cast<int64_t>(bytes)) {
    fail(what, ": size: ", width, " x ", height, " pixels, ", frames, " times, cannot be in ",
         bytes, " bytes; the file is truncated or damaged");
  }
}

Tensor new_pixels(int64_t height, int64_t width, size_t bytes, const std::string& what) {
  check_size(height, width, bytes, what);
  return Tensor::zeros({height, width, 3}, DType::u8);
}

void fill(const Tensor& pixels, const std::array<uint8_t, 3>& colour) {
  const auto row = static_cast<size_t>(pixels.size(1) * 3);
  auto* first = pixels.data<uint8_t>();
  for (size_t i = 0; i < row; ++i) first[i] = colour[i % 3];
  for (int64_t y = 1; y < pixels.size(0); ++y) {
    std::memcpy(first + static_cast<size_t>(y) * row, first, row);
  }
}

}  // namespace image

Tensor decode_image(std::string_view bytes, const std::string& what) {
  const auto span = std::as_bytes(std::span(bytes));
  const image::Decoded decoded = image::decode(span, what);
  return image::turned(decoded.pixels, decoded.orientation);
}

Tensor read_image(const std::string& path) {
  const auto file = FileBytes::open(path);
  return decode_image(as_text(file->bytes()), path);
}

}  // namespace tallow
