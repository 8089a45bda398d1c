// The states of layers, for whoever asks for them.
#pragma once

#include "tallow/tensor.h"

namespace tallow {

/// Adds x to `states` where somebody asked for them.
inline void keep(Tensors* states, const Tensor& x) {
  if (states) states->push_back(x);
}

}  // namespace tallow
