// Pooling over windows, as torch.nn.functional's. Inputs are [batch, channels, ...] or
// [channels, ...] with one, two or three spatial dimensions at the end.
#pragma once

#include "tallow/op.h"
#include "tallow/ops/results.h"
#include "tallow/reals.h"
#include "tallow/tensor.h"

namespace tallow {

/// The largest element of each window; NaN counts as larger. `stride` defaults to the kernel's
/// size, padding (at most half of the window) is -infinity. ceil_mode rounds the output's size up.
Tensor max_pool1d(const Tensor& self, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, const Dims& dilation = 1, bool ceil_mode = false);
Tensor max_pool2d(const Tensor& self, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, const Dims& dilation = 1, bool ceil_mode = false);
Tensor max_pool3d(const Tensor& self, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, const Dims& dilation = 1, bool ceil_mode = false);
/// The same with the place of each maximum, counted row by row within its plane of the input (i64).
ValuesIndices max_pool1d_with_indices(const Tensor& self, const Dims& kernel_size,
                                      const Dims& stride = {}, const Dims& padding = 0,
                                      const Dims& dilation = 1, bool ceil_mode = false);
ValuesIndices max_pool2d_with_indices(const Tensor& self, const Dims& kernel_size,
                                      const Dims& stride = {}, const Dims& padding = 0,
                                      const Dims& dilation = 1, bool ceil_mode = false);
ValuesIndices max_pool3d_with_indices(const Tensor& self, const Dims& kernel_size,
                                      const Dims& stride = {}, const Dims& padding = 0,
                                      const Dims& dilation = 1, bool ceil_mode = false);

/// Puts each element at its index (as max_pool_with_indices gives) in a plane of zeros. The size of
/// the plane is `output_size`, else what such a pooling most likely had.
Tensor max_unpool1d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride = {}, const Dims& padding = 0, const Dims& output_size = {});
Tensor max_unpool2d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride = {}, const Dims& padding = 0, const Dims& output_size = {});
Tensor max_unpool3d(const Tensor& input, const Tensor& indices, const Dims& kernel_size,
                    const Dims& stride = {}, const Dims& padding = 0, const Dims& output_size = {});

/// The mean of each window. Padding counts as zeros, or not at all without count_include_pad.
Tensor avg_pool1d(const Tensor& input, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, bool ceil_mode = false, bool count_include_pad = true);
/// divisor_override takes the place of the number of elements.
Tensor avg_pool2d(const Tensor& input, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, bool ceil_mode = false, bool count_include_pad = true,
                  std::optional<int64_t> divisor_override = {});
Tensor avg_pool3d(const Tensor& input, const Dims& kernel_size, const Dims& stride = {},
                  const Dims& padding = 0, bool ceil_mode = false, bool count_include_pad = true,
                  std::optional<int64_t> divisor_override = {});

/// The mean of each of output_size windows that cover the input evenly, overlapping where they
/// must. None in a list (Python) keeps a dimension.
Tensor adaptive_avg_pool1d(const Tensor& input, const Dims& output_size);
Tensor adaptive_avg_pool2d(const Tensor& input, const Dims& output_size);
Tensor adaptive_avg_pool3d(const Tensor& input, const Dims& output_size);
/// The largest element of each of such windows.
Tensor adaptive_max_pool1d(const Tensor& input, const Dims& output_size);
Tensor adaptive_max_pool2d(const Tensor& input, const Dims& output_size);
Tensor adaptive_max_pool3d(const Tensor& input, const Dims& output_size);
ValuesIndices adaptive_max_pool1d_with_indices(const Tensor& input, const Dims& output_size);
ValuesIndices adaptive_max_pool2d_with_indices(const Tensor& input, const Dims& output_size);
ValuesIndices adaptive_max_pool3d_with_indices(const Tensor& input, const Dims& output_size);

/// The p-norm of each window, p = norm_type: (sum of x^p)^(1/p).
Tensor lp_pool1d(const Tensor& input, double norm_type, const Dims& kernel_size,
                 const Dims& stride = {}, bool ceil_mode = false);
Tensor lp_pool2d(const Tensor& input, double norm_type, const Dims& kernel_size,
                 const Dims& stride = {}, bool ceil_mode = false);
Tensor lp_pool3d(const Tensor& input, double norm_type, const Dims& kernel_size,
                 const Dims& stride = {}, bool ceil_mode = false);

/// Max pooling with windows at random places (Graham, 2014). Either output_size or output_ratio
/// (of the input's size) is given; _random_samples [batch, channels, dims] in 0..1 fix the places.
Tensor fractional_max_pool2d(const Tensor& input, const Dims& kernel_size,
                             const Dims& output_size = {}, const Reals& output_ratio = {},
                             const Tensor& _random_samples = {});
Tensor fractional_max_pool3d(const Tensor& input, const Dims& kernel_size,
                             const Dims& output_size = {}, const Reals& output_ratio = {},
                             const Tensor& _random_samples = {});
ValuesIndices fractional_max_pool2d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                 const Dims& output_size = {},
                                                 const Reals& output_ratio = {},
                                                 const Tensor& _random_samples = {});
ValuesIndices fractional_max_pool3d_with_indices(const Tensor& input, const Dims& kernel_size,
                                                 const Dims& output_size = {},
                                                 const Reals& output_ratio = {},
                                                 const Tensor& _random_samples = {});

}  // namespace tallow
