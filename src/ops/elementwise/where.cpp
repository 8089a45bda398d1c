// where: one of two values, by a mask. It moves bits, so its loops go by the width of an element.
#include "ops/elementwise/where.h"
#include "ops/elements.h"
#include "ops/elementwise/gradients.h"
#include "ops/elementwise/kernel.h"
#include "tallow/error.h"

namespace tallow {
namespace elementwise {
namespace {

template <class Bits>
void where_loop(const void* const* in, void* out, int64_t n, unsigned single, const double*) {
  const auto* mask = static_cast<const uint8_t*>(in[0]);
  const Bits *a = static_cast<const Bits*>(in[1]), *b = static_cast<const Bits*>(in[2]);
  Bits* y = static_cast<Bits*>(out);
  const int64_t i0 = ~single & 1, i1 = ~single >> 1 & 1, i2 = ~single >> 2 & 1;
  for (int64_t i = 0; i < n; ++i) y[i] = mask[i * i0] ? a[i * i1] : b[i * i2];
}

}  // namespace

constinit WhereLoops where_loops{where_loop<uint8_t>, where_loop<uint16_t>, where_loop<uint32_t>,
                                 where_loop<uint64_t>, where_loop<Complex>};

}  // namespace elementwise

namespace {

DType common(Inputs in) { return promote(in[1], in[2], "where"); }

Specs infer(Inputs in, const NoOptions&) {
  DType mask = in[0].dtype();
  if (mask != DType::boolean && mask != DType::u8) {
    fail("where: condition is ", in[0], "; it must be bool: compare, or call .to(bool)");
  }
  Shape shape = broadcast_shapes(in[1].shape(), in[2].shape(), "where");
  return {{broadcast_shapes(in[0].shape(), shape, "where"), common(in)}};
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  DType dtype = out[0].dtype();
  const DType types[] = {DType::boolean, dtype, dtype};
  const auto& loops = elementwise::where_loops;
  elementwise::Loop loop = loops.wide;
  switch (info(dtype).bytes) {
    case 1: loop = loops.bytes1; break;
    case 2: loop = loops.bytes2; break;
    case 4: loop = loops.bytes4; break;
    case 8: loop = loops.bytes8; break;
    default: break;
  }
  elementwise::run_loop(loop, in, types, out[0], dtype, {}, true);
}

Tensors vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor &mask = saved.inputs[0], &g = grads[0];
  Tensors found(3);
  if (saved.inputs[1].requires_grad()) found[1] = where(mask, g, 0);
  if (saved.inputs[2].requires_grad()) found[2] = where(mask, 0, g);
  return found;
}

constinit Op<> where_op{
    "where", {.infer = infer, .vjp = vjp, .cpu = cpu, .reads = [](uint32_t) { return 1u; }}};

}  // namespace

Tensor where(const Tensor& condition, const Tensor& input, const Tensor& other) {
  return apply(where_op, {condition, input, other});
}

}  // namespace tallow
