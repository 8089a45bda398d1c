// Fuzzes the decoders of images and animations. The checksums of PNG are mended first, which no
// change would pass.
#include "formats/zip/deflate.h"
#include "image_seeds.h"
#include "media/image/formats.h"
#include "tallow/error.h"
#include "tallow/image.h"
#include "target.h"

namespace {

uint32_t big_endian(const std::string& s, size_t at) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(s[at + i]);
  return number;
}

void mend_checksums(std::string& png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t size = big_endian(png, at);
    if (size > png.size() - at - 12) return;
    const auto chunk = std::as_bytes(std::span(png)).subspan(at + 4, size + 4);
    const uint32_t sum = tallow::crc32_of(chunk);
    for (size_t i = 0; i < 4; ++i) png[at + 8 + size + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += size + 12;
  }
}

void touch(const tallow::Tensor& pixels) {
  const auto* each = static_cast<const volatile uint8_t*>(pixels.raw());
  (void)each[0];
  (void)each[pixels.numel() - 1];
}

template <class Read>
void read_all(const Read& read) {
  try {
    read();
  } catch (const tallow::Error&) {
  }
}

int nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("\x89PNG")) mend_checksums(bytes);
  read_all([&] { touch(tallow::decode_image(bytes, "t")); });
  const auto span = std::as_bytes(std::span(bytes));
  const auto take = [](const tallow::Tensor& pixels, double) { touch(pixels); };
  if (bytes.starts_with("GIF")) read_all([&] { tallow::image::each_gif_frame(span, "t", take); });
  if (bytes.starts_with("RIFF")) read_all([&] { tallow::image::each_webp_frame(span, "t", take); });
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  for (const std::string_view hex : kImageSeeds) {
    std::string& seed = seeds.emplace_back();
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      seed += static_cast<char>(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
    }
  }
  return seeds;
}
