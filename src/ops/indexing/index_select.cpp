// Rows (or slices along a dimension) picked by index, and their gradient's counterpart.
#include <cstring>

#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct IndexOptions {
  int dim;
  int64_t size = 0;  // of the dimension, where the input does not say it
};

std::vector<int64_t> checked_index(const Tensor& index, int64_t size, const char* op) {
  std::vector<int64_t> rows(static_cast<size_t>(index.numel()));
  const int64_t* values =
      ElementReader<int64_t>(index, index.shape()).read(0, index.numel(), rows.data());
  if (values != rows.data()) rows.assign(values, values + index.numel());
  for (int64_t row : rows) {
    if (row < 0 || row >= size) fail(op, ": index ", row, " is outside 0..", size - 1);
  }
  return rows;
}

void check_index(const Tensor& index, const char* op) {
  if (index.dim() != 1 || is_real(index.dtype()) || is_block(index.dtype())) {
    fail(op, ": the index must be a list of integers, not ", index);
  }
}

// x as [outer, dim, inner bytes].
struct Planes {
  int64_t outer, inner_bytes;
  Planes(const Shape& shape, int dim, DType dtype) : outer(1), inner_bytes(info(dtype).bytes) {
    for (int i = 0; i < dim; ++i) outer *= shape[i];
    for (int i = dim + 1; i < shape.size(); ++i) inner_bytes *= shape[i];
  }
};

Specs infer(Inputs in, const IndexOptions& o) {
  check_index(in[1], "index_select");
  if (is_block(in[0].dtype())) {
    fail("index_select: ", in[0].dtype(), " is a block dtype; use embedding, or call .to(f32)");
  }
  Shape shape = in[0].shape();
  shape[o.dim] = in[1].numel();
  return {{shape, in[0].dtype()}};
}

void cpu(Inputs in, Outputs out, const IndexOptions& o) {
  Tensor x = in[0].contiguous();
  int64_t size = x.shape()[o.dim];
  std::vector<int64_t> rows = checked_index(in[1], size, "index_select");
  auto count = static_cast<int64_t>(rows.size());
  Planes planes(x.shape(), o.dim, x.dtype());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(out[0].raw());
  int64_t grain = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(planes.inner_bytes, 1));
  parallel_for(planes.outer * count, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t source = i / count * size + rows[i % count];
      std::memcpy(to + i * planes.inner_bytes, from + source * planes.inner_bytes,
                  planes.inner_bytes);
    }
  });
}

// The gradient: rows of g added into zeros at their index.
constinit Op<IndexOptions> index_add_zeros_op{
    "index_add_zeros",
    {.infer =
         [](Inputs in, const IndexOptions& o) {
           Shape shape = in[0].shape();
           shape[o.dim] = o.size;
           return Specs{{shape, in[0].dtype()}};
         },
     .vjp =
         [](const Saved<IndexOptions>& saved, Inputs grads) {
           return Tensors{index_select(grads[0], saved.options.dim, saved.inputs[1]), Tensor()};
         },
     .cpu =
         [](Inputs in, Outputs out, const IndexOptions& o) {
           std::vector<int64_t> rows = checked_index(in[1], o.size, "index_add_zeros");
           auto count = static_cast<int64_t>(rows.size());
           bool wide = in[0].dtype() == DType::f64;
           Tensor g = in[0].to(DType::f64).contiguous();
           Tensor total = wide ? out[0] : Tensor::empty(out[0].shape(), DType::f64);
           std::memset(total.raw(), 0, static_cast<size_t>(total.nbytes()));
           Planes planes(g.shape(), o.dim, DType::f64);
           int64_t inner = planes.inner_bytes / 8;
           for (int64_t i = 0; i < planes.outer * count; ++i) {
             double* to = total.data<double>() + (i / count * o.size + rows[i % count]) * inner;
             const double* from = g.data<double>() + i * inner;
             for (int64_t j = 0; j < inner; ++j) to[j] += from[j];
           }
           if (!wide) write_elements(out[0], 0, total.numel(), total.data<double>());
         }}};

Tensors vjp(const Saved<IndexOptions>& saved, Inputs grads) {
  int dim = saved.options.dim;
  return {
      apply(index_add_zeros_op, {grads[0], saved.inputs[1]}, {dim, saved.inputs[0].shape()[dim]}),
      Tensor()};
}

constinit Op<IndexOptions> index_select_op{"index_select",
                                           {.infer = infer, .vjp = vjp, .cpu = cpu}};

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  if (x.dim() == 0) fail("index_select: a 0-dimensional tensor has nothing to select from");
  return apply(index_select_op, {x, index}, {normalize_dim(dim, x.dim(), "index_select")});
}

}  // namespace tallow
