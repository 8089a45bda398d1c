// What Gemma 4 hears: log-mel features, as transformers' Gemma4AudioFeatureExtractor makes them.
#pragma once

#include "tallow/tensor.h"
#include "tallow/weights.h"

namespace tallow {

class Gemma4Mel {
 public:
  /// Of the settings of a feature extractor, each of which may be missing.
  explicit Gemma4Mel(const Config& settings);

  int64_t sample_rate() const { return rate_; }
  /// Features f32 [frames, mels] of samples f32 [count]: of the frames that lie in the sound, which
  /// is cut after 30 s (of 16 kHz): none for less than half a frame. Throws Error for no samples.
  Tensor operator()(const Tensor& samples) const;

 private:
  /// The least samples that a whole frame can be made of.
  int64_t least_samples() const { return frame_ - frame_ / 2 + 1; }
  Tensor frames(const Tensor& samples, int64_t count) const;

  int64_t rate_, mels_, frame_, hop_, fft_;
  double scale_, preemphasis_, floor_;
  bool htk_preemphasis_;
  Tensor window_, filters_, mean_, deviation_;
};

}  // namespace tallow
