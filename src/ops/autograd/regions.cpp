// region(base), the elements that a view shows; unregion(value), their place in zeros, added up
// where they overlap; with_region(base, value). Each is linear, and its gradient is one of the
// others.
#include "ops/autograd/regions.h"

#include <cstring>

#include "ops/elements.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Strides and offset count elements of the base's memory, from its first element.
struct Region {
  Shape base_shape, base_strides;
  Shape shape, strides;
  int64_t offset;
};

// The layout of the parts of complex elements, as view_as_real shows them.
void as_parts(Shape& shape, Shape& strides) {
  for (int64_t& stride : strides) stride *= 2;
  shape.push_back(2);
  strides.push_back(1);
}

// Where one of the two is complex and the other shows parts of it, the elements are those parts.
Region region_of(const TensorImpl& base, const TensorImpl& view) {
  Region r{base.shape, base.strides, view.shape, view.strides, view.offset - base.offset};
  if (base.dtype == view.dtype) {
    r.offset /= info(base.dtype).bytes;
    return r;
  }
  DType part = is_complex(base.dtype) ? view.dtype : base.dtype;
  if (!is_real(part) || to_complex(part) != (part == view.dtype ? base.dtype : view.dtype)) {
    fail("a view of ", view.dtype, " of a tensor of ", base.dtype,
         ", changed in place, has no gradient; make the view again after the change");
  }
  if (is_complex(base.dtype)) as_parts(r.base_shape, r.base_strides);
  if (is_complex(view.dtype)) as_parts(r.shape, r.strides);
  r.offset /= info(part).bytes;
  return r;
}

// A gradient in the elements of a region that shows parts, and back again.
Tensor in_parts(const Tensor& g, const Shape& shape) {
  return g.shape() == shape ? g : view_as_real(g);
}
Tensor from_parts(const Tensor& g, const Shape& shape) {
  return g.shape() == shape ? g : view_as_complex(g.contiguous());
}

bool overlaps(const Region& r) {
  int64_t reach = 1;  // of the smaller strides; enough for what views are
  Shape shape = r.shape, strides = r.strides;
  for (int done = 0; done < shape.size(); ++done) {
    int least = -1;
    for (int i = 0; i < shape.size(); ++i) {
      if (shape[i] > 1 && (least < 0 || strides[i] < strides[least])) least = i;
    }
    if (least < 0) return false;
    if (strides[least] < reach) return true;
    reach = strides[least] * (shape[least] - 1) + reach;
    shape[least] = 1;
  }
  return false;
}

int64_t extent(const Shape& shape, const Shape& strides) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) last += (shape[i] - 1) * strides[i];
  return shape.numel() == 0 ? 0 : last + 1;
}

Tensor strided(const Tensor& memory, const Shape& shape, const Shape& strides, int64_t offset) {
  return Tensor(memory.buffer(), offset * info(memory.dtype()).bytes, shape, strides,
                memory.dtype());
}

// Memory laid out as the base's, holding x (of the base's shape) or zeros.
Tensor base_memory(const Region& r, DType dtype, const Tensor* x) {
  int64_t elements = extent(r.base_shape, r.base_strides);
  // A view may reach between the base's elements, never past them.
  elements = std::max(elements, r.offset + extent(r.shape, r.strides));
  Tensor memory = Tensor::zeros({elements}, dtype);
  if (x) write_region(strided(memory, r.base_shape, r.base_strides, 0), *x);
  return memory;
}

template <class T>
void add_elements(const Tensor& target, const Tensor& value) {
  std::vector<T> from(static_cast<size_t>(value.numel()));
  const T* read = ElementReader<T>(value, value.shape()).read(0, value.numel(), from.data());
  Shape index = Shape::filled(value.dim(), 0);
  T* to = static_cast<T*>(target.raw());
  for (int64_t i = 0, at = 0; i < value.numel(); ++i) {
    to[at] += read[i];
    for (int d = value.dim() - 1; d >= 0; --d) {
      at += target.strides()[d];
      if (++index[d] < value.shape()[d]) break;
      at -= index[d] * target.strides()[d];
      index[d] = 0;
    }
  }
}

extern Op<Region> region_op, unregion_op, with_region_op;

Tensor region(const Tensor& x, const Region& r) { return apply(region_op, {x}, r); }
Tensor unregion(const Tensor& value, const Region& r) { return apply(unregion_op, {value}, r); }
Tensor with_region(const Tensor& base, const Tensor& value, const Region& r) {
  return apply(with_region_op, {base, value}, r);
}

constinit Op<Region> region_op{
    "region",
    {.infer =
         [](Inputs in, const Region& r) {
           return Specs{{r.shape, in[0].dtype()}};
         },
     .vjp = [](const Saved<Region>& saved,
               Inputs grads) { return Tensors{unregion(grads[0], saved.options)}; },
     .cpu =
         [](Inputs in, Outputs out, const Region& r) {
           Tensor memory = base_memory(r, in[0].dtype(), &in[0]);
           write_region(out[0], strided(memory, r.shape, r.strides, r.offset));
         },
     .shapes_only = true}};

constinit Op<Region> unregion_op{
    "unregion",
    {.infer =
         [](Inputs in, const Region& r) {
           return Specs{{r.base_shape, in[0].dtype()}};
         },
     .vjp = [](const Saved<Region>& saved,
               Inputs grads) { return Tensors{region(grads[0], saved.options)}; },
     .cpu =
         [](Inputs in, Outputs out, const Region& r) {
           const Tensor& value = in[0];
           bool add = overlaps(r);
           DType dtype = value.dtype();
           if (add) dtype = is_complex(dtype) ? DType::c128 : DType::f64;
           Tensor memory = base_memory(r, dtype, nullptr);
           Tensor target = strided(memory, r.shape, r.strides, r.offset);
           if (!add) {
             write_region(target, value);
           } else if (is_complex(dtype)) {
             add_elements<Complex>(target, value);
           } else {
             add_elements<double>(target, value);
           }
           Tensor whole = strided(memory, r.base_shape, r.base_strides, 0);
           write_region(out[0], whole.to(value.dtype()));
         },
     .shapes_only = true}};

constinit Op<Region> with_region_op{
    "with_region",
    {.infer =
         [](Inputs in, const Region& r) {
           return Specs{{r.base_shape, in[0].dtype()}};
         },
     .vjp =
         [](const Saved<Region>& saved, Inputs grads) {
           const Region& r = saved.options;
           Tensor zeros = Tensor::zeros(r.shape, grads[0].dtype());
           return Tensors{with_region(grads[0], zeros, r), region(grads[0], r)};
         },
     .cpu =
         [](Inputs in, Outputs out, const Region& r) {
           Tensor memory = base_memory(r, in[0].dtype(), &in[0]);
           write_region(strided(memory, r.shape, r.strides, r.offset), in[1]);
           write_region(out[0], strided(memory, r.base_shape, r.base_strides, 0));
         },
     .shapes_only = true}};

}  // namespace

void write_region(const Tensor& self, const Tensor& value) {
  if (self.numel() == 0) return;
  NoGrad no_grad;
  Tensor from = value.buffer() == self.buffer() ? value.clone() : value;
  if (!is_block(self.dtype())) {
    move_elements(from, static_cast<std::byte*>(self.raw()), self.strides());
  } else if (self.is_contiguous()) {
    std::memcpy(self.raw(), from.contiguous().raw(), static_cast<size_t>(self.nbytes()));
  } else {
    fail("copy: ", self, " holds blocks with gaps between; call .to(f32) first");
  }
}

void rebase(TensorImpl& view) {
  TensorImpl& base = *view.base;
  view.generation = base.generation;
  view.node = nullptr;
  view.requires_grad = false;
  if (!base.requires_grad || !is_differentiable(view.dtype)) return;
  Region r = region_of(base, view);
  GradMode recording(true);
  Shape shape = base.shape;
  Tensor shown(view.buffer, view.offset, view.shape, view.strides, view.dtype);
  give_history(view, custom_gradient("as_strided", {Tensor(view.base)}, {without_memory(shown)},
                                     [r, shape](const Tensors& grads) {
                                       return Tensors{from_parts(
                                           unregion(in_parts(grads[0], r.shape), r), shape)};
                                     })[0]);
}

void give_history(TensorImpl& impl, const Tensor& from) {
  impl.node = from.impl()->node;
  impl.output_index = from.impl()->output_index;
  impl.requires_grad = from.requires_grad();
}

Tensor replaced_history(const Tensor& base, const Tensor& view, const Tensor& value) {
  Region r = region_of(*base.impl(), *view.impl());
  return custom_gradient("copy_slices", {base, value}, {without_memory(base)},
                         [r, shape = view.shape()](const Tensors& grads) {
                           const Tensor& g = grads[0];
                           Tensor parts = in_parts(g, r.base_shape);
                           Tensor zeros = Tensor::zeros(r.shape, parts.dtype());
                           return Tensors{from_parts(with_region(parts, zeros, r), g.shape()),
                                          from_parts(region(parts, r), shape)};
                         })[0];
}

}  // namespace tallow
