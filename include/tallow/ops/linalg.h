// Linear algebra, as torch.linalg.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow::linalg {}  // namespace tallow::linalg
