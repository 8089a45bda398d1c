// What ops with several results return: named tuples in Python.
#pragma once

#include "tallow/tensor.h"

namespace tallow {

/// Elements and where they stood (i64).
struct ValuesIndices {
  Tensor values, indices;
};
struct MinMax {
  Tensor min, max;
};
/// Counts and the edges between which they were taken.
struct Histogram {
  Tensor hist, bin_edges;
};

}  // namespace tallow
