// How Gemma 4's processors cut images and the frames of videos into patches: transformers'
// Gemma4ImageProcessorPil and Gemma4VideoProcessor.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tallow/encoders.h"
#include "tallow/weights.h"

namespace tallow {

class Gemma4ImageProcessor {
 public:
  /// Whether the patches that a soft token is made of are apart, or one.
  enum class Patches { apart, merged };
  /// Its settings among those of a checkpoint, and what holds where they say nothing.
  struct Section {
    const char* name;
    int64_t budget;
    bool normalize;
  };
  static constexpr Section kImages{"image_processor", 280, false};
  static constexpr Section kFrames{"video_processor", 70, true};
  /// Reads the settings in the checkpoint's folder, where there are any (processor_config.h).
  Gemma4ImageProcessor(const Checkpoint& checkpoint, Patches patches, const Section& section);

  int64_t default_budget() const { return budget_; }
  /// As ImageEncoder::prepare.
  ImageInput operator()(const Tensor& image, int64_t budget) const;

 private:
  /// The size that `height` x `width` pixels take within a number of patches.
  std::pair<int64_t, int64_t> fitted(int64_t height, int64_t width, int64_t patches) const;
  Tensor patches(const Tensor& image) const;

  int64_t patch_, pooling_, budget_;
  std::string filter_;                            // empty: images stay as large as they are
  std::array<std::array<float, 256>, 3> values_;  // what each level of a colour becomes
};

/// An encoder with Gemma 4's processors of images and of videos.
class Gemma4ImageEncoder : public ImageEncoder {
 public:
  Gemma4ImageEncoder(const Checkpoint& checkpoint, Gemma4ImageProcessor::Patches patches);
  std::vector<int64_t> budgets() const override;
  int64_t default_budget() const override { return images_.default_budget(); }
  ImageInput prepare(const Tensor& image, int64_t budget) const override {
    return images_(image, budget);
  }
  ImageInput prepare_frame(const Tensor& frame, int64_t budget) const override {
    return frames_(frame, budget);
  }
  FrameSampling frame_sampling() const override { return sampling_; }

 private:
  Gemma4ImageProcessor images_, frames_;
  FrameSampling sampling_;
};

/// Throws Error for other patches than `features` wide, and places outside [0, places).
void check_patches(const ImageInput& input, int64_t features, int64_t places);

}  // namespace tallow
