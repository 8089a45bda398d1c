// GIF (89a, CompuServe 1990): frames on a canvas, composed as Pillow does.
#include <algorithm>
#include <utility>
#include <vector>

#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

constexpr int kMostBits = 12;

struct Frame {
  int64_t x = 0, y = 0, width = 0, height = 0;
  bool interlaced = false;
  int transparent = -1;  ///< the number that leaves what is below, or -1
  int after = 0;         ///< what becomes of the frame when the next comes
  double seconds = 0;    ///< how long it is shown
  int bits = 0;          ///< of the first codes
  Palette palette;
};
enum After { kBackground = 2, kPrevious = 3 };

bool read_palette(ByteReader& in, int flags, Palette& palette) {
  if ((flags & 0x80) == 0) return false;
  const size_t count = size_t{2} << (flags & 7);
  const Palette greys;
  palette = greys;
  for (size_t i = 0; i < count; ++i) {
    for (uint8_t& c : palette[i]) c = in.read<uint8_t>("GIF: palette");
  }
  if (palette != greys) palette.cut(count);
  return true;
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

class Reader {
 public:
  Reader(Bytes bytes, const std::string& what)
      : in_(bytes, what, 6), what_(what), size_(bytes.size()) {
    width_ = in_.read<uint16_t>("GIF: width");
    height_ = in_.read<uint16_t>("GIF: height");
    const auto flags = in_.read<uint8_t>("GIF: flags");
    const auto background = in_.read<uint8_t>("GIF: background");
    in_.take(1, "GIF: aspect");
    if (read_palette(in_, flags, palette_)) background_ = background;
  }

  /// Goes to the next image; false at the end of the file.
  bool next(bool may_end) {
    const int after = std::exchange(frame_, Frame()).after;
    frame_.after = after;
    frame_.palette = palette_;
    while (!may_end || in_.remaining() > 0) {
      const auto kind = in_.read<uint8_t>("GIF: block");
      if (kind == ';') break;
      if (kind == '!') read_extension();
      if (kind == ',') return read_frame();
    }
    if (!may_end) in_.fail_at("GIF: block", "there is no image");
    return false;
  }

  void skip_data() {
    while (!next_block(in_).empty()) continue;
  }

  /// Draws the image on the canvas.
  void draw() {
    const bool first = !canvas_;
    grow(first);
    check_size(frame_.height, frame_.width, size_, what_);
    std::vector<uint8_t> numbers(static_cast<size_t>(frame_.width * frame_.height));
    Codes(in_, frame_.bits).decode(numbers);
    const uint8_t* number = numbers.data();
    for (const int64_t y : row_order(frame_)) {
      uint8_t* to = canvas_.data<uint8_t>() + 3 * ((frame_.y + y) * canvas_.size(1) + frame_.x);
      for (int64_t x = 0; x < frame_.width; ++x, to += 3, ++number) {
        if (first || *number != frame_.transparent) std::ranges::copy(frame_.palette[*number], to);
      }
    }
  }

  /// Does away with the image as it asks, before the next is drawn.
  void dispose() {
    const int number = frame_.transparent >= 0 ? frame_.transparent : background_;
    const auto& colour = frame_.palette[static_cast<size_t>(number)];
    if (frame_.after == kPrevious && before_) {
      part().copy_(before_);
    } else if (frame_.after == kBackground ||
               (frame_.after == kPrevious && frame_.transparent >= 0)) {
      const Tensor box = Tensor::empty({frame_.height, frame_.width, 3}, DType::u8);
      fill(box, colour);
      part().copy_(box);
    }
  }

  /// Keeps what the image will hide, where it asks for that. There is nothing under the first.
  void keep() {
    before_ = {};
    if (frame_.after != kPrevious || !canvas_) return;
    grow(false);
    before_ = part().clone();
  }

  const Frame& frame() const { return frame_; }
  const Tensor& canvas() const { return canvas_; }

 private:
  void read_extension() {
    constexpr uint8_t kControl = 0xF9;
    const bool control = in_.read<uint8_t>("GIF: label") == kControl;
    for (Bytes block = next_block(in_); !block.empty(); block = next_block(in_)) {
      if (!control || block.size() < 4) continue;
      const auto byte = [&](size_t i) { return static_cast<int>(block[i]); };
      if ((byte(0) & 1) != 0) frame_.transparent = byte(3);
      if (const int after = byte(0) >> 2 & 7) frame_.after = after;
      frame_.seconds = (byte(1) + 256 * byte(2)) / 100.0;
    }
  }

  bool read_frame() {
    frame_.x = in_.read<uint16_t>("GIF: left");
    frame_.y = in_.read<uint16_t>("GIF: top");
    frame_.width = in_.read<uint16_t>("GIF: width");
    frame_.height = in_.read<uint16_t>("GIF: height");
    const auto flags = in_.read<uint8_t>("GIF: flags");
    frame_.interlaced = (flags & 0x40) != 0;
    read_palette(in_, flags, frame_.palette);
    frame_.bits = in_.read<uint8_t>("GIF: code size");
    if (frame_.bits < 1 || frame_.bits > 11) {
      in_.fail_at("GIF: code size", str(frame_.bits, " bits are unknown"));
    }
    return true;
  }

  /// Makes the canvas, or a larger one for a frame that stands out.
  void grow(bool first) {
    width_ = std::max(width_, frame_.x + frame_.width);
    height_ = std::max(height_, frame_.y + frame_.height);
    if (!first && width_ == canvas_.size(1) && height_ == canvas_.size(0)) return;
    const Tensor larger = new_pixels(height_, width_, size_, what_);
    if (!first) {
      larger.narrow(0, 0, canvas_.size(0)).narrow(1, 0, canvas_.size(1)).copy_(canvas_);
    } else if (frame_.width < width_ || frame_.height < height_) {
      fill(larger, frame_.palette[static_cast<size_t>(std::max(frame_.transparent, 0))]);
    }
    canvas_ = larger;
  }

  /// The rectangle of the image in the canvas.
  Tensor part() const {
    return canvas_.narrow(0, frame_.y, frame_.height).narrow(1, frame_.x, frame_.width);
  }

  ByteReader in_;
  const std::string& what_;
  const size_t size_;
  int64_t width_ = 0, height_ = 0;
  int background_ = 0;
  Palette palette_;
  Frame frame_;
  Tensor canvas_, before_;
};

}  // namespace

Decoded decode_gif(Bytes bytes, const std::string& what) {
  Reader reader(bytes, what);
  reader.next(false);
  reader.draw();
  return {reader.canvas(), 0};
}

int64_t each_gif_frame(Bytes bytes, const std::string& what, const OnFrame& take) {
  Reader reader(bytes, what);
  int64_t count = 0;
  double seconds = 0;
  for (; reader.next(count > 0); ++count) {
    if (!take) {
      reader.skip_data();
      continue;
    }
    reader.keep();
    reader.draw();
    reader.skip_data();
    take(reader.canvas(), seconds);
    seconds += reader.frame().seconds;
    reader.dispose();
  }
  return count;
}

}  // namespace tallow::image
