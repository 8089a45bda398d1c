// Gemma 4's ears.
#pragma once

#include <memory>

#include "tallow/encoders.h"
#include "tallow/weights.h"

namespace tallow {

/// The audio tower of a checkpoint and its projection to the `hidden` features of the text model's
/// embeddings, or null where it has none.
std::unique_ptr<AudioEncoder> make_gemma4_audio(const Checkpoint& checkpoint, int64_t hidden);

}  // namespace tallow
