// FLAC, native and in Ogg, by libFLAC.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include <FLAC/stream_decoder.h>

#include "media/audio/decoders.h"
#include "tallow/error.h"

namespace tallow {
namespace {

/// What libFLAC's callbacks share. They must not throw, so errors are kept until it returns.
struct Reading {
  explicit Reading(const AudioFile& f) : file(f) {}

  const AudioFile& file;
  size_t at = 0;
  std::optional<SampleSink> sink;
  unsigned channels = 0, rate = 0;
  uint64_t frames = 0;
  std::string error;
};

Reading& of(void* data) { return *static_cast<Reading*>(data); }

FLAC__StreamDecoderReadStatus read(const FLAC__StreamDecoder*, FLAC__byte* to, size_t* size,
                                   void* data) {
  Reading& r = of(data);
  *size = std::min(*size, r.file.bytes.size() - r.at);
  if (*size == 0) return FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
  std::memcpy(to, r.file.bytes.data() + r.at, *size);
  r.at += *size;
  return FLAC__STREAM_DECODER_READ_STATUS_CONTINUE;
}

void take(Reading& r, const FLAC__Frame& frame, const FLAC__int32* const* from) {
  const FLAC__FrameHeader& h = frame.header;
  if (!r.sink) {
    r.sink.emplace(r.file, h.channels, h.sample_rate);
    r.channels = h.channels;
    r.rate = h.sample_rate;
  }
  if (h.channels != r.channels || h.sample_rate != r.rate) {
    fail(r.file.what, ": channels or rate change after ", r.frames, " samples");
  }
  const float scale = std::ldexp(1.0F, 1 - static_cast<int>(h.bits_per_sample));
  float* to = r.sink->grow(h.blocksize);
  for (unsigned i = 0; i < h.blocksize; ++i) {
    for (unsigned c = 0; c < h.channels; ++c) *to++ = static_cast<float>(from[c][i]) * scale;
  }
  r.frames += h.blocksize;
}

FLAC__StreamDecoderWriteStatus write(const FLAC__StreamDecoder*, const FLAC__Frame* frame,
                                     const FLAC__int32* const* from, void* data) {
  Reading& r = of(data);
  try {
    take(r, *frame, from);
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
  } catch (const std::exception& error) {
    r.error = error.what();
    return FLAC__STREAM_DECODER_WRITE_STATUS_ABORT;
  }
}

void note_error(const FLAC__StreamDecoder* decoder, FLAC__StreamDecoderErrorStatus status,
                void* data) {
  Reading& r = of(data);
  const uint64_t claimed = FLAC__stream_decoder_get_total_samples(decoder);
  if (claimed > 0 && r.frames >= claimed) return;  // tags may follow
  if (r.error.empty()) {
    r.error = str(r.file.what, ": frame: offset ", r.at, ": ",
                  FLAC__StreamDecoderErrorStatusString[status], "; the file is damaged");
  }
}

}  // namespace

Audio decode_flac(const AudioFile& file, bool in_ogg) {
  const auto close = [](FLAC__StreamDecoder* d) { FLAC__stream_decoder_delete(d); };
  const std::unique_ptr<FLAC__StreamDecoder, decltype(close)> decoder(FLAC__stream_decoder_new(),
                                                                      close);
  if (!decoder) throw std::bad_alloc();
  Reading r(file);
  const auto init =
      in_ogg ? FLAC__stream_decoder_init_ogg_stream : FLAC__stream_decoder_init_stream;
  if (init(decoder.get(), read, nullptr, nullptr, nullptr, nullptr, write, nullptr, note_error,
           &r) != FLAC__STREAM_DECODER_INIT_STATUS_OK) {
    throw std::bad_alloc();
  }
  while (r.error.empty() && FLAC__stream_decoder_process_single(decoder.get()) &&
         FLAC__stream_decoder_get_state(decoder.get()) < FLAC__STREAM_DECODER_END_OF_STREAM) {
  }
  if (!r.error.empty()) throw Error(r.error);
  const uint64_t claimed = FLAC__stream_decoder_get_total_samples(decoder.get());
  if (r.frames < claimed) {
    fail(file.what, ": ends after ", r.frames, " of ", claimed, " samples; the file is truncated");
  }
  if (!r.sink) fail(file.what, ": holds no sound");
  return std::move(*r.sink).finish();
}

}  // namespace tallow
