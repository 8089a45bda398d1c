// sort, argsort and msort: rows of the last dimension; other dimensions are moved there.
#include "ops/order/keys.h"
#include "ops/order/select.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct SortOptions {
  bool descending;
};

Specs infer(Inputs in, const SortOptions&) {
  check_not_block("sort", in[0]);
  check_not_complex("sort", in[0]);
  return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::i64}};
}

// values[i] = row[indices[i]], elements as plain bytes.
template <class U>
void gather_row(const Tensor& x, int64_t row, int64_t n, const Tensor& values,
                const Tensor& indices) {
  const U* from = static_cast<const U*>(x.raw()) + row * n;
  U* to = static_cast<U*>(values.raw()) + row * n;
  const int64_t* at = indices.data<int64_t>() + row * n;
  for (int64_t i = 0; i < n; ++i) to[i] = from[at[i]];
}

void gather_row(const Tensor& x, int64_t row, int64_t n, const Tensor& values,
                const Tensor& indices) {
  switch (info(x.dtype()).bytes) {
    case 1: return gather_row<uint8_t>(x, row, n, values, indices);
    case 2: return gather_row<uint16_t>(x, row, n, values, indices);
    case 4: return gather_row<uint32_t>(x, row, n, values, indices);
    default: return gather_row<uint64_t>(x, row, n, values, indices);
  }
}

void cpu(Inputs in, Outputs out, const SortOptions& o) {
  const Tensor x = in[0].detach().contiguous();
  if (x.numel() == 0) return;
  const int64_t n = x.dim() == 0 ? 1 : x.shape().back(), rows = x.numel() / n;
  const Keys keys(x.dtype());
  with_items(x, n, [&]<class T, class Item>(T, Item) {
    ElementReader<T> reader(x, x.shape());
    auto sort_rows = [&](int64_t begin, int64_t end, bool parallel) {
      const Tensor memory = Tensor::empty({2 * n * static_cast<int64_t>(sizeof(Item))}, DType::u8);
      Item* items = static_cast<Item*>(memory.raw());
      for (int64_t row = begin; row < end; ++row) {
        read_items(reader, keys, row, n, o.descending, items);
        const Item* sorted = sort_items(items, items + n, n, parallel);
        int64_t* indices = out[1].data<int64_t>() + row * n;
        for (int64_t i = 0; i < n; ++i) indices[i] = index_of(sorted[i]);
        gather_row(x, row, n, out[0], out[1]);
      }
    };
    if (rows < 4) return sort_rows(0, rows, true);
    parallel_for(rows, std::max<int64_t>(1, 8 * kChunk / n),
                 [&](int64_t begin, int64_t end, int) { sort_rows(begin, end, false); });
  });
}

Tensors vjp(const Saved<SortOptions>& saved, Inputs grads) {
  return {add_along(grads[0], saved.inputs[0].shape(), -1, saved.outputs[1])};
}

constinit Op<SortOptions> sort_op{
    "sort", {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true, .shapes_only = true}};

}  // namespace

ValuesIndices sort(const Tensor& self, int64_t dim, bool descending, bool) {
  const int axis = checked_dim(self, dim, "sort");
  const bool moved = axis != std::max(0, self.dim() - 1);
  const Tensor x = moved ? self.transpose(axis, -1) : self;
  Tensors r = apply_many(sort_op, {&x, 1}, {descending});
  if (moved) return {r[0].transpose(axis, -1), r[1].transpose(axis, -1)};
  return {r[0], r[1]};
}

Tensor argsort(const Tensor& self, int64_t dim, bool descending, bool stable) {
  return sort(self.detach(), dim, descending, stable).indices;
}

Tensor msort(const Tensor& self) { return sort(self, 0, false, true).values; }

}  // namespace tallow
