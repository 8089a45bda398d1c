// Samples as decoders give them, frame by frame, turned into rows.
#include <algorithm>
#include <utility>

#include "media/audio/decoders.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int64_t kFree = 32 << 20;  // samples that any file may have
constexpr int64_t kPerByte = 1024;   // and more by its size: silence in FLAC takes as little
constexpr int64_t kMost = 1 << 29;   // 2 GiB: 9 hours at 16 kHz

}  // namespace

SampleSink::SampleSink(const AudioFile& file, uint64_t channels, uint64_t rate)
    : file_(&file),
      channels_(static_cast<int64_t>(channels)),
      rate_(static_cast<int64_t>(rate)),
      limit_(std::min(kFree + kPerByte * std::ssize(file.bytes), kMost)) {
  if (channels < 1 || channels > 1024) {
    fail(file.what, ": channels: ", channels, " is no number of channels; 1 to 1024 are");
  }
  if (rate < 1 || rate > 10'000'000) {
    fail(file.what, ": sample rate: ", rate, " is none that sound has");
  }
}

void SampleSink::expect(uint64_t frames) const {
  if (frames > static_cast<uint64_t>(limit_ / channels_ - frames_)) {
    fail(file_->what, ": holds more than the ", limit_, " samples that are read of a file of ",
         file_->bytes.size(), " bytes; cut it");
  }
}

float* SampleSink::grow(int64_t frames) {
  expect(static_cast<uint64_t>(frames));
  constexpr int64_t kBlock = 1 << 20;  // samples
  if (blocks_.empty() || blocks_.back().room < blocks_.back().frames + frames) {
    const int64_t room = std::max(frames, kBlock / channels_);
    const auto samples = static_cast<size_t>(room * channels_);
    blocks_.push_back({std::make_unique_for_overwrite<float[]>(samples), 0, room});
  }
  Block& block = blocks_.back();
  float* begin = block.samples.get() + block.frames * channels_;
  block.frames += frames;
  frames_ += frames;
  return begin;
}

void SampleSink::cut(int64_t frames) {
  for (; frames > 0 && !blocks_.empty(); blocks_.pop_back()) {
    Block& block = blocks_.back();
    const int64_t part = std::min(frames, block.frames);
    frames_ -= part;
    frames -= part;
    block.frames -= part;
    if (block.frames > 0) break;
  }
}

Audio SampleSink::finish() && {
  if (frames_ == 0) fail(file_->what, ": holds no sound");
  Audio audio{Tensor::empty({channels_, frames_}), rate_};
  int64_t at = 0;
  for (Block& block : blocks_) {
    for (int64_t c = 0; c < channels_; ++c) {
      const float* from = block.samples.get() + c;
      float* to = audio.samples.data<float>() + c * frames_ + at;
      for (int64_t i = 0; i < block.frames; ++i) to[i] = from[i * channels_];
    }
    at += block.frames;
    block.samples.reset();
  }
  return audio;
}

}  // namespace tallow
