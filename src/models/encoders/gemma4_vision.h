// Gemma 4's eyes.
#pragma once

#include <memory>

#include "tallow/encoders.h"
#include "tallow/weights.h"

namespace tallow {

/// The vision tower and its projector into `hidden` features; null for a checkpoint without one.
std::unique_ptr<ImageEncoder> make_gemma4_vision(const Checkpoint& checkpoint, int64_t hidden);

}  // namespace tallow
