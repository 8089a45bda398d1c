// topk: rows of the last dimension; other dimensions are moved there.
#include <algorithm>
#include <vector>

#include "ops/order/keys.h"
#include "ops/order/select.h"
#include "ops/order/topk.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

Specs infer(Inputs in, const TopkOptions& o) {
  check_not_block("topk", in[0]);
  check_not_complex("topk", in[0]);
  Shape shape = in[0].shape();
  const int64_t n = shape.empty() ? 1 : shape.back();
  if (o.k < 0 || o.k > n) fail("topk: k is ", o.k, "; the dimension has ", n, " elements");
  if (!shape.empty()) shape.back() = o.k;
  return {{shape, in[0].dtype()}, {shape, DType::i64}};
}

// Moves the k items with the smallest keys to the front: by the algorithms that PyTorch uses, so
// that among equal elements the same are picked.
template <class Item>
void pick_best(Item* items, int64_t n, int64_t k, bool sorted) {
  auto before = [](const Item& a, const Item& b) { return key_of(a) < key_of(b); };
  if (k * 64 <= n) return std::partial_sort(items, items + k, items + n, before);
  std::nth_element(items, items + k - 1, items + n, before);
  if (sorted) std::sort(items, items + k - 1, before);
}

template <class U>
void gather(const Tensor& x, const Tensor& values, const Tensor& indices, int64_t row, int64_t n,
            int64_t k) {
  const U* from = static_cast<const U*>(x.raw()) + row * n;
  U* to = static_cast<U*>(values.raw()) + row * k;
  const int64_t* at = indices.data<int64_t>() + row * k;
  for (int64_t i = 0; i < k; ++i) to[i] = from[at[i]];
}

void cpu(Inputs in, Outputs out, const TopkOptions& o) {
  const Tensor x = in[0].detach().contiguous();
  if (out[0].numel() == 0) return;
  const bool number = x.dim() == 0;  // whose result is itself, whatever k is
  const int64_t n = number ? 1 : x.shape().back(), rows = x.numel() / n, k = number ? 1 : o.k;
  const Keys keys(x.dtype());
  with_items(x, n, [&]<class T, class Item>(T, Item) {
    ElementReader<T> reader(x, x.shape());
    parallel_for(rows, std::max<int64_t>(1, 16 * kChunk / n), [&](int64_t begin, int64_t end, int) {
      std::vector<Item> items(static_cast<size_t>(n));
      for (int64_t row = begin; row < end; ++row) {
        read_items(reader, keys, row, n, o.largest, items.data());
        pick_best(items.data(), n, k, o.sorted);
        int64_t* indices = out[1].data<int64_t>() + row * k;
        for (int64_t i = 0; i < k; ++i) indices[i] = index_of(items[i]);
        switch (info(x.dtype()).bytes) {
          case 1: gather<uint8_t>(x, out[0], out[1], row, n, k); break;
          case 2: gather<uint16_t>(x, out[0], out[1], row, n, k); break;
          case 4: gather<uint32_t>(x, out[0], out[1], row, n, k); break;
          default: gather<uint64_t>(x, out[0], out[1], row, n, k);
        }
      }
    });
  });
}

Tensors vjp(const Saved<TopkOptions>& saved, Inputs grads) {
  return {add_along(grads[0], saved.inputs[0].shape(), -1, saved.outputs[1])};
}

}  // namespace

constinit Op<TopkOptions> topk_op{
    "topk", {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true, .shapes_only = true}};

ValuesIndices topk(const Tensor& self, int64_t k, int64_t dim, bool largest, bool sorted) {
  const int axis = checked_dim(self, dim, "topk");
  const bool moved = axis != std::max(0, self.dim() - 1);
  const Tensor x = moved ? self.transpose(axis, -1) : self;
  Tensors r = apply_many(topk_op, {&x, 1}, {k, largest, sorted});
  if (moved) return {r[0].transpose(axis, -1), r[1].transpose(axis, -1)};
  return {r[0], r[1]};
}

}  // namespace tallow
