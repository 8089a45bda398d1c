// One element of each row, picked by its rank or by how often it comes: kthvalue, median,
// nanmedian, mode.
#include <algorithm>
#include <vector>

#include "ops/order/keys.h"
#include "ops/order/select.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

enum class Pick : uint8_t { kth, median, nanmedian, mode };

struct KthOptions {
  ReduceOptions reduce;
  Pick pick;
  int64_t k;
};

const char* name_of(Pick pick) {
  switch (pick) {
    case Pick::kth: return "kthvalue";
    case Pick::median: return "median";
    case Pick::nanmedian: return "nanmedian";
    case Pick::mode: break;
  }
  return "mode";
}

Specs infer(Inputs in, const KthOptions& o) {
  const char* op = name_of(o.pick);
  check_not_block(op, in[0]);
  check_not_complex(op, in[0]);
  check_not_empty(op, in[0], o.reduce.dims);
  const int64_t n = group_count(in[0], o.reduce.dims);
  if (o.pick == Pick::kth && (o.k < 1 || o.k > n)) {
    fail(op, ": k is ", o.k, "; the dimension has ", n, " elements");
  }
  const Shape shape = reduced_shape(in[0].shape(), o.reduce.dims, o.reduce.keepdim);
  return {{shape, in[0].dtype()}, {shape, DType::i64}};
}

// The last of the most frequent elements, the smallest of several.
template <class Item>
int64_t most_frequent(const Item* sorted, int64_t n) {
  int64_t best = 0, longest = 0;
  for (int64_t begin = 0, i = 0; i < n; ++i) {
    if (i + 1 < n && key_of(sorted[i + 1]) == key_of(sorted[i])) continue;
    if (i + 1 - begin > longest) {
      longest = i + 1 - begin;
      best = i;
    }
    begin = i + 1;
  }
  return index_of(sorted[best]);
}

// Hoare's selection, with the median of three as the pivot: among equal elements it picks the one
// that PyTorch's picks.
template <class Item>
void select_kth(Item* items, int64_t n, int64_t k) {
  auto after = [&](int64_t a, int64_t b) { return key_of(items[a]) > key_of(items[b]); };
  auto exchange = [&](int64_t a, int64_t b) { std::swap(items[a], items[b]); };
  for (int64_t low = 0, high = n - 1; low < high;) {
    if (high == low + 1) {
      if (after(low, high)) exchange(low, high);
      return;
    }
    exchange(low + (high - low) / 2, low + 1);
    if (after(low + 1, high)) exchange(low + 1, high);
    if (after(low, high)) exchange(low, high);
    if (after(low + 1, low)) exchange(low + 1, low);
    int64_t i = low + 1, j = high;
    while (true) {
      do ++i;
      while (after(low, i));
      do --j;
      while (after(j, low));
      if (j < i) break;
      exchange(i, j);
    }
    exchange(low, j);
    if (j <= k) low = i;
    if (j >= k) high = j - 1;
  }
}

template <class T, class Item>
int64_t chosen(std::vector<Item>& items, int64_t n, const KthOptions& o) {
  if (o.pick == Pick::mode) {
    std::sort(items.begin(), items.begin() + n,
              [](const Item& a, const Item& b) { return key_of(a) < key_of(b); });
    return most_frequent(items.data(), n);
  }
  if (o.pick == Pick::kth) {
    select_kth(items.data(), n, o.k - 1);
    return index_of(items[o.k - 1]);
  }
  int64_t numbers = 0, first_nan = n;
  for (int64_t i = n - 1; i >= 0; --i) {
    const bool nan = is_nan_key<T, Item>(key_of(items[i]));
    numbers += !nan;
    if (nan) first_nan = i;
  }
  if (numbers < n && (o.pick == Pick::median || numbers == 0)) return first_nan;
  const int64_t rank = (numbers - 1) / 2;
  std::nth_element(items.begin(), items.begin() + rank, items.begin() + n);
  return index_of(items[rank]);
}

void cpu(Inputs in, Outputs out, const KthOptions& o) {
  const Tensor x = flattened_last(in[0].detach(), o.reduce.dims);
  const int64_t n = x.shape().back();
  if (out[0].numel() == 0) return;
  const Keys keys(x.dtype());
  with_items(x, n, [&]<class T, class Item>(T, Item) {
    ElementReader<T> reader(x, x.shape());
    parallel_for(x.numel() / n, std::max<int64_t>(1, 8 * kChunk / n),
                 [&](int64_t begin, int64_t end, int) {
                   std::vector<Item> items(static_cast<size_t>(n));
                   for (int64_t row = begin; row < end; ++row) {
                     read_items(reader, keys, row, n, false, items.data());
                     const int64_t at = chosen<T>(items, n, o);
                     T scratch;
                     write_elements(out[0], row, 1, reader.read(row * n + at, 1, &scratch));
                     out[1].data<int64_t>()[row] = at;
                   }
                 });
  });
}

Tensors vjp(const Saved<KthOptions>& saved, Inputs grads) {
  return {put_along(grads[0], saved.inputs[0].shape(), saved.options.reduce, saved.outputs[1])};
}

// Of a whole tensor: elements equal to the median share its gradient.
Tensors whole_vjp(const Saved<KthOptions>& saved, Inputs grads) {
  const Tensor x = saved.inputs[0].detach(), y = saved.outputs[0].detach();
  Tensor chosen = equal_to(x, y);
  if (y.item() != y.item()) chosen = 1.0 - equal_to(x, x);
  return {chosen * (grads[0] / sum(chosen))};
}

constinit Op<KthOptions> kth_op{
    "kthvalue",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .save_outputs = true, .shapes_only = true}};
constinit Op<KthOptions> whole_op{
    "median", {.infer = infer, .vjp = whole_vjp, .cpu = cpu, .save_outputs = true}};

ValuesIndices along(Pick pick, const Tensor& x, int64_t dim, bool keepdim, int64_t k = 0) {
  const uint32_t dims = reduced_dims(x, std::optional(dim), name_of(pick));
  Tensors r = apply_many(kth_op, {&x, 1}, {{dims, keepdim}, pick, k});
  return {r[0], r[1]};
}

Tensor whole(Pick pick, const Tensor& x) {
  if (x.numel() == 0) {
    if (!is_integral(x.dtype())) return sum(x) + NAN;
    return Tensor::scalar(-9.2233720368547758e18, x.dtype());
  }
  return apply(whole_op, {x}, {{reduced_dims(x, Dims(), name_of(pick))}, pick, 0});
}

}  // namespace

ValuesIndices kthvalue(const Tensor& self, int64_t k, int64_t dim, bool keepdim) {
  return along(Pick::kth, self, dim, keepdim, k);
}
Tensor median(const Tensor& self) { return whole(Pick::median, self); }
ValuesIndices median(const Tensor& self, int64_t dim, bool keepdim) {
  return along(Pick::median, self, dim, keepdim);
}
Tensor nanmedian(const Tensor& self) { return whole(Pick::nanmedian, self); }
ValuesIndices nanmedian(const Tensor& self, int64_t dim, bool keepdim) {
  return along(Pick::nanmedian, self, dim, keepdim);
}
ValuesIndices mode(const Tensor& self, int64_t dim, bool keepdim) {
  return along(Pick::mode, self, dim, keepdim);
}

}  // namespace tallow
