// What turns images and sounds into soft tokens: rows that stand in a prompt in place of the
// embeddings of tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "tallow/image.h"
#include "tallow/tensor.h"

namespace tallow {

/// An image as a tower takes it.
struct ImageInput {
  Tensor pixels;     ///< f32: patches [patches, patch * patch * 3], or what the tower defines
  Tensor positions;  ///< i32 [patches, 2], the column and row of each, or undefined
  int64_t soft_tokens = 0;  ///< rows that encode() makes of it
};

/// A model's eyes: its processor, vision tower and projector.
class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;
  /// The numbers of soft tokens that an image may be given at most: 70, 140, ... in rising order.
  virtual std::vector<int64_t> budgets() const = 0;
  /// The one of budgets() that its makers chose.
  virtual int64_t default_budget() const = 0;
  /// What the tower takes of an image u8 [height, width, 3] within `budget` (0: the default).
  /// Throws Error for another budget, naming those known, and for an image that cannot be fitted.
  virtual ImageInput prepare(const Tensor& image, int64_t budget = 0) const = 0;
  /// The same for a frame of a video, for which processors have other settings and defaults.
  virtual ImageInput prepare_frame(const Tensor& frame, int64_t budget = 0) const {
    return prepare(frame, budget);
  }
  /// The frames of a video that it is made to see.
  virtual FrameSampling frame_sampling() const { return {}; }
  /// Soft tokens f32 [soft_tokens, hidden]. `states`, where given, receives f32 [patches, width]:
  /// what the tower's first layer takes, and what each layer makes of it.
  virtual Tensor encode(const ImageInput& input, Tensors* states = nullptr) const = 0;
};

/// A sound as a tower takes it.
struct AudioInput {
  Tensor features;          ///< f32 [frames, mels], or what the tower defines
  int64_t soft_tokens = 0;  ///< rows that encode() makes of it
};

/// A model's ears: its feature extractor, audio tower and projector.
class AudioEncoder {
 public:
  virtual ~AudioEncoder() = default;
  /// Samples per second that prepare() wants.
  virtual int64_t sample_rate() const = 0;
  /// What the tower takes of samples f32 [count] in [-1, 1]. Throws Error when there are too few or
  /// too many.
  virtual AudioInput prepare(const Tensor& samples) const = 0;
  /// Soft tokens f32 [soft_tokens, hidden]; `states` as an ImageEncoder's, [frames, width].
  virtual Tensor encode(const AudioInput& input, Tensors* states = nullptr) const = 0;
};

}  // namespace tallow
