// kv_cache_write: puts the keys and values of new tokens into their slots of the paged cache, in
// place; values are stored transposed, so that both matrix products of attention read rows, except
// in blocks, which are made of one token's values.
#include <algorithm>
#include <cstring>
#include <iterator>

#include "ops/inference/paged_attention.h"
#include "ops/rows.h"

namespace tallow {

namespace {

void check_cache(const Tensor& k, const Tensor& v) {
  if (k.dtype() != v.dtype() || !is_cache_type(k.dtype()))
    fail("kv_cache_write: caches are ", k, " and ", v,
         "; they need both f32, bf16, f16, q8_0 or q4_0");
  if (!is_cache(k, v))
    fail("kv_cache_write: caches are ", k, " and ", v,
         "; they need [pages, kv_heads, page_size, dim] and [pages, kv_heads, dim, page_size], or "
         "the same of blocks");
  if (!k.is_contiguous() || !v.is_contiguous())
    fail("kv_cache_write: a cache is a strided view; pass the whole cache");
}

Specs infer(Inputs in, const NoOptions&) {
  const Tensor &k = in[0], &v = in[1], &keys = in[2], &values = in[3], &slots = in[4];
  check_cache(k, v);
  if (keys.dim() != 3 || keys.shape() != values.shape() || keys.size(1) != k.size(1) ||
      keys.size(2) != k.size(3))
    fail("kv_cache_write: keys ", keys, " and values ", values, " need [tokens, ", k.size(1), ", ",
         k.size(3), "] for the cache ", k);
  check_real("kv_cache_write", "keys", keys, 3);
  check_real("kv_cache_write", "values", values, 3);
  if (slots.dtype() != DType::i32 || slots.dim() != 1 || slots.size(0) != keys.size(0))
    fail("kv_cache_write: slots are ", slots, "; keys ", keys, " need i32 [", keys.size(0), "]");
  return {{.shape = k.shape(), .dtype = k.dtype(), .alias = 0},
          {.shape = v.shape(), .dtype = v.dtype(), .alias = 1}};
}

/// Where the rows of a cache and of what is written into it begin.
struct Rows {
  std::byte* cache;
  const std::byte* source;
  int64_t bytes;  // of dim elements

  void put(int64_t cache_row, int64_t row) const {
    std::memcpy(cache + cache_row * bytes, source + row * bytes, static_cast<size_t>(bytes));
  }
  /// The row's `dim` elements, `step` elements apart from `element` on.
  void scatter(int64_t element, int64_t step, int64_t row, int64_t dim) const {
    const int64_t each = bytes / dim;
    for (int64_t d = 0; d < dim; ++d) {
      std::memcpy(cache + (element + d * step) * each, source + row * bytes + d * each,
                  static_cast<size_t>(each));
    }
  }
};

void cpu(Inputs in, Outputs, const NoOptions&) {
  const Tensor &k = in[0], &v = in[1];
  const Tensor keys = in[2].to(k.dtype()).contiguous(), values = in[3].to(k.dtype()).contiguous(),
               slots = in[4].contiguous();
  check_slots(k, slots);
  const int64_t heads = k.size(1), page_size = k.size(2), dim = k.size(3);
  const int64_t bytes = storage_bytes(k.dtype(), dim);
  const auto rows = [&](const Tensor& cache, const Tensor& source) {
    return Rows{static_cast<std::byte*>(cache.raw()), static_cast<const std::byte*>(source.raw()),
                bytes};
  };
  const Rows k_rows = rows(k, keys), v_rows = rows(v, values);
  for (int64_t t = 0; t < slots.numel(); ++t) {
    const int64_t slot = slots.data<int32_t>()[t];
    const int64_t page = slot / page_size, at = slot % page_size;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t first = (page * heads + h) * page_size, row = t * heads + h;
      k_rows.put(first + at, row);
      if (is_block(v.dtype())) {
        v_rows.put(first + at, row);
      } else {
        v_rows.scatter(first * dim + at, page_size, row, dim);
      }
    }
  }
}

Work work(Inputs in, Outputs, const NoOptions&) {
  return {.flops = 0, .bytes = static_cast<double>(in[2].nbytes() + in[3].nbytes()) * 1.5};
}

}  // namespace

bool is_cache_type(DType dtype) {
  constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f16, DType::q8_0, DType::q4_0};
  return std::find(std::begin(kTypes), std::end(kTypes), dtype) != std::end(kTypes);
}

bool is_cache(const Tensor& k, const Tensor& v) {
  if (k.dim() != 4 || v.dim() != 4) return false;
  const Shape& s = k.shape();
  return v.shape() == (is_block(v.dtype()) ? s : Shape{s[0], s[1], s[3], s[2]});
}

void check_slots(const Tensor& k_cache, const Tensor& slots) {
  const int64_t count = k_cache.size(0) * k_cache.size(2);
  const int32_t* slot = slots.data<int32_t>();
  for (int64_t t = 0; t < slots.numel(); ++t) {
    if (slot[t] < 0 || slot[t] >= count)
      fail("kv_cache_write: slot ", slot[t], " of token ", t, " is outside a cache of ", count,
           "; allocate a page for it first");
  }
}

constinit Op<> kv_cache_write_op{"kv_cache_write", {.infer = infer, .cpu = cpu, .work = work}};

void kv_cache_write(const Tensor& k_cache, const Tensor& v_cache, const Tensor& keys,
                    const Tensor& values, const Tensor& slots) {
  const bool blocks = is_block(k_cache.dtype());
  const Tensor inputs[] = {k_cache, v_cache, blocks ? spread(keys) : keys,
                           blocks ? spread(values) : values, slots};
  apply_many(kv_cache_write_op, inputs);
}

}  // namespace tallow
