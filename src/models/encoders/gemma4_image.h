// How Gemma 4's image processor cuts an image into patches: transformers' Gemma4ImageProcessorPil.
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
  /// Reads the settings of processor_config.json or preprocessor_config.json in the checkpoint's
  /// folder, where there is one.
  explicit Gemma4ImageProcessor(const Checkpoint& checkpoint, Patches patches = Patches::apart);

  static std::vector<int64_t> budgets();
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

/// Throws Error for other patches than `features` wide, and places outside [0, places).
void check_patches(const ImageInput& input, int64_t features, int64_t places);

}  // namespace tallow
