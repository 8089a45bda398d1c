// GIF (89a, CompuServe 1990): the first frame, on a canvas of its transparent colour.
#include <vector>

#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

constexpr int kMostBits = 12;

struct Frame {
  int64_t x = 0, y = 0, width = 0, height = 0;
  bool interlaced = false;
};

void read_palette(ByteReader& in, int flags, Palette& palette) {
  if ((flags & 0x80) == 0) return;
  const size_t count = size_t{2} << (flags & 7);
  const Palette greys;
  palette = greys;
  for (size_t i = 0; i < count; ++i) {
    for (uint8_t& c : palette[i]) c = in.read<uint8_t>("GIF: palette");
  }
  if (palette != greys) palette.cut(count);
}

/// The next part of a divided stream; empty at its end.
Bytes next_block(ByteReader& in) {
  return in.take(in.read<uint8_t>("GIF: block size"), "GIF: block");
}

/// What codes of a growing number of bits stand for (Welch 1984).
class Codes {
 public:
  Codes(ByteReader& in, int bits) : in_(in), first_(bits), clear_(1 << bits) { reset(); }

  /// Fills `out` with numbers of colours.
  void decode(std::vector<uint8_t>& out) {
    for (size_t done = 0; done < out.size();) {
      const int code = next();
      if (code == clear_) {
        reset();
      } else if (code == clear_ + 1) {
        in_.fail_at("GIF: data", "ends early; the file is truncated or damaged");
      } else {
        done = put(code, out, done);
      }
    }
  }

 private:
  void reset() {
    bits_ = first_ + 1;
    count_ = clear_ + 2;
    last_ = -1;
  }

  int next() {
    while (held_ < bits_) {
      if (at_ == block_.size()) {
        block_ = next_block(in_);
        at_ = 0;
        if (block_.empty()) in_.fail_at("GIF: data", "ends early; the file is truncated");
      }
      buffer_ |= static_cast<uint32_t>(block_[at_++]) << held_;
      held_ += 8;
    }
    const int code = static_cast<int>(buffer_ & ((1U << bits_) - 1));
    buffer_ >>= bits_;
    held_ -= bits_;
    return code;
  }

  /// Writes what `code` stands for, its end first, and learns the next code.
  size_t put(int code, std::vector<uint8_t>& out, size_t done) {
    if (code > count_ || (code == count_ && last_ < 0) || (last_ < 0 && code > clear_)) {
      in_.fail_at("GIF: data", str("code ", code, " is unknown; the file is damaged"));
    }
    const bool known = code < count_;
    const int source = known ? code : last_;
    const size_t length = length_of(source), room = out.size() - done;
    int rest = source;
    for (size_t i = length; i-- > 0; rest = prefix_[static_cast<size_t>(rest)]) {
      if (i < room) out[done + i] = end_of(rest);
      if (i == 0) break;
    }
    const uint8_t begin = end_of(rest);
    if (!known && length < room) out[done + length] = begin;
    if (last_ >= 0 && count_ < 1 << kMostBits) {
      const auto i = static_cast<size_t>(count_);
      prefix_[i] = static_cast<uint16_t>(last_);
      end_[i] = begin;
      length_[i] = static_cast<uint16_t>(length_of(last_) + 1);
      if (++count_ == 1 << bits_ && bits_ < kMostBits) ++bits_;
    }
    last_ = code;
    return done + std::min(room, length + (known ? 0 : 1));
  }

  size_t length_of(int code) const {
    return code < clear_ ? 1 : length_[static_cast<size_t>(code)];
  }
  uint8_t end_of(int code) const {
    return code < clear_ ? static_cast<uint8_t>(code) : end_[static_cast<size_t>(code)];
  }

  ByteReader& in_;
  Bytes block_;
  size_t at_ = 0;
  uint32_t buffer_ = 0;
  int held_ = 0;
  const int first_, clear_;
  int bits_ = 0, count_ = 0, last_ = -1;
  std::array<uint16_t, 1 << kMostBits> prefix_{}, length_{};
  std::array<uint8_t, 1 << kMostBits> end_{};
};

/// Reads up to the first image, whose frame it gives. `transparent` is the colour that shows none.
Frame find_frame(ByteReader& in, int& transparent) {
  for (;;) {
    const auto kind = in.read<uint8_t>("GIF: block");
    if (kind == ';') in.fail_at("GIF: block", "there is no image");
    if (kind == ',') {
      Frame f;
      f.x = in.read<uint16_t>("GIF: left");
      f.y = in.read<uint16_t>("GIF: top");
      f.width = in.read<uint16_t>("GIF: width");
      f.height = in.read<uint16_t>("GIF: height");
      return f;
    }
    if (kind != '!') continue;
    constexpr uint8_t kControl = 0xF9;
    const bool control = in.read<uint8_t>("GIF: label") == kControl;
    for (Bytes block = next_block(in); !block.empty(); block = next_block(in)) {
      if (control && block.size() >= 4 && (static_cast<uint8_t>(block[0]) & 1) != 0) {
        transparent = static_cast<uint8_t>(block[3]);
      }
    }
  }
}

/// Rows in the order in which the file has them.
std::vector<int64_t> row_order(const Frame& frame) {
  std::vector<int64_t> rows;
  const auto add = [&](int64_t first, int64_t step) {
    for (int64_t y = first; y < frame.height; y += step) rows.push_back(y);
  };
  if (!frame.interlaced) {
    add(0, 1);
    return rows;
  }
  add(0, 8);
  add(4, 8);
  add(2, 4);
  add(1, 2);
  return rows;
}

}  // namespace

Decoded decode_gif(Bytes bytes, const std::string& what) {
  ByteReader in(bytes, what, 6);
  int64_t width = in.read<uint16_t>("GIF: width"), height = in.read<uint16_t>("GIF: height");
  const auto screen = in.read<uint8_t>("GIF: flags");
  in.take(2, "GIF: background");
  Palette palette;
  read_palette(in, screen, palette);
  int transparent = 0;
  Frame frame = find_frame(in, transparent);
  const auto flags = in.read<uint8_t>("GIF: flags");
  frame.interlaced = (flags & 0x40) != 0;
  read_palette(in, flags, palette);
  const int bits = in.read<uint8_t>("GIF: code size");
  if (bits < 1 || bits > 11) in.fail_at("GIF: code size", str(bits, " bits are unknown"));

  // A frame that stands out makes the canvas larger.
  width = std::max(width, frame.x + frame.width);
  height = std::max(height, frame.y + frame.height);
  check_size(frame.height, frame.width, bytes.size(), what);
  Decoded decoded{new_pixels(height, width, bytes.size(), what), 0};
  std::vector<uint8_t> numbers(static_cast<size_t>(frame.width * frame.height));
  Codes(in, bits).decode(numbers);

  uint8_t* pixels = decoded.pixels.data<uint8_t>();
  if (frame.width < width || frame.height < height) {
    fill(decoded.pixels, palette[static_cast<size_t>(transparent)]);
  }
  const uint8_t* number = numbers.data();
  for (const int64_t y : row_order(frame)) {
    uint8_t* to = pixels + 3 * ((frame.y + y) * width + frame.x);
    for (int64_t x = 0; x < frame.width; ++x, to += 3) std::ranges::copy(palette[*number++], to);
  }
  return decoded;
}

}  // namespace tallow::image
