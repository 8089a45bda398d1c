// What every pooling shares: the windows along each dimension, and planes of up to three of them.
#pragma once

#include <array>
#include <vector>

#include "tallow/error.h"
#include "tallow/op.h"

namespace tallow::pooling {

/// Plain data of a pooling over the last `dims` dimensions, which stand at the end of the arrays;
/// those before them are windows of one element.
struct Options {
  int dims = 0;
  bool adaptive = false, ceil_mode = false, include_pad = true;
  int64_t kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, padding[3] = {}, dilation[3] = {1, 1, 1};
  int64_t divisor = 0;           ///< 0: the number of elements
  int64_t sizes[3] = {1, 1, 1};  ///< of the output where adaptive, of the input in a gradient
};

/// One window along a dimension: elements start, start + step, ... below end.
struct Window {
  int64_t start, end, step;
  int64_t count;  ///< what an average divides by
};

/// Sizes of the last three dimensions, with 1 for those that are not there.
using Extent = std::array<int64_t, 3>;

/// Reads `dims` numbers from one number or a list into the end of `to`. Throws Error outside
/// least..2^31 - 1.
void read_sizes(const char* op, const char* what, const Dims& from, int dims, int64_t least,
                int64_t* to);

/// The options of a sliding pooling, checked. An absent stride is the kernel's size.
Options sliding(const char* op, int dims, const Dims& kernel, const Dims& stride,
                const Dims& padding, const Dims& dilation, bool ceil_mode);
/// The options of an adaptive one.
Options adaptive(const char* op, int dims, const Dims& output_size);

/// Throws unless x has `dims` spatial dimensions, and one or two before them; all but the batch
/// must have elements.
void check_input(const char* op, const Tensor& x, int dims);

Extent extent(const Shape& shape, int dims);
/// The sizes of the result. Throws Error where there would be none.
Extent output_extent(const char* op, const Extent& input, const Options& o);
/// `shape` with its last dimensions replaced.
Shape with_extent(const Shape& shape, const Extent& sizes, int dims);
/// The windows along dimension d (0..2) for outputs 0..count.
std::vector<Window> windows(const Options& o, int d, int64_t input, int64_t count);

/// The product of the dimensions before the last `dims`.
int64_t plane_count(const Shape& shape, int dims);
inline int64_t volume(const Extent& e) { return e[0] * e[1] * e[2]; }

}  // namespace tallow::pooling
