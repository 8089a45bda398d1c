// Sampling at the places of a grid: PyTorch's GridSampler.
#pragma once

#include <cstdint>

#include "tallow/tensor.h"

namespace tallow::image {

enum class Interpolation : uint8_t { linear, nearest, cubic };
enum class Outside : uint8_t { zeros, border, reflection };

struct GridOptions {
  int dims;  ///< 2 or 3
  Interpolation interpolation;
  Outside padding;
  bool align_corners;
};

/// The same from elementwise ops and gathers: the source of second gradients.
Tensor grid_sample_composite(const Tensor& x, const Tensor& grid, const GridOptions& o);

}  // namespace tallow::image
