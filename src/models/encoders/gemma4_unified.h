// What the Gemma 4 without encoders makes of images and sounds.
#pragma once

#include <memory>

#include "tallow/encoders.h"
#include "tallow/weights.h"

namespace tallow {

/// The embedders of a checkpoint into the `hidden` features of the text model; null where it has
/// none.
std::unique_ptr<ImageEncoder> make_gemma4_unified_images(const Checkpoint& checkpoint,
                                                         int64_t hidden);
std::unique_ptr<AudioEncoder> make_gemma4_unified_sounds(const Checkpoint& checkpoint,
                                                         int64_t hidden);

}  // namespace tallow
