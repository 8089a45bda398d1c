// The fused ops, for tests/python/test_fused.py: `tallow_probe fused MANIFEST` (see cases.h).
#include "cases.h"
#include "ops/registry.h"

namespace probe {
namespace {

using tallow::DType;
using tallow::Tensor;
using tallow::Tensors;

int64_t whole(double x) { return static_cast<int64_t>(x); }

// Keys and values [cached, kv_heads, dim] go into their slots of a cache of `pages` pages, which
// the queries then attend to. Inputs: queries, keys, values, slots, starts, lengths, page table;
// parameters: pages, page size, type of the cache, scale, soft cap, window.
Tensors attend(const Tensors& in, const Numbers& p) {
  const int64_t heads = in[1].size(1), dim = in[1].size(2);
  constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f16, DType::q8_0, DType::q4_0};
  const DType dtype = kTypes[whole(p[2])];
  const bool rows = is_block(dtype);
  Tensor k = Tensor::full({whole(p[0]), heads, whole(p[1]), dim}, 1e30).to(dtype);
  Tensor v =
      rows ? k.clone() : Tensor::full({whole(p[0]), heads, dim, whole(p[1])}, 1e30).to(dtype);
  kv_cache_write(k, v, in[1], in[2], in[3]);
  return {paged_attention(in[0], k, v, in[4], in[5], in[6],
                          {static_cast<float>(p[3]), static_cast<float>(p[4]), whole(p[5])})};
}

Functions make_table() {
  Functions table;
  table["rms_norm"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {rms_norm(in[0], in[1].shape(), in[1], p[0])};
  };
  table["add_rms_norm"] = [](const Tensors& in, const Numbers& p) {
    return add_rms_norm(in[0], in[1], in[2], p[0]);
  };
  table["swiglu"] = [](const Tensors& in, const Numbers&) -> Tensors {
    return {swiglu(in[0], in[1])};
  };
  table["softmax"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {softmax(in[0], whole(p[0]))};
  };
  table["embedding"] = [](const Tensors& in, const Numbers&) -> Tensors {
    return {embedding_rows(in[0], in[1])};
  };
  table["rope"] = [](const Tensors& in, const Numbers& p) -> Tensors {
    return {rope(in[0], in[1], in[2], {.interleaved = p[0] != 0}, p[1])};
  };
  table["paged_attention"] = attend;
  return table;
}

}  // namespace

int fused(int argc, char** argv) { return run_cases(argc, argv, make_table()); }

}  // namespace probe
