// Resampling of images and grids, as torch.nn.functional's.
#pragma once

#include "tallow/op.h"
#include "tallow/reals.h"
#include "tallow/tensor.h"

namespace tallow {

/// input [batch, channels, ...] with its one to three spatial dimensions brought to `size`, or to
/// their size times scale_factor, rounded down. mode: nearest (with PyTorch's rounding),
/// nearest-exact, linear, bilinear, bicubic (Keys, 1981), trilinear, lanczos, area.
/// align_corners: the corners' centres fall on each other, else the corners themselves. antialias
/// widens the filter where the image shrinks. Without recompute_scale_factor, positions follow the
/// factor as given, not the rounded sizes.
Tensor interpolate(const Tensor& input, const Dims& size = {}, const Reals& scale_factor = {},
                   std::string_view mode = "nearest", std::optional<bool> align_corners = {},
                   std::optional<bool> recompute_scale_factor = {}, bool antialias = false);
Tensor upsample(const Tensor& input, const Dims& size = {}, const Reals& scale_factor = {},
                std::string_view mode = "nearest", std::optional<bool> align_corners = {});
Tensor upsample_nearest(const Tensor& input, const Dims& size = {}, const Reals& scale_factor = {});
/// bilinear, with align_corners.
Tensor upsample_bilinear(const Tensor& input, const Dims& size = {},
                         const Reals& scale_factor = {});

/// input [batch, channels, (depth,) height, width] at the places that `grid` [batch, (depth,)
/// height, width, 2 or 3] says, as x, y(, z) from -1 to 1. mode: bilinear (trilinear for 3),
/// nearest, bicubic; padding_mode: zeros, border, reflection.
Tensor grid_sample(const Tensor& input, const Tensor& grid, std::string_view mode = "bilinear",
                   std::string_view padding_mode = "zeros", std::optional<bool> align_corners = {});
/// The same with numbers for modes: interpolation 0 bilinear, 1 nearest, 2 bicubic; padding 0
/// zeros, 1 border, 2 reflection.
Tensor grid_sampler(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                    int64_t padding_mode, bool align_corners);
Tensor grid_sampler_2d(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                       int64_t padding_mode, bool align_corners);
Tensor grid_sampler_3d(const Tensor& input, const Tensor& grid, int64_t interpolation_mode,
                       int64_t padding_mode, bool align_corners);

/// The grid of an affine map theta [batch, 2, 3] (or [batch, 3, 4]) for a result of sizes `size`,
/// [batch, channels, (depth,) height, width].
Tensor affine_grid(const Tensor& theta, const Shape& size, std::optional<bool> align_corners = {});

}  // namespace tallow
