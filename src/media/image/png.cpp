// PNG (third edition, W3C 2025): all colour types, depths and interlacing; of an animation, the
// image that all readers show.
#include <vector>

#include "formats/zip/deflate.h"
#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

enum Colour : uint8_t { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

struct Header {
  int64_t width = 0, height = 0;
  int depth = 0, colour = 0;
  bool interlaced = false;

  int channels() const {
    constexpr int kChannels[] = {1, 0, 3, 1, 2, 0, 4};
    return kChannels[colour];
  }
  int64_t row_bytes(int64_t pixels) const { return (pixels * channels() * depth + 7) / 8; }
};

struct File {
  Header header;
  Palette palette;
  std::vector<std::byte> data;  // of all IDAT chunks
  int exif = 0, xmp = 0;
};

Header read_header(ByteReader& in, const std::string& what) {
  Header h;
  h.width = in.read<uint32_t>("width");
  h.height = in.read<uint32_t>("height");
  h.depth = in.read<uint8_t>("bit depth");
  h.colour = in.read<uint8_t>("colour type");
  const auto compression = in.read<uint8_t>("compression"), filter = in.read<uint8_t>("filter"),
             interlace = in.read<uint8_t>("interlace");
  const bool narrow = h.depth == 1 || h.depth == 2 || h.depth == 4;
  const bool known = h.colour == kGrey      ? narrow || h.depth == 8 || h.depth == 16
                     : h.colour == kPalette ? narrow || h.depth == 8
                     : h.colour == kRgb || h.colour == kGreyAlpha || h.colour == kRgba
                         ? h.depth == 8 || h.depth == 16
                         : false;
  if (!known || compression != 0 || filter != 0 || interlace > 1) {
    fail(what, ": PNG: IHDR: colour type ", h.colour, " with ", h.depth, " bits, compression ",
         compression, ", filter ", filter, ", interlace ", interlace, " is unknown");
  }
  h.interlaced = interlace == 1;
  return h;
}

void read_chunk(File& file, std::string_view name, Bytes data, const std::string& what) {
  ByteReader in(data, what);
  in.set_big_endian(true);
  if (name == "IHDR") {
    file.header = read_header(in, what);
  } else if (name == "PLTE") {
    file.palette.cut(data.size() / 3);
    for (size_t i = 0; i < std::min<size_t>(data.size() / 3, 256); ++i) {
      for (uint8_t& c : file.palette[i]) c = in.read<uint8_t>("palette");
    }
  } else if (name == "IDAT") {
    file.data.insert(file.data.end(), data.begin(), data.end());
  } else if (name == "eXIf") {
    file.exif = exif_orientation(data);
  } else if (name == "iTXt" && as_text(data).starts_with("XML:com.adobe.xmp")) {
    file.xmp = xmp_orientation(as_text(data));
  }
}

File read_chunks(Bytes bytes, const std::string& what) {
  File file;
  ByteReader in(bytes, what, 8);
  in.set_big_endian(true);
  for (bool ended = false; !ended;) {
    const auto size = in.read<uint32_t>("PNG: chunk size");
    const Bytes named = in.take(uint64_t{4} + size, "PNG: chunk");
    const std::string_view name = as_text(named.first(4));
    const bool first = file.header.width == 0;
    if (first != (name == "IHDR")) {
      in.fail_at("PNG: chunk", first ? "IHDR must be the first" : "there are two of IHDR");
    }
    const bool matters = (name[0] & 0x20) == 0;
    if (in.read<uint32_t>("PNG: checksum") != crc32_of(named)) {
      if (matters) in.fail_at(str("PNG: ", quoted(name)), "the checksum differs; it is damaged");
      continue;
    }
    read_chunk(file, name, named.subspan(4), what);
    if (first) check_size(file.header.height, file.header.width, bytes.size(), what);
    ended = name == "IEND";
  }
  return file;
}

/// A part of the image in its own rows: all of it, or a pass of Adam7.
struct Pass {
  int x, y, dx, dy;
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

std::span<const Pass> passes_of(const Header& h) {
  return h.interlaced ? std::span<const Pass>(kAdam7) : kWhole;
}
int64_t columns(const Header& h, const Pass& p) { return (h.width - p.x + p.dx - 1) / p.dx; }
int64_t rows(const Header& h, const Pass& p) { return (h.height - p.y + p.dy - 1) / p.dy; }

uint8_t paeth(int a, int b, int c) {
  const int p = b - c, q = a - c;
  const int to_a = std::abs(p), to_b = std::abs(q), to_c = std::abs(p + q);
  return static_cast<uint8_t>(to_a <= to_b && to_a <= to_c ? a : to_b <= to_c ? b : c);
}

/// Undoes a row's filter. `above` is the row before it, `step` the bytes of a pixel.
template <class Predict>
void undo(uint8_t* row, const uint8_t* above, int64_t n, int64_t step, const Predict& predict) {
  for (int64_t i = 0; i < n; ++i) {
    const int left = i < step ? 0 : row[i - step], corner = i < step ? 0 : above[i - step];
    row[i] = static_cast<uint8_t>(row[i] + predict(left, above[i], corner));
  }
}

void unfilter(int filter, uint8_t* row, const uint8_t* above, int64_t n, int64_t step,
              const std::string& what) {
  switch (filter) {
    case 0: return;
    case 1: return undo(row, above, n, step, [](int a, int, int) { return a; });
    case 2: return undo(row, above, n, step, [](int, int b, int) { return b; });
    case 3: return undo(row, above, n, step, [](int a, int b, int) { return (a + b) / 2; });
    case 4: return undo(row, above, n, step, [](int a, int b, int c) { return paeth(a, b, c); });
    default: fail(what, ": PNG: filter ", filter, " is unknown; the file is damaged");
  }
}

/// The pixels of a row, as Pillow turns them to 8 bits: grey of 16 bits is clipped, colours of 16
/// bits keep their high byte.
void put_row(const File& file, const uint8_t* row, int64_t count, uint8_t* to, int64_t step) {
  const Header& h = file.header;
  const int channels = h.channels();
  for (int64_t i = 0; i < count; ++i, to += 3 * step) {
    if (h.depth < 8) {
      const int64_t bit = i * h.depth;
      const int most = (1 << h.depth) - 1, value = row[bit / 8] >> (8 - h.depth - bit % 8) & most;
      const auto& known = file.palette[static_cast<size_t>(value)];
      for (int c = 0; c < 3; ++c) {
        to[c] = h.colour == kPalette ? known[static_cast<size_t>(c)]
                                     : static_cast<uint8_t>(value * 255 / most);
      }
      continue;
    }
    const uint8_t* pixel = row + i * channels * (h.depth / 8);
    for (int c = 0; c < 3; ++c) {
      const int channel = channels < 3 ? 0 : c;
      if (h.colour == kPalette) {
        to[c] = file.palette[pixel[0]][static_cast<size_t>(c)];
      } else if (h.depth == 8) {
        to[c] = pixel[channel];
      } else {
        to[c] = h.colour == kGrey && pixel[0] != 0 ? 255 : pixel[2 * channel + (h.colour == kGrey)];
      }
    }
  }
}

}  // namespace

Decoded decode_png(Bytes bytes, const std::string& what) {
  const File file = read_chunks(bytes, what);
  const Header& h = file.header;
  int64_t total = 0;
  for (const Pass& p : passes_of(h)) {
    if (columns(h, p) > 0) total += rows(h, p) * (1 + h.row_bytes(columns(h, p)));
  }
  constexpr size_t kHead = 2;  // of zlib's stream
  if (file.data.size() < kHead || static_cast<uint64_t>(total) / kMaxInflation > file.data.size()) {
    fail(what, ": PNG: IDAT: ", file.data.size(), " bytes cannot hold the ", h.width, " x ",
         h.height, " pixels; the file is truncated or damaged");
  }
  std::vector<std::byte> raw(static_cast<size_t>(total));
  inflate_into(Bytes(file.data).subspan(kHead), raw, what + ": PNG: IDAT", true);

  Decoded decoded{new_pixels(h.height, h.width, bytes.size(), what),
                  file.exif ? file.exif : file.xmp};
  uint8_t* pixels = decoded.pixels.data<uint8_t>();
  auto* row = reinterpret_cast<uint8_t*>(raw.data());
  const int64_t step = std::max(1, h.channels() * h.depth / 8);
  for (const Pass& p : passes_of(h)) {
    const int64_t count = columns(h, p), size = h.row_bytes(count);
    if (count <= 0) continue;
    const std::vector<uint8_t> zeros(static_cast<size_t>(size));
    const uint8_t* above = zeros.data();
    for (int64_t y = p.y; y < h.height; y += p.dy, row += size + 1) {
      unfilter(row[0], row + 1, above, size, step, what);
      above = row + 1;
      put_row(file, above, count, pixels + 3 * (y * h.width + p.x), p.dx);
    }
  }
  return decoded;
}

}  // namespace tallow::image
