// kv_cache_write: puts the keys and values of new tokens into their slots of the paged cache, in
// place; values are stored transposed, so that both matrix products of attention read rows.
#include "ops/inference/paged_attention.h"
#include "ops/rows.h"

namespace tallow {

namespace {

void check_cache(const Tensor& k, const Tensor& v) {
  const bool fits = k.dim() == 4 && v.dim() == 4 && k.size(0) == v.size(0) &&
                    k.size(1) == v.size(1) && k.size(2) == v.size(3) && k.size(3) == v.size(2);
  if (!fits)
    fail("kv_cache_write: caches are ", k, " and ", v,
         "; they need [pages, kv_heads, page_size, dim] and [pages, kv_heads, dim, page_size]");
  if (k.dtype() != v.dtype() || (k.dtype() != DType::f32 && k.dtype() != DType::bf16))
    fail("kv_cache_write: caches are ", k, " and ", v, "; they need both f32 or both bf16");
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

void cpu(Inputs in, Outputs, const NoOptions&) {
  const Tensor &k = in[0], &v = in[1];
  const Tensor keys = as_f32(in[2]), values = as_f32(in[3]), slots = in[4].contiguous();
  check_slots(k, slots);
  const DTypeInfo& type = info(k.dtype());
  const int64_t heads = k.size(1), page_size = k.size(2), dim = k.size(3);
  auto* k_data = static_cast<std::byte*>(k.raw());
  auto* v_data = static_cast<std::byte*>(v.raw());
  for (int64_t t = 0; t < slots.numel(); ++t) {
    const int64_t slot = slots.data<int32_t>()[t];
    const int64_t page = slot / page_size, at = slot % page_size;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t base = (page * heads + h) * page_size * dim, row = (t * heads + h) * dim;
      type.from_f32(keys.data<float>() + row, k_data + (base + at * dim) * type.bytes, dim);
      for (int64_t d = 0; d < dim; ++d) {
        type.from_f32(values.data<float>() + row + d,
                      v_data + (base + d * page_size + at) * type.bytes, 1);
      }
    }
  }
}

Work work(Inputs in, Outputs, const NoOptions&) {
  return {.flops = 0, .bytes = static_cast<double>(in[2].nbytes() + in[3].nbytes()) * 1.5};
}

}  // namespace

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
  const Tensor inputs[] = {k_cache, v_cache, keys, values, slots};
  apply_many(kv_cache_write_op, inputs);
}

}  // namespace tallow
