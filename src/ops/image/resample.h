// Separable resampling: what each output along a dimension takes from the input.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tallow/dtype.h"
#include "tallow/tensor.h"

namespace tallow::image {

enum class Filter : uint8_t { nearest, nearest_exact, linear, cubic, lanczos };

/// The last `dims` dimensions, at the end of the arrays, go from `in` to `out` elements.
struct ResampleOptions {
  int dims;
  Filter filter;
  bool align_corners, antialias;
  int64_t in[3], out[3];
  double scale[3];  ///< output per input, where the caller said so, else 0: out / in
};

/// Output o is the sum of weights[o * width + j] * input[start[o] + j] for j < count[o].
template <class T>
struct Table {
  int64_t width = 0;
  std::vector<int64_t> start, count;
  std::vector<T> weights;
};

/// The table along dimension d (0..2), computed in T as PyTorch does.
template <class T>
Table<T> table_of(const ResampleOptions& o, int d);

/// 8-bit weights: integers times 2^precision.
struct FixedTable {
  int64_t width;
  int precision;
  std::vector<int64_t> start, count;
  std::vector<int32_t> weights;
};
FixedTable fixed_table_of(const ResampleOptions& o, int d);

Tensor resample(const Tensor& x, const ResampleOptions& o);

}  // namespace tallow::image
