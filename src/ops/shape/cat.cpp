// Joins tensors along a dimension.
#include <algorithm>
#include <cstring>

#include "ops/block_rows.h"
#include "ops/elements.h"
#include "ops/shape/move.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct CatOptions {
  int dim;
  DType dtype;
};

// As PyTorch, an empty vector joins with anything.
bool is_skipped(const Tensor& t) { return t.dim() == 1 && t.shape()[0] == 0; }

Specs infer(Inputs in, const CatOptions& o) {
  const Tensor* first = nullptr;
  for (const Tensor& t : in) {
    if (!first || is_skipped(*first)) first = &t;
  }
  Shape shape = first->shape();
  shape[o.dim] = 0;
  for (const Tensor& t : in) {
    if (is_skipped(t)) continue;
    if (column_order(t)) {
      fail("cat: the columns of ", t, " stand in an order of their own; call .to(f32) first");
    }
    if (is_block(t.dtype()) && o.dim == t.dim() - 1) {
      fail("cat: ", t, " holds blocks along the last dimension; call .to(f32) first");
    }
    bool fits = t.dim() == shape.size();
    for (int i = 0; fits && i < shape.size(); ++i) fits = i == o.dim || t.shape()[i] == shape[i];
    if (!fits) {
      fail("cat: shapes ", first->shape(), " and ", t.shape(), " differ outside dimension ", o.dim);
    }
    shape[o.dim] += t.shape()[o.dim];
  }
  return {{shape, o.dtype}};
}

void copy_blocks(const Tensor& x, std::byte* to, int64_t outer, int64_t row) {
  const int64_t bytes = x.nbytes() / std::max<int64_t>(outer, 1);
  for (int64_t i = 0; i < outer; ++i) {
    std::memcpy(to + i * row, static_cast<const std::byte*>(x.raw()) + i * bytes, bytes);
  }
}

void cpu(Inputs in, Outputs out, const CatOptions& o) {
  int64_t outer = 1;
  for (int i = 0; i < o.dim; ++i) outer *= out[0].shape()[i];
  if (out[0].numel() == 0) return;
  const int64_t row = out[0].nbytes() / outer;
  auto* to = static_cast<std::byte*>(out[0].raw());
  for (const Tensor& t : in) {
    if (t.numel() == 0) continue;
    if (is_block(o.dtype)) {
      copy_blocks(t.contiguous(), to, outer, row);
    } else {
      move_elements(t.to(o.dtype), to, out[0].strides());
    }
    to += t.numel() / outer * info(o.dtype).bytes / info(o.dtype).block;
  }
}

Tensors vjp(const Saved<CatOptions>& saved, Inputs grads) {
  Tensors result;
  int64_t at = 0;
  for (const Tensor& t : saved.inputs) {
    if (is_skipped(t)) {
      result.push_back(zeros(t.shape(), grads[0].dtype()));
      continue;
    }
    const int64_t n = t.shape()[saved.options.dim];
    result.push_back(t.requires_grad() ? narrow(grads[0], saved.options.dim, at, n) : Tensor());
    at += n;
  }
  return result;
}

constinit Op<CatOptions> cat_op{"cat",
                                {.infer = infer, .vjp = vjp, .cpu = cpu, .shapes_only = true}};

DType common_dtype(const Tensors& tensors) {
  const DType first = tensors[0].dtype();
  const auto same = [first](const Tensor& t) { return t.dtype() == first; };
  if (std::all_of(tensors.begin(), tensors.end(), same)) return first;
  return promote(tensors, "cat");
}

// Each as `f` makes it, before they are joined.
template <class F>
Tensors each(const Tensors& tensors, const F& f) {
  Tensors result;
  for (const Tensor& t : tensors) result.push_back(f(t));
  return result;
}

void check_any(const Tensors& tensors, const char* op) {
  if (tensors.empty()) fail(op, ": no tensors");
}

}  // namespace

Tensor cat(const Tensors& tensors, int64_t dim) {
  check_any(tensors, "cat");
  int dims = 1;
  for (const Tensor& t : tensors) {
    if (t.dim() == 0) fail("cat: 0-dimensional tensors cannot be joined; unsqueeze them");
    dims = std::max(dims, is_skipped(t) ? 1 : t.dim());
  }
  return apply_many(cat_op, tensors, {normalize_dim(dim, dims, "cat"), common_dtype(tensors)})[0];
}

Tensor concat(const Tensors& tensors, int64_t dim) { return cat(tensors, dim); }
Tensor concatenate(const Tensors& tensors, int64_t dim) { return cat(tensors, dim); }

Tensor stack(const Tensors& tensors, int64_t dim) {
  check_any(tensors, "stack");
  const int at = normalize_dim(dim, tensors[0].dim() + 1, "stack");
  for (const Tensor& t : tensors) {
    if (t.shape() != tensors[0].shape()) {
      fail("stack: shapes ", tensors[0].shape(), " and ", t.shape(), " differ");
    }
  }
  return cat(each(tensors, [at](const Tensor& t) { return unsqueeze(t, at); }), at);
}

Tensor hstack(const Tensors& tensors) {
  check_any(tensors, "hstack");
  const Tensors parts = atleast_1d(tensors);
  return cat(parts, parts[0].dim() == 1 ? 0 : 1);
}

Tensor vstack(const Tensors& tensors) {
  check_any(tensors, "vstack");
  return cat(atleast_2d(tensors), 0);
}
Tensor row_stack(const Tensors& tensors) { return vstack(tensors); }

Tensor dstack(const Tensors& tensors) {
  check_any(tensors, "dstack");
  return cat(atleast_3d(tensors), 2);
}

Tensor column_stack(const Tensors& tensors) {
  check_any(tensors, "column_stack");
  return hstack(each(tensors, [](const Tensor& t) {
    return t.dim() <= 1 ? reshape(t, {t.numel(), 1}) : t;
  }));
}

}  // namespace tallow
