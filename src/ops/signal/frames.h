// Overlapping frames of a signal, and their sum.
#pragma once

#include "tallow/tensor.h"

namespace tallow::signal {

/// [..., samples] as [..., frames, size], every `hop` samples: a view.
Tensor frames(const Tensor& x, int64_t size, int64_t hop);
/// The reverse: frames [..., frames, size] added at every `hop` samples.
Tensor overlap_add(const Tensor& x, int64_t hop, int64_t samples);

}  // namespace tallow::signal
