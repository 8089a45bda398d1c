// im2col and fold: the patches of images as columns, and their sum.
#include "ops/elements.h"
#include "ops/shape/windows.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct Pair {
  int64_t h, w;
};

Pair pair(const Dims& dims, int64_t least, const char* op, const char* name) {
  if (dims.size() != 1 && dims.size() != 2) {
    fail(op, ": ", name, " has ", dims.size(), " numbers; it takes 1 or 2");
  }
  const Pair p{dims[0], dims[dims.size() - 1]};
  if (p.h < least || p.w < least) fail(op, ": ", name, " ", Shape(dims), " is too small");
  return p;
}

struct Patches {
  Pair kernel, dilation, padding, stride;
  Patches(const Dims& k, const Dims& d, const Dims& p, const Dims& s, const char* op)
      : kernel(pair(k, 1, op, "kernel_size")),
        dilation(pair(d, 1, op, "dilation")),
        padding(pair(p, 0, op, "padding")),
        stride(pair(s, 1, op, "stride")) {}
  Windows rows(int dim) const { return {dim, kernel.h, stride.h, dilation.h}; }
  Windows columns(int dim) const { return {dim, kernel.w, stride.w, dilation.w}; }
};

}  // namespace

Tensor im2col(const Tensor& input, const Dims& kernel_size, const Dims& dilation,
              const Dims& padding, const Dims& stride) {
  const Patches p(kernel_size, dilation, padding, stride, "unfold");
  if (input.dim() == 3) {
    return squeeze(im2col(unsqueeze(input, 0), kernel_size, dilation, padding, stride), 0);
  }
  if (input.dim() != 4) fail("unfold: input is ", input, "; it needs [batch, channels, h, w]");
  if (input.size(1) == 0 || input.size(2) == 0 || input.size(3) == 0) {
    fail("unfold: input ", input, " is empty; only the batch may be");
  }
  const Tensor x = pad(input, {p.padding.w, p.padding.w, p.padding.h, p.padding.h});
  const int64_t h = p.rows(2).count(x.size(2)), w = p.columns(3).count(x.size(3));
  if (h < 1 || w < 1) fail("unfold: no patch of ", Shape(kernel_size), " fits ", x);
  const Tensor patches = windows_of(windows_of(x, p.rows(2)), p.columns(3));
  return reshape(permute(patches, {0, 1, 4, 5, 2, 3}),
                 {x.size(0), x.size(1) * p.kernel.h * p.kernel.w, h * w});
}

Tensor fold(const Tensor& input, const Dims& output_size, const Dims& kernel_size,
            const Dims& dilation, const Dims& padding, const Dims& stride) {
  const Patches p(kernel_size, dilation, padding, stride, "fold");
  const Pair size = pair(output_size, 1, "fold", "output_size");
  if (input.dim() == 2) {
    return squeeze(fold(unsqueeze(input, 0), output_size, kernel_size, dilation, padding, stride),
                   0);
  }
  if (input.dim() != 3) fail("fold: input is ", input, "; it needs [batch, columns, patches]");
  const int64_t height = size.h + 2 * p.padding.h, width = size.w + 2 * p.padding.w;
  const int64_t h = p.rows(2).count(height), w = p.columns(3).count(width);
  const int64_t area = p.kernel.h * p.kernel.w;
  if (input.size(1) == 0 || input.size(2) == 0 || input.size(1) % area != 0 ||
      input.size(2) != h * w) {
    fail("fold: input ", input, " is not [batch, channels * ", area, ", ", h * w, "]");
  }
  const Tensor apart =
      reshape(input, {input.size(0), input.size(1) / area, p.kernel.h, p.kernel.w, h, w});
  const Tensor rows = add_windows(permute(apart, {0, 1, 4, 2, 5, 3}), p.columns(4), width);
  const Tensor image = add_windows(transpose(rows, 3, 4), p.rows(2), height);
  return narrow(narrow(image, 2, p.padding.h, size.h), 3, p.padding.w, size.w);
}

}  // namespace tallow
