// place: a value in a part of a contiguous tensor; and placed: the view of that part.
#include "ops/shape/place.h"

#include <algorithm>

#include "ops/creation/fill.h"
#include "ops/elements.h"
#include "ops/shape/move.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct PlaceOptions {
  Shape shape;
  Placement at;
  Scalar fill;
};
struct PlacedOptions {
  Shape shape;
  Placement at;
};

Tensor placed_in(const Tensor& x, const Shape& shape, const Placement& at);

constinit Op<PlacedOptions> placed_op{
    "placed",
    {.infer =
         [](Inputs in, const PlacedOptions& o) {
           const Tensor& x = in[0];
           const int64_t offset = x.offset() + o.at.offset * info(x.dtype()).bytes;
           return Specs{{o.shape, x.dtype(), 0, true, o.at.strides, offset}};
         },
     .vjp =
         [](const Saved<PlacedOptions>& saved, Inputs grads) {
           return Tensors{place_in(saved.inputs[0].shape(), grads[0], saved.options.at)};
         },
     .shapes_only = true}};

Tensor placed_in(const Tensor& x, const Shape& shape, const Placement& at) {
  return apply(placed_op, {x.contiguous()}, {shape, at});
}

void place_cpu(Inputs in, Outputs outputs, const PlaceOptions& o) {
  const Tensor &base = in[0], &value = in[1], &out = outputs[0];
  const int64_t bytes = info(out.dtype()).bytes;
  auto* to = static_cast<std::byte*>(out.raw());
  if (base.defined()) {
    move_elements(base, to, out.strides());
  } else if (value.numel() < out.numel()) {
    fill_elements(out, o.fill);
  }
  move_elements(value, to + o.at.offset * bytes, o.at.strides);
}

Tensors place_vjp(const Saved<PlaceOptions>& saved, Inputs grads) {
  const Tensor &base = saved.inputs[0], &value = saved.inputs[1], &g = grads[0];
  const Placement& at = saved.options.at;
  Tensors result(2);
  if (base.requires_grad()) {
    result[0] = place(g, zeros(value.shape(), g.dtype(), g.device()), at);
  }
  if (value.requires_grad()) result[1] = placed_in(g, value.shape(), at);
  return result;
}

constinit Op<PlaceOptions> place_op{"place",
                                    {.infer =
                                         [](Inputs in, const PlaceOptions& o) {
                                           check_not_block("place", in[1]);
                                           return Specs{{o.shape, in[1].dtype()}};
                                         },
                                     .vjp = place_vjp,
                                     .cpu = place_cpu,
                                     .shapes_only = true}};

}  // namespace

Placement slice_placement(const Shape& shape, int dim, int64_t start, int64_t step) {
  Placement at{contiguous_strides(shape), 0};
  at.offset = start * at.strides[dim];
  at.strides[dim] *= step;
  return at;
}

Placement select_placement(const Shape& shape, int dim, int64_t index) {
  Placement at{contiguous_strides(shape), 0};
  at.offset = index * at.strides[dim];
  at.strides.erase(dim);
  return at;
}

int64_t diagonal_length(const Shape& shape, int64_t offset, int dim1, int dim2) {
  const int64_t rows = shape[dim1], columns = shape[dim2];
  const int64_t skipped = std::clamp<int64_t>(offset, -rows, columns);
  return std::max<int64_t>(
      0, skipped >= 0 ? std::min(rows, columns - skipped) : std::min(rows + skipped, columns));
}

Placement diagonal_placement(const Shape& shape, int64_t offset, int dim1, int dim2) {
  Placement at{contiguous_strides(shape), 0};
  Shape& strides = at.strides;
  if (diagonal_length(shape, offset, dim1, dim2) > 0) {
    at.offset = offset >= 0 ? offset * strides[dim2] : -offset * strides[dim1];
  }
  const int64_t step = strides[dim1] + strides[dim2];
  strides.erase(std::max(dim1, dim2));
  strides.erase(std::min(dim1, dim2));
  strides.push_back(step);
  return at;
}

Tensor place(const Tensor& base, const Tensor& value, const Placement& at) {
  return apply(place_op, {base, value}, {base.shape(), at, 0});
}

Tensor place_in(const Shape& shape, const Tensor& value, const Placement& at, const Scalar& fill) {
  return apply(place_op, {Tensor(), value}, {shape, at, fill});
}

}  // namespace tallow
