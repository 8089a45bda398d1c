// Reverses the order of the elements along dimensions.
#include <bit>
#include <cstring>

#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct FlipOptions {
  uint32_t dims;  // a bit per dimension
};

Specs infer(Inputs in, const FlipOptions& o) {
  const Tensor& x = in[0];
  if (is_block(x.dtype()) && (o.dims >> (x.dim() - 1) & 1)) {
    fail("flip: ", x, " holds blocks along the last dimension; call .to(f32) first");
  }
  return {{x.shape(), x.dtype()}};
}

// Where element `at` of the first `count` dimensions comes from.
int64_t source_of(int64_t at, const Shape& shape, int count, uint32_t dims) {
  int64_t source = 0, stride = 1;
  for (int i = count - 1; i >= 0; --i) {
    const int64_t index = at % shape[i];
    source += (dims >> i & 1 ? shape[i] - 1 - index : index) * stride;
    stride *= shape[i];
    at /= shape[i];
  }
  return source;
}

// What lies behind the last flipped dimension moves as a whole.
void cpu(Inputs in, Outputs out, const FlipOptions& o) {
  const Tensor x = in[0].contiguous();
  const int count = std::bit_width(o.dims);
  int64_t pieces = 1;
  for (int i = 0; i < count; ++i) pieces *= x.shape()[i];
  if (x.numel() == 0) return;
  const int64_t bytes = x.nbytes() / pieces;
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(out[0].raw());
  parallel_for(pieces, std::max<int64_t>(1, (64 << 10) / bytes),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t source = source_of(i, x.shape(), count, o.dims);
                   std::memcpy(to + i * bytes, from + source * bytes, bytes);
                 }
               });
}

constinit Op<FlipOptions> flip_op{
    "flip",
    {.infer = infer,
     .vjp = [](const Saved<FlipOptions>& saved,
               Inputs grads) { return Tensors{apply(flip_op, {grads[0]}, saved.options)}; },
     .cpu = cpu}};

}  // namespace

Tensor flip(const Tensor& x, const Dims& dims) {
  return apply(flip_op, {x}, {dim_bits(dims, x.dim(), "flip")});
}

}  // namespace tallow
