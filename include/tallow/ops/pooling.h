// Pooling over windows.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {}  // namespace tallow
