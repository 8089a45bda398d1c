// Samples as decoders give them, frame by frame, turned into rows.
#include <utility>

#include "media/audio/decoders.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int64_t kFree = 32 << 20;  // samples that any file may have
constexpr int64_t kPerByte = 1024;   // and more by its size: silence in FLAC takes as little

}  // namespace

SampleSink::SampleSink(const AudioFile& file, uint64_t channels, uint64_t rate)
    : file_(&file),
      channels_(static_cast<int64_t>(channels)),
      rate_(static_cast<int64_t>(rate)),
      limit_(kFree + kPerByte * std::ssize(file.bytes)) {
  if (channels < 1 || channels > 1024) {
    fail(file.what, ": channels: ", channels, " is no number of channels; 1 to 1024 are");
  }
  if (rate < 1 || rate > 10'000'000) {
    fail(file.what, ": sample rate: ", rate, " is none that sound has");
  }
}

float* SampleSink::grow(int64_t frames) {
  if (frames > limit_ / channels_ - frames_) {
    fail(file_->what, ": more than ", limit_, " samples come of ", file_->bytes.size(), " bytes");
  }
  constexpr size_t kBlock = 1 << 20;
  const auto samples = static_cast<size_t>(frames * channels_);
  if (blocks_.empty() ||
      blocks_.back().samples.capacity() < blocks_.back().samples.size() + samples) {
    blocks_.emplace_back().samples.reserve(std::max(samples, kBlock));
  }
  Block& block = blocks_.back();
  block.samples.resize(block.samples.size() + samples);
  block.frames += frames;
  frames_ += frames;
  return block.samples.data() + block.samples.size() - samples;
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
      const float* from = block.samples.data() + c;
      float* to = audio.samples.data<float>() + c * frames_ + at;
      for (int64_t i = 0; i < block.frames; ++i) to[i] = from[i * channels_];
    }
    at += block.frames;
    block.samples = {};
  }
  return audio;
}

}  // namespace tallow
