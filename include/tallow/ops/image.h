// Resampling of images and grids.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {}  // namespace tallow
