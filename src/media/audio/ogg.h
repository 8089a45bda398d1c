// Ogg: packets of one stream out of pages (RFC 3533).
#pragma once

#include <optional>
#include <vector>

#include "formats/byte_reader.h"
#include "media/audio/decoders.h"

namespace tallow {

struct OggPacket {
  std::span<const std::byte> bytes;  ///< until the next packet is asked for
  int64_t granule = -1;              ///< where a page says that its last packet ends
  bool last = false;                 ///< of the stream
};

class OggReader {
 public:
  /// Finds the first stream whose first packet begins with one of `heads`. Throws Error for none.
  OggReader(const AudioFile& file, std::span<const std::string_view> heads);
  /// Which of `heads` it was.
  size_t head() const { return head_; }
  /// Throws Error for pages that are damaged or missing.
  std::optional<OggPacket> next();
  template <class... T>
  [[noreturn]] void fail(const T&... reason) const {
    reader_.fail_at("packet", reason...);
  }

 private:
  struct Page {
    uint8_t flags = 0;
    int64_t granule = -1;
    uint32_t serial = 0, number = 0;
    std::span<const std::byte> lengths, body;
  };
  Page read_page();
  bool next_page();

  ByteReader reader_;
  Page page_;
  size_t head_ = 0, segment_ = 0, at_ = 0;
  bool ended_ = false;
  std::vector<std::byte> packet_;
};

}  // namespace tallow
