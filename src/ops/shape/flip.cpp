// The order of the elements along dimensions: reversed, and rotated.
#include "ops/elements.h"
#include "ops/shape/move.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct FlipOptions {
  uint32_t dims;  // a bit per dimension
};

Specs infer(Inputs in, const FlipOptions&) {
  check_not_block("flip", in[0]);
  return {{in[0].shape(), in[0].dtype()}};
}

void cpu(Inputs in, Outputs out, const FlipOptions& o) {
  const Tensor& x = in[0];
  if (x.numel() == 0) return;
  const int64_t bytes = info(x.dtype()).bytes;
  const auto* from = static_cast<const std::byte*>(x.raw());
  Shape strides = x.strides();
  for (int i = 0; i < x.dim(); ++i) {
    if (!(o.dims >> i & 1)) continue;
    from += (x.shape()[i] - 1) * strides[i] * bytes;
    strides[i] = -strides[i];
  }
  move_elements(x.shape(), bytes, static_cast<std::byte*>(out[0].raw()), out[0].strides(), from,
                strides);
}

constinit Op<FlipOptions> flip_op{
    "flip",
    {.infer = infer,
     .vjp = [](const Saved<FlipOptions>& saved,
               Inputs grads) { return Tensors{apply(flip_op, {grads[0]}, saved.options)}; },
     .cpu = cpu,
     .shapes_only = true}};

}  // namespace

Tensor flip(const Tensor& self, const Dims& dims) {
  return apply(flip_op, {self}, {dim_bits(dims, self.dim(), "flip")});
}

Tensor fliplr(const Tensor& self) {
  if (self.dim() < 2) fail("fliplr: ", self, " has fewer than 2 dimensions");
  return flip(self, 1);
}

Tensor flipud(const Tensor& self) {
  if (self.dim() < 1) fail("flipud: a 0-dimensional tensor has no order");
  return flip(self, 0);
}

Tensor roll(const Tensor& self, const Dims& shifts, const Dims& dims) {
  if (!shifts.given()) fail("roll: no shifts");
  if (!dims.given()) {
    if (shifts.size() != 1) fail("roll: ", shifts.size(), " shifts without dims");
    return reshape(roll(flatten(self), shifts, 0), self.shape());
  }
  if (shifts.size() != dims.size()) {
    fail("roll: ", shifts.size(), " shifts for ", dims.size(), " dims");
  }
  if (self.dim() == 0) fail_index("roll: a 0-dimensional tensor has no dimension to roll");
  Tensor x = self;
  for (int i = 0; i < dims.size(); ++i) {
    const int d = normalize_dim(dims[i], self.dim(), "roll");
    const int64_t n = self.shape()[d];
    if (n == 0) continue;
    const int64_t shift = (shifts[i] % n + n) % n;
    if (shift != 0) x = cat({narrow(x, d, n - shift, shift), narrow(x, d, 0, n - shift)}, d);
  }
  return x.buffer() == self.buffer() ? clone(x) : x;
}

}  // namespace tallow
