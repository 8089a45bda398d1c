// The arithmetic of windows, as PyTorch's pooling_output_shape.
#include "ops/pooling/windows.h"

#include <algorithm>

namespace tallow::pooling {

void read_sizes(const char* op, const char* what, const Dims& from, int dims, int64_t least,
                int64_t* to) {
  const Shape given{std::span<const int64_t>(from)};
  if (from.size() != 1 && from.size() != dims) {
    fail(op, ": ", what, " ", given, " must be one number or ", dims);
  }
  for (int i = 0; i < dims; ++i) {
    const int64_t value = from[from.size() == 1 ? 0 : i];
    if (value < least || value > INT32_MAX) {
      fail(op, ": ", what, " ", given, " must be ", least, " or more, and below 2^31");
    }
    to[3 - dims + i] = value;
  }
}

Options sliding(const char* op, int dims, const Dims& kernel, const Dims& stride,
                const Dims& padding, const Dims& dilation, bool ceil_mode) {
  Options o{.dims = dims, .ceil_mode = ceil_mode};
  read_sizes(op, "kernel_size", kernel, dims, 1, o.kernel);
  if (stride.given()) {
    read_sizes(op, "stride", stride, dims, 1, o.stride);
  } else {
    std::copy_n(o.kernel, 3, o.stride);
  }
  read_sizes(op, "padding", padding, dims, 0, o.padding);
  read_sizes(op, "dilation", dilation, dims, 1, o.dilation);
  for (int d = 3 - dims; d < 3; ++d) {
    const int64_t reach = (o.kernel[d] - 1) * o.dilation[d] + 1;
    if (o.padding[d] > reach / 2) {
      fail(op, ": padding ", o.padding[d], " is more than half of the window's ", reach,
           "; pad the input instead");
    }
  }
  return o;
}

Options adaptive(const char* op, int dims, const Dims& output_size) {
  Options o{.dims = dims, .adaptive = true};
  if (output_size.size() != 1 && output_size.size() != dims) {
    fail(op, ": output_size must be one number or ", dims, ", not ", output_size.size());
  }
  for (int i = 0; i < dims; ++i) {
    const int64_t value = output_size[output_size.size() == 1 ? 0 : i];
    if (value < 0 || value > INT32_MAX) {
      fail(op, ": output_size ", value, " must be 0 or more, and below 2^31");
    }
    o.sizes[3 - dims + i] = value;
  }
  return o;
}

void check_input(const char* op, const Tensor& x, int dims) {
  if (x.dim() != dims + 1 && x.dim() != dims + 2) {
    fail(op, ": input is ", x, "; it needs ", dims + 1, " or ", dims + 2, " dimensions");
  }
  for (int i = x.dim() - dims - 1; i < x.dim(); ++i) {
    if (x.shape()[i] == 0) {
      fail(op, ": input is ", x, "; only the batch may be of size 0");
    }
  }
}

Extent extent(const Shape& shape, int dims) {
  Extent e{1, 1, 1};
  for (int i = 0; i < dims; ++i) e[3 - dims + i] = shape[shape.size() - dims + i];
  return e;
}

Extent output_extent(const char* op, const Extent& input, const Options& o) {
  Extent out{1, 1, 1};
  for (int d = 3 - o.dims; d < 3; ++d) {
    if (o.adaptive) {
      out[d] = o.sizes[d];
      continue;
    }
    const int64_t reach = o.dilation[d] * (o.kernel[d] - 1) + 1, s = o.stride[d];
    const int64_t room = input[d] + 2 * o.padding[d] - reach;
    const int64_t last = room + (o.ceil_mode ? s - 1 : 0);
    out[d] = (last >= 0 ? last / s : -1) + 1;
    if (o.ceil_mode && (out[d] - 1) * s >= input[d] + o.padding[d]) --out[d];
    if (out[d] < 1) {
      fail(op, ": a window of ", reach, " does not fit into ", input[d], " elements with padding ",
           o.padding[d]);
    }
  }
  return out;
}

Shape with_extent(const Shape& shape, const Extent& sizes, int dims) {
  Shape result = shape;
  for (int i = 0; i < dims; ++i) result[shape.size() - dims + i] = sizes[3 - dims + i];
  return result;
}

std::vector<Window> windows(const Options& o, int d, int64_t input, int64_t count) {
  std::vector<Window> result(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Window& w = result[static_cast<size_t>(i)];
    if (o.adaptive) {
      const int64_t start = i / count * input + i % count * input / count;
      const int64_t end = start + ((i % count * input % count) + input + count - 1) / count;
      w = {start, end, 1, end - start};
      continue;
    }
    const int64_t step = o.dilation[d], begin = i * o.stride[d] - o.padding[d];
    const int64_t past = std::min(begin + o.kernel[d] * step, input + o.padding[d]);
    const int64_t skipped = begin < 0 ? (-begin + step - 1) / step : 0;
    const int64_t start = begin + skipped * step;
    const int64_t end = std::max(start, std::min(past, input));
    w = {start, end, step, o.include_pad ? past - begin : end - start};
  }
  return result;
}

int64_t plane_count(const Shape& shape, int dims) {
  int64_t n = 1;
  for (int i = 0; i < shape.size() - dims; ++i) n *= shape[i];
  return n;
}

}  // namespace tallow::pooling
