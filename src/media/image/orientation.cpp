// Where an image's top is: the orientation tag of EXIF 2.3 (section 4.6.4), and its copy in XMP.
#include <bit>

#include "media/image/formats.h"
#include "tallow/ops.h"

namespace tallow::image {
namespace {

constexpr uint16_t kOrientation = 0x0112, kShort = 3, kLong = 4;

int find_orientation(Bytes tiff, const std::string& what) {
  ByteReader header(tiff, what);
  const bool big_endian = as_text(header.take(2, "byte order")) == "MM";
  header.set_big_endian(big_endian);
  header.read<uint16_t>("magic");
  ByteReader in(tiff, what, header.read<uint32_t>("directory"));
  in.set_big_endian(big_endian);
  for (int entries = in.read<uint16_t>("entries"); entries > 0; --entries) {
    const auto tag = in.read<uint16_t>("tag"), type = in.read<uint16_t>("type");
    const auto count = in.read<uint32_t>("count");
    const Bytes value = in.take(4, "value");
    if (tag != kOrientation || count != 1 || (type != kShort && type != kLong)) continue;
    ByteReader number(value, what);
    number.set_big_endian(big_endian);
    return type == kShort ? number.read<uint16_t>("value") : number.read<int32_t>("value");
  }
  return 0;
}

}  // namespace

int exif_orientation(Bytes tiff) {
  try {
    return find_orientation(tiff, "EXIF");
  } catch (const Error&) {
    return 0;  // damaged notes leave the image as it is
  }
}

int xmp_orientation(std::string_view xml) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = 0; (at = xml.find(kName, at)) != xml.npos;) {
    at += kName.size();
    std::string_view rest = xml.substr(at);
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9')
      return rest[0] <= '8' ? rest[0] - '0' : 0;
  }
  return 0;
}

Tensor turned(const Tensor& pixels, int orientation) {
  switch (orientation) {
    case 2: return flip(pixels, {1});
    case 3: return flip(pixels, {0, 1});
    case 4: return flip(pixels, {0});
    case 5: return pixels.transpose(0, 1).contiguous();
    case 6: return flip(pixels.transpose(0, 1), {1}).contiguous();
    case 7: return flip(pixels.transpose(0, 1), {0, 1}).contiguous();
    case 8: return flip(pixels.transpose(0, 1), {0}).contiguous();
    default: return pixels;
  }
}

}  // namespace tallow::image
