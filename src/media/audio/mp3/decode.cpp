// MP3 files: frames that share their bits, and the tag that says where the sound begins and ends.
#include <algorithm>
#include <string_view>
#include <vector>

#include "formats/byte_reader.h"
#include "media/audio/decoders.h"
#include "media/audio/mp3/mp3.h"
#include "tallow/error.h"

namespace tallow {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kSearch = 1 << 16;  // bytes of no sound that a file may begin with
constexpr int kDelay = 529;          // samples by which a decoder is late

/// Where the next frame begins: one that another follows, or the end. bytes.size() for none.
size_t find_frame(Bytes bytes, size_t at, const mp3::Header* like) {
  for (; at + 4 <= bytes.size(); ++at) {
    const auto h = mp3::read_header(bytes.subspan(at));
    if (!h || (like && !h->agrees(*like))) continue;
    const size_t next = at + static_cast<size_t>(h->bytes);
    if (next + 4 > bytes.size()) {
      if (like || next == bytes.size()) return at;
      continue;
    }
    const auto after = mp3::read_header(bytes.subspan(next));
    if (like || (after && after->agrees(*h))) return at;
  }
  return bytes.size();
}

/// What the first frame may hold instead of sound: how much of the others' samples is none.
struct Tag {
  bool found = false;
  int64_t skip = 0, cut = 0;
};

Tag read_tag(const mp3::Header& h, Bytes frame) {
  const size_t start = (h.checked ? 6 : 4) + static_cast<size_t>(h.side_bytes());
  const auto text = [&](size_t at, size_t size) {
    return as_text(frame.subspan(std::min(at, frame.size()))).substr(0, size);
  };
  if (text(36, 4) == "VBRI") return {.found = true};
  if (text(start, 4) != "Xing" && text(start, 4) != "Info") return {};
  Tag tag{.found = true};
  mp3::Bits bits(frame);
  bits.seek(8 * (start + 4));
  const uint32_t has = bits.read(32);
  const size_t more =
      start + 8 + (has & 1 ? 4 : 0) + (has & 2 ? 4 : 0) + (has & 4 ? 100 : 0) + (has & 8 ? 4 : 0);
  if (more + 24 > frame.size() || (text(more, 4) != "LAME" && text(more, 3) != "Lav")) return tag;
  bits.seek(8 * (more + 21));
  tag.skip = static_cast<int64_t>(bits.read(12)) + kDelay;
  tag.cut = std::max<int64_t>(static_cast<int64_t>(bits.read(12)) - kDelay, 0);
  return tag;
}

class Decoder {
 public:
  /// kLines samples of each channel for each granule, interleaved.
  void frame(const mp3::Header& h, Bytes frame, float* out) {
    const size_t start = h.checked ? 6 : 4;
    mp3::Bits bits(frame.subspan(start));
    mp3::SideInfo side = mp3::read_side_info(h, bits);
    const Bytes own = frame.subspan(start + static_cast<size_t>(h.side_bytes()));
    const auto begin = static_cast<size_t>(side.main_data_begin);
    const bool whole = begin <= kept_.size();
    if (whole) kept_.erase(kept_.begin(), kept_.end() - static_cast<ptrdiff_t>(begin));
    kept_.insert(kept_.end(), own.begin(), own.end());

    mp3::Bits main(kept_);
    for (int i = 0; i < h.granules(); ++i, out += mp3::kLines * h.channels) {
      float lines[2][mp3::kLines] = {}, *both[] = {lines[0], lines[1]};
      for (int c = 0; whole && c < h.channels; ++c) {
        mp3::read_lines(h, side, i, c, side.granules[i][c], main, lines[c]);
      }
      if (h.channels == 2) mp3::split_stereo(h, side.granules[i][1], both);
      for (int c = 0; c < h.channels; ++c)
        play(side.granules[i][c], c, lines[c], out + c, h.channels);
    }
    if (kept_.size() > kMost) kept_.erase(kept_.begin(), kept_.end() - kMost);
  }

 private:
  void play(const mp3::Granule& g, int channel, float* lines, float* out, int stride) {
    if (g.type == 2) mp3::reorder(g, lines);
    mp3::reduce_aliases(lines, g.type != 2 ? 32 : g.mixed ? 2 : 0);
    synthesis_[channel](lines, g.type, g.mixed, out, stride);
  }

  static constexpr ptrdiff_t kMost = 511;  // bytes that frames may go back
  std::vector<std::byte> kept_;
  mp3::Synthesis synthesis_[2];
};

}  // namespace

bool is_mp3(std::string_view text) {
  const Bytes bytes = std::as_bytes(std::span(text.substr(0, kSearch + 4096)));
  return find_frame(bytes, 0, nullptr) < std::min(bytes.size(), kSearch);
}

Audio decode_mp3(const AudioFile& file) {
  size_t at = find_frame(file.bytes, 0, nullptr);
  const auto first = mp3::read_header(file.bytes.subspan(at));
  if (!first) fail(file.what, ": holds no frame of MP3");
  const Tag tag = read_tag(*first, file.bytes.subspan(at));
  if (tag.found) at += static_cast<size_t>(first->bytes);

  SampleSink sink(file, static_cast<uint64_t>(first->channels), static_cast<uint64_t>(first->rate));
  Decoder decoder;
  std::vector<float> samples(static_cast<size_t>(2 * mp3::kLines * first->channels));
  const int64_t frames = mp3::kLines * first->granules();
  int64_t skip = tag.skip;
  for (;;) {
    at = find_frame(file.bytes, at, &*first);
    const auto h = mp3::read_header(file.bytes.subspan(at));
    if (!h || static_cast<size_t>(h->bytes) > file.bytes.size() - at) break;
    decoder.frame(*h, file.bytes.subspan(at, static_cast<size_t>(h->bytes)), samples.data());
    at += static_cast<size_t>(h->bytes);
    const int64_t from = std::min(skip, frames);
    skip -= from;
    std::copy_n(samples.data() + from * h->channels, (frames - from) * h->channels,
                sink.grow(frames - from));
  }
  sink.cut(tag.cut);
  return std::move(sink).finish();
}

}  // namespace tallow
