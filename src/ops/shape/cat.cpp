// Joins tensors along a dimension.
#include <cstring>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

struct CatOptions {
  int dim;
};

Specs infer(Inputs in, const CatOptions& o) {
  Shape shape = in[0].shape();
  shape[o.dim] = 0;
  for (const Tensor& t : in) {
    if (t.dtype() != in[0].dtype()) {
      fail("cat: dtypes ", in[0].dtype(), " and ", t.dtype(), " differ; convert one with .to()");
    }
    if (is_block(t.dtype()) && o.dim == t.dim() - 1) {
      fail("cat: ", t, " holds blocks along the last dimension; call .to(f32) first");
    }
    bool fits = t.dim() == shape.size();
    for (int i = 0; fits && i < shape.size(); ++i) fits = i == o.dim || t.shape()[i] == shape[i];
    if (!fits) {
      fail("cat: shapes ", in[0].shape(), " and ", t.shape(), " differ outside dimension ", o.dim);
    }
    shape[o.dim] += t.shape()[o.dim];
  }
  return {{shape, in[0].dtype()}};
}

// Bytes of the dimensions from `dim` on.
int64_t plane_bytes(const Tensor& t, int dim) {
  int64_t outer = 1;
  for (int i = 0; i < dim; ++i) outer *= t.shape()[i];
  return outer ? t.nbytes() / outer : 0;
}

void cpu(Inputs in, Outputs out, const CatOptions& o) {
  int64_t outer = 1;
  for (int i = 0; i < o.dim; ++i) outer *= out[0].shape()[i];
  int64_t row = plane_bytes(out[0], o.dim), at = 0;
  for (const Tensor& t : in) {
    Tensor x = t.contiguous();
    int64_t bytes = plane_bytes(x, o.dim);
    for (int64_t i = 0; i < outer && bytes > 0; ++i) {
      std::memcpy(static_cast<std::byte*>(out[0].raw()) + i * row + at,
                  static_cast<const std::byte*>(x.raw()) + i * bytes, bytes);
    }
    at += bytes;
  }
}

Tensors vjp(const Saved<CatOptions>& saved, Inputs grads) {
  Tensors result;
  int64_t at = 0;
  for (const Tensor& t : saved.inputs) {
    int64_t n = t.shape()[saved.options.dim];
    result.push_back(grads[0].narrow(saved.options.dim, at, n));
    at += n;
  }
  return result;
}

constinit Op<CatOptions> cat_op{"cat", {.infer = infer, .vjp = vjp, .cpu = cpu}};

}  // namespace

Tensor cat(const Tensors& tensors, int64_t dim) {
  if (tensors.empty()) fail("cat: no tensors");
  if (tensors[0].dim() == 0) fail("cat: 0-dimensional tensors cannot be joined; unsqueeze them");
  return apply_many(cat_op, tensors, {normalize_dim(dim, tensors[0].dim(), "cat")})[0];
}

}  // namespace tallow
