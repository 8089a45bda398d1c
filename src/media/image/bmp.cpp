// BMP (Windows 2 to 5, OS/2 1 and 2): 1, 4, 8, 16, 24 and 32 bits, with masks, or with the run
// lengths of 4 and 8 bits. Alpha is dropped.
#include <bit>

#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kMasks = 3 };

struct Header {
  int64_t width = 0, height = 0;
  bool top_down = false;
  int bits = 0;
  uint32_t compression = kRaw;
  std::array<uint32_t, 3> masks{};  // of red, green and blue
  Palette palette;
  uint64_t data = 0;  // where the pixels begin

  /// The row of the picture that a file's row is.
  int64_t row(int64_t y) const { return top_down ? y : height - 1 - y; }
};

/// Of OS/2 1, which differs from all others.
void read_core(ByteReader& in, Header& h) {
  h.width = in.read<uint16_t>("BMP: width");
  h.height = in.read<uint16_t>("BMP: height");
  in.take(2, "BMP: planes");
  h.bits = in.read<uint16_t>("BMP: bits");
}

/// Gives the number of colours that the palette is said to have, or 0.
uint32_t read_info(ByteReader& in, Header& h, uint32_t size) {
  ByteReader rest = in;
  in.take(size - 4, "BMP: header");
  h.width = rest.read<uint32_t>("BMP: width");
  const auto height = rest.read<int32_t>("BMP: height");
  h.top_down = height < 0;
  h.height = height < 0 ? -int64_t{height} : height;
  rest.take(2, "BMP: planes");
  h.bits = rest.read<uint16_t>("BMP: bits");
  h.compression = rest.read<uint32_t>("BMP: compression");
  rest.take(12, "BMP: resolution");
  const auto colours = rest.read<uint32_t>("BMP: colours");
  if (h.compression == kMasks) {
    rest.take(4, "BMP: important colours");
    // A short header has them behind it.
    ByteReader& from = size >= 52 ? rest : in;
    for (uint32_t& mask : h.masks) mask = from.read<uint32_t>("BMP: masks");
  }
  return colours;
}

void read_palette(ByteReader& in, Header& h, uint64_t colours, bool padded) {
  const Palette greys;
  for (uint64_t i = 0; i < colours; ++i) {
    const Bytes entry = in.take(padded ? 4 : 3, "BMP: palette");
    for (size_t c = 0; i < 256 && c < 3; ++c) h.palette[i][c] = static_cast<uint8_t>(entry[2 - c]);
  }
  if (h.palette != greys) h.palette.cut(colours);
}

Header read_header(Bytes bytes, const std::string& what) {
  ByteReader in(bytes, what, 10);
  Header h;
  h.data = in.read<uint32_t>("BMP: offset of the pixels");
  const auto size = in.read<uint32_t>("BMP: header size");
  uint64_t colours = 0;
  if (size == 12) {
    read_core(in, h);
  } else if (size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124) {
    colours = read_info(in, h, size);
  } else {
    in.fail_at("BMP: header size", str(size, " is unknown"));
  }
  const bool indexed = h.bits == 1 || h.bits == 4 || h.bits == 8;
  const bool runs =
      (h.compression == kRle8 && h.bits == 8) || (h.compression == kRle4 && h.bits == 4);
  const bool known = indexed ? h.compression == kRaw || runs
                             : (h.bits == 16 || h.bits == 24 || h.bits == 32) &&
                                   (h.compression == kRaw || h.compression == kMasks);
  if (!known) {
    fail(what, ": BMP: ", h.bits, " bits with compression ", h.compression, " are unknown");
  }
  if (indexed) {
    if (colours == 0) colours = uint64_t{1} << h.bits;
    const uint64_t entry = size == 12 ? 3 : 4;
    // Some writers say that the pixels begin where the palette does.
    if (h.data == 14 + size) h.data += entry * colours;
    read_palette(in, h, colours, size != 12);
  }
  if (h.data == 0) h.data = in.offset();
  return h;
}

/// The bits of a colour, and what they are divided by to become 0 to 255.
struct Channel {
  uint32_t mask;
  int shift;
  uint32_t most;

  explicit Channel(uint32_t bits)
      : mask(bits), shift(std::countr_zero(bits)), most(bits ? bits >> shift : 1) {}
  uint8_t operator()(uint32_t pixel) const {
    return mask ? static_cast<uint8_t>(uint64_t{(pixel & mask) >> shift} * 255 / most) : 0;
  }
};

std::array<Channel, 3> channels_of(const Header& h) {
  auto masks = h.masks;
  if (masks == std::array<uint32_t, 3>{}) {
    masks = h.bits == 16 ? std::array<uint32_t, 3>{0x7C00, 0x3E0, 0x1F}
                         : std::array<uint32_t, 3>{0xFF0000, 0xFF00, 0xFF};
  }
  return {Channel(masks[0]), Channel(masks[1]), Channel(masks[2])};
}

void put_rows(ByteReader& in, const Header& h, uint8_t* pixels) {
  const auto channels = channels_of(h);
  const int64_t row_bytes = (h.width * h.bits + 31) / 32 * 4, bytes = h.bits / 8;
  in.check_count(static_cast<uint64_t>(h.height), static_cast<uint64_t>(row_bytes), "BMP: rows");
  for (int64_t y = 0; y < h.height; ++y) {
    const Bytes taken = in.take(static_cast<uint64_t>(row_bytes), "BMP: row");
    const auto* row = reinterpret_cast<const uint8_t*>(taken.data());
    uint8_t* to = pixels + 3 * h.row(y) * h.width;
    for (int64_t x = 0; x < h.width; ++x, to += 3) {
      if (h.bits <= 8) {
        const int64_t bit = x * h.bits;
        const int number = row[bit / 8] >> (8 - h.bits - bit % 8) & ((1 << h.bits) - 1);
        std::ranges::copy(h.palette[static_cast<size_t>(number)], to);
        continue;
      }
      uint32_t pixel = 0;
      for (int64_t b = 0; b < bytes; ++b) {
        pixel |= static_cast<uint32_t>(row[x * bytes + b]) << (8 * b);
      }
      for (size_t c = 0; c < 3; ++c) to[c] = channels[c](pixel);
    }
  }
}

/// Where the next pixel of a picture in runs stands; what leaves the picture is dropped.
struct Pen {
  const Header& h;
  uint8_t* pixels;
  int64_t x = 0, y = 0;

  void put(int number) {
    if (x < h.width && y < h.height) {
      std::ranges::copy(h.palette[static_cast<size_t>(number)],
                        pixels + 3 * (h.row(y) * h.width + x));
    }
    ++x;
  }
};

void put_runs(ByteReader& in, const Header& h, uint8_t* pixels) {
  const bool nibbles = h.compression == kRle4;
  const uint64_t begin = in.offset();
  Pen pen{h, pixels};
  const auto half = [&](uint8_t byte, int i) {
    return nibbles ? (i % 2 == 0 ? byte >> 4 : byte & 15) : byte;
  };
  while (pen.y < h.height) {
    const int count = in.read<uint8_t>("BMP: run");
    const auto value = in.read<uint8_t>("BMP: run");
    if (count > 0) {
      for (int i = 0; i < count; ++i) pen.put(half(value, i));
    } else if (value == 0) {  // the end of the row
      pen.x = 0;
      ++pen.y;
    } else if (value == 1) {  // the end of the picture
      return;
    } else if (value == 2) {
      pen.x += in.read<uint8_t>("BMP: step");
      pen.y += in.read<uint8_t>("BMP: step");
    } else {
      uint8_t byte = 0;
      for (int i = 0; i < value; ++i) {
        if (!nibbles || i % 2 == 0) byte = in.read<uint8_t>("BMP: pixels");
        pen.put(half(byte, i));
      }
      if ((in.offset() - begin) % 2 != 0) in.take(1, "BMP: pixels");
    }
  }
}

}  // namespace

Decoded decode_bmp(Bytes bytes, const std::string& what) {
  const Header h = read_header(bytes, what);
  Decoded decoded{new_pixels(h.height, h.width, bytes.size(), what), 0};
  ByteReader in(bytes, what, h.data);
  uint8_t* pixels = decoded.pixels.data<uint8_t>();
  if (h.compression == kRle8 || h.compression == kRle4) {
    fill(decoded.pixels, h.palette[0]);
    put_runs(in, h, pixels);
  } else {
    put_rows(in, h, pixels);
  }
  return decoded;
}

}  // namespace tallow::image
