// Ogg's pages, each of which has a checksum and a number, so that no damage goes unseen.
#include "media/audio/ogg.h"

#include <array>

namespace tallow {
namespace {

enum Flag : uint8_t { continued = 1, first = 2, last = 4 };

constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i << 24;
    for (int bit = 0; bit < 8; ++bit) c = c << 1 ^ (c >> 31 ? 0x04C11DB7 : 0);
    table[i] = c;
  }
  return table;
}();

uint32_t checksum(uint32_t c, std::span<const std::byte> bytes) {
  for (const std::byte b : bytes) c = c << 8 ^ kTable[c >> 24 ^ static_cast<uint32_t>(b)];
  return c;
}

}  // namespace

OggReader::Page OggReader::read_page() {
  const uint64_t start = reader_.offset();
  const auto header = reader_.take(27, "page");
  ByteReader whole = reader_;
  whole.seek(start);
  if (as_text(whole.take(5, "page")) != std::string_view("OggS\0", 5)) {
    whole.fail_at("page", "does not begin with OggS; the file is damaged");
  }
  Page page;
  page.flags = whole.read<uint8_t>("flags");
  page.granule = whole.read<int64_t>("position");
  page.serial = whole.read<uint32_t>("serial");
  page.number = whole.read<uint32_t>("number");
  const auto expected = whole.read<uint32_t>("checksum");
  page.lengths = reader_.take(whole.read<uint8_t>("segments"), "segments");
  uint64_t size = 0;
  for (const std::byte length : page.lengths) size += static_cast<uint64_t>(length);
  page.body = reader_.take(size, "page");
  constexpr std::byte kNone[4] = {};
  uint32_t sum = checksum(0, header.first(22));
  for (const auto part : {std::span(kNone).first(4), header.subspan(26), page.lengths, page.body}) {
    sum = checksum(sum, part);
  }
  if (sum != expected) whole.fail_at("checksum", "is not the page's; the file is damaged");
  return page;
}

OggReader::OggReader(const AudioFile& file, std::span<const std::string_view> heads)
    : reader_(file.bytes, file.what) {
  while (reader_.remaining() > 0) {
    page_ = read_page();
    if (!(page_.flags & first)) break;
    for (head_ = 0; head_ < heads.size(); ++head_) {
      if (as_text(page_.body).starts_with(heads[head_])) return;
    }
  }
  reader_.fail_at("stream", "none of Vorbis, Opus or FLAC");
}

bool OggReader::next_page() {
  if (page_.flags & last) return false;
  const Page before = page_;
  do {
    if (reader_.remaining() == 0) return false;
    page_ = read_page();
  } while (page_.serial != before.serial);
  if (page_.number != before.number + 1) {
    reader_.fail_at("page", "number ", page_.number, " follows ", before.number,
                    "; the file is damaged");
  }
  segment_ = at_ = 0;
  return true;
}

std::optional<OggPacket> OggReader::next() {
  packet_.clear();
  bool open = false;
  while (true) {
    if (segment_ == page_.lengths.size()) {
      if (ended_ || !next_page()) {
        ended_ = true;
        if (open) fail("ends in the middle; the file is truncated");
        return {};
      }
      if (open != ((page_.flags & continued) != 0)) fail("is not whole; the file is damaged");
      continue;
    }
    const auto length = static_cast<size_t>(page_.lengths[segment_++]);
    const auto part = page_.body.subspan(at_, length);
    packet_.insert(packet_.end(), part.begin(), part.end());
    at_ += length;
    open = length == 255;
    if (open) continue;
    const auto rest = page_.lengths.subspan(segment_);
    const bool ends =
        std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{255}; });
    return OggPacket{packet_, ends ? page_.granule : -1, ends && (page_.flags & last) != 0};
  }
}

Audio decode_ogg(const AudioFile& file) {
  constexpr std::string_view kHeads[] = {"OpusHead", "\x01vorbis",
                                         "\x7F"
                                         "FLAC"};
  OggReader packets(file, kHeads);
  if (packets.head() == 0) return decode_opus(file, packets);
  return packets.head() == 1 ? decode_vorbis(file, packets) : decode_flac(file, true);
}

}  // namespace tallow
