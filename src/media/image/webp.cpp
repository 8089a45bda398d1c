// WebP (RFC 9649), by libwebp: lossy and lossless; of an animation, the first frame.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

using Demuxer = std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)>;

/// The first chunk of a name; empty for none.
Bytes chunk_of(const WebPDemuxer* demuxer, const char* name) {
  WebPChunkIterator chunk;
  Bytes found;
  if (WebPDemuxGetChunk(demuxer, name, 1, &chunk)) {
    found = std::as_bytes(std::span(chunk.chunk.bytes, chunk.chunk.size));
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return found;
}

int orientation_of(const WebPDemuxer* demuxer) {
  Bytes exif = chunk_of(demuxer, "EXIF");
  if (as_text(exif).starts_with("Exif")) exif = exif.subspan(std::min<size_t>(6, exif.size()));
  if (const int found = exif_orientation(exif)) return found;
  return xmp_orientation(as_text(chunk_of(demuxer, "XMP ")));
}

}  // namespace

Decoded decode_webp(Bytes bytes, const std::string& what) {
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const Demuxer demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) fail(what, ": WebP: the ", bytes.size(), " bytes are truncated or damaged");
  const int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  Decoded decoded{new_pixels(height, width, bytes.size(), what), orientation_of(demuxer.get())};

  WebPIterator frame;
  const bool found = WebPDemuxGetFrame(demuxer.get(), 1, &frame) != 0;
  const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> held(
      &frame, WebPDemuxReleaseIterator);
  if (!found || !frame.complete || frame.x_offset < 0 || frame.y_offset < 0 ||
      frame.width > width - frame.x_offset || frame.height > height - frame.y_offset) {
    fail(what, ": WebP: there is no whole first frame within ", width, " x ", height, " pixels");
  }
  const int64_t stride = 3 * width, first = frame.y_offset * stride + 3 * frame.x_offset;
  uint8_t* pixels = decoded.pixels.data<uint8_t>();
  if (!WebPDecodeRGBInto(frame.fragment.bytes, frame.fragment.size, pixels + first,
                         static_cast<size_t>(height * stride - first), static_cast<int>(stride))) {
    fail(what, ": WebP: the compressed data is damaged");
  }
  return decoded;
}

int64_t each_webp_frame(Bytes bytes, const std::string& what, const OnFrame& take) {
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const Demuxer demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) fail(what, ": WebP: the ", bytes.size(), " bytes are truncated or damaged");
  const int64_t count = WebPDemuxGetI(demuxer.get(), WEBP_FF_FRAME_COUNT);
  if (!take) return count;
  const int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  check_size(height, width, bytes.size(), what, count);  // each frame costs a canvas
  const Tensor pixels = new_pixels(height, width, bytes.size(), what);

  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, nullptr), WebPAnimDecoderDelete);
  int begin = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint8_t* colours = nullptr;
    int end = 0;  // milliseconds
    if (!decoder || !WebPAnimDecoderGetNext(decoder.get(), &colours, &end)) {
      fail(what, ": WebP: frame ", i, " is damaged");
    }
    uint8_t* to = pixels.data<uint8_t>();
    for (int64_t p = 0; p < height * width; ++p) std::copy_n(colours + 4 * p, 3, to + 3 * p);
    take(pixels, begin / 1000.0);
    begin = end;
  }
  return count;
}

}  // namespace tallow::image
