// Attention of one token over caches of every type: the best of many runs, beside reading the same
// bytes, and how far the result is from that over f32.
//   tallow_bench_attention [CONTEXT [HEADS KV_HEADS DIM]]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "tallow/limits.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"
#include "tallow/random.h"

namespace {

using namespace tallow;

constexpr int64_t kPage = 32;

Tensor ints(const std::vector<int32_t>& values, const Shape& shape) {
  return Tensor::from(std::span<const int32_t>(values), shape);
}

/// A cache of `context` tokens whose pages lie in order.
struct Cache {
  Tensor k, v, starts, lengths, pages;

  Cache(DType dtype, const Tensor& keys, const Tensor& values) {
    const int64_t context = keys.size(0), heads = keys.size(1), dim = keys.size(2);
    const int64_t count = (context + kPage - 1) / kPage;
    k = Tensor::zeros({count, heads, kPage, dim}).to(dtype);
    v = is_block(dtype) ? k.clone() : Tensor::zeros({count, heads, dim, kPage}).to(dtype);
    std::vector<int32_t> order(static_cast<size_t>(context));
    std::iota(order.begin(), order.end(), 0);
    kv_cache_write(k, v, keys, values, ints(order, {context}));
    order.resize(static_cast<size_t>(count));
    starts = ints({0, 1}, {2});
    lengths = ints({static_cast<int32_t>(context)}, {1});
    pages = ints(order, {1, count});
  }

  Tensor attend(const Tensor& queries, const AttentionOptions& o) const {
    return paged_attention(queries, k, v, starts, lengths, pages, o);
  }
};

double error(const Tensor& a, const Tensor& b) {
  const Tensor apart = a - b;
  return std::sqrt(sum(apart * apart).item() / sum(b * b).item());
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, int64_t usual) { return argc > i ? std::atoll(argv[i]) : usual; };
  const int64_t context = number(1, 8192), heads = number(2, 8), kv_heads = number(3, 1);
  const int64_t dim = number(4, 512);
  const Tensor queries = randn({1, heads, dim});
  const Tensor keys = randn({context, kv_heads, dim}), values = randn({context, kv_heads, dim});
  const AttentionOptions options{.scale = 1 / std::sqrt(static_cast<float>(dim))};
  const Tensor exact = Cache(DType::f32, keys, values).attend(queries, options);
  std::printf("%lld tokens, %lld heads on %lld of %lld\n", static_cast<long long>(context),
              static_cast<long long>(heads), static_cast<long long>(kv_heads),
              static_cast<long long>(dim));
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::q8_0, DType::q4_0}) {
    const Cache cache(dtype, keys, values);
    std::printf("%-5s error %8.1e", info(dtype).name, error(cache.attend(queries, options), exact));
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      double best = 1e30;
      for (int run = 0; run < 60; ++run) {
        const auto begin = std::chrono::steady_clock::now();
        (void)cache.attend(queries, options);
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
        best = std::min(best, time.count());
      }
      const auto bytes = static_cast<double>(cache.k.nbytes() + cache.v.nbytes());
      std::printf("   %d threads %7.0f us, %5.1f GB/s", threads, best * 1e6, bytes / best / 1e9);
    }
    std::printf("\n");
  }
  for (const int threads : {1, 2}) {
    std::printf("reading, %d threads: %.1f GB/s\n", threads,
                read_bandwidth(int64_t{1} << 24, threads) / 1e9);
  }
}
