// What ops with several results return: named tuples in Python.
#pragma once

#include "tallow/tensor.h"

namespace tallow {

/// Elements and where they stood (i64).
struct ValuesIndices {
  Tensor values, indices;
};

}  // namespace tallow
