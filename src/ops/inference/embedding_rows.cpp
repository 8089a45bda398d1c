// embedding_rows: rows of a table, real or quantized, picked by ids; and the scatter-add that is
// its gradient.
#include <cstring>

#include "ops/block_rows.h"
#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

struct EmbeddingGradOptions {
  int64_t rows = 0;
};

void check_ids(const char* op, const Tensor& ids) {
  if (ids.dtype() != DType::i32 && ids.dtype() != DType::i64)
    fail(op, ": ids are ", ids, "; they need i32 or i64");
}

int64_t id_at(const Tensor& ids, int64_t i) {
  return ids.dtype() == DType::i32 ? ids.data<int32_t>()[i] : ids.data<int64_t>()[i];
}

/// Calls fn(i, id) for each id, each in [0, rows).
template <class F>
void each_id(const char* op, const Tensor& ids, int64_t rows, const F& fn) {
  const Tensor list = ids.contiguous();
  for (int64_t i = 0; i < list.numel(); ++i) {
    const int64_t id = id_at(list, i);
    if (id < 0 || id >= rows)
      fail(op, ": id ", id, " is outside a vocabulary of ", rows, "; use 0 to ", rows - 1);
    fn(i, id);
  }
}

Shape with_dim(const Tensor& ids, int64_t dim) {
  Shape shape = ids.shape();
  shape.push_back(dim);
  return shape;
}

Specs grad_infer(Inputs in, const EmbeddingGradOptions& options) {
  check_ids("embedding_grad", in[1]);
  return {{{options.rows, in[0].shape().back()}, DType::f32}};
}

void grad_cpu(Inputs in, Outputs out, const EmbeddingGradOptions& options) {
  const Tensor grad = as_f32(in[0]);
  const int64_t dim = grad.shape().back();
  float* table = out[0].data<float>();
  std::memset(table, 0, static_cast<size_t>(out[0].nbytes()));
  each_id("embedding_grad", in[1], options.rows, [&](int64_t i, int64_t id) {
    const float* row = grad.data<float>() + i * dim;
    for (int64_t d = 0; d < dim; ++d) table[id * dim + d] += row[d];
  });
}

Tensors grad_vjp(const Saved<EmbeddingGradOptions>& saved, Inputs grads) {
  return {embedding_rows(grads[0], saved.inputs[1]), {}};
}

constinit Op<EmbeddingGradOptions> embedding_grad_op{
    "embedding_grad", {.infer = grad_infer, .vjp = grad_vjp, .cpu = grad_cpu}};

Specs infer(Inputs in, const NoOptions&) {
  const Tensor &weight = in[0], &ids = in[1];
  if (weight.dim() != 2) fail("embedding_rows: weight is ", weight, "; it needs [vocab, dim]");
  if (!info(weight.dtype()).to_f32)
    fail("embedding_rows: weight is ", weight, "; it needs a real or block dtype");
  check_ids("embedding_rows", ids);
  return {{with_dim(ids, weight.size(1)), DType::f32}};
}

Tensors vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor& weight = saved.inputs[0];
  if (is_block(weight.dtype()))
    fail("embedding_rows: weight is ", weight, ", which takes no gradient; call .to(f32)");
  Tensor grad = apply(embedding_grad_op, {grads[0], saved.inputs[1]}, {weight.size(0)});
  return {weight.dtype() == DType::f32 ? grad : grad.to(weight.dtype()), {}};
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  const Tensor weight = in[0].strides()[1] == 1 ? in[0] : in[0].contiguous();
  const DTypeInfo& row = info(weight.dtype());
  const int64_t dim = weight.size(1), step = weight.strides()[0] / row.block * row.bytes;
  const std::byte* table = static_cast<const std::byte*>(weight.raw());
  float* target = out[0].data<float>();
  each_id("embedding_rows", in[1], weight.size(0), [&](int64_t i, int64_t id) {
    block_row_to_f32(weight, table + id * step, target + i * dim);
  });
}

Work work(Inputs in, Outputs out, const NoOptions&) {
  const double read = static_cast<double>(storage_bytes(in[0].dtype(), in[0].size(1))) *
                      static_cast<double>(in[1].numel());
  return {.flops = 0, .bytes = read + static_cast<double>(out[0].nbytes())};
}

}  // namespace

constinit Op<> embedding_rows_op{"embedding_rows",
                                 {.infer = infer, .vjp = vjp, .cpu = cpu, .work = work}};

Tensor embedding_rows(const Tensor& weight, const Tensor& ids) {
  return apply(embedding_rows_op, {weight, ids});
}

}  // namespace tallow
