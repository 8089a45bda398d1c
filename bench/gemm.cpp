// Float products at one shape: `tallow_bench_gemm DTYPE M N K` prints the best GFLOP/s of several
// runs, with the weight packed beforehand as weights of a model are. TALLOW_THREADS sets threads.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backend/cpu/gemm/gemm.h"
#include "tallow/tensor.h"

using namespace tallow::cpu;
using tallow::DType;

static double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static double best_seconds(int64_t m, int64_t n, int64_t k, bool narrow) {
  const tallow::Tensor x_tensor = tallow::Tensor::full({m, k}, 0.5);
  const tallow::Tensor y_tensor = tallow::Tensor::zeros({m, n});
  const float* x = x_tensor.data<float>();
  float* y = y_tensor.data<float>();
  std::vector<float> wide(narrow ? 0 : static_cast<size_t>(n * k), 0.25f);
  std::vector<uint16_t> half(narrow ? static_cast<size_t>(n * k) : 0, 0x3e80);
  const auto form = narrow ? pack_pairs(half.data(), n, k) : pack_groups(wide.data(), n, k);
  const Weight w{narrow ? Weight::Form::pairs : Weight::Form::groups,
                 narrow ? DType::bf16 : DType::f32,
                 form.get(),
                 n,
                 k,
                 k,
                 1,
                 nullptr};
  double best = 1e9;
  const double end = seconds() + 0.25;
  for (int i = 0; i < 5 || seconds() < end; ++i) {
    const double begin = seconds();
    if (narrow && m > 8 && has_bf16_product()) {
      product_bf16({x, DType::f32, m, k, k, 1}, {&w, 1}, y, n);
    } else {
      product<float>({x, m, k, k, 1}, {&w, 1}, y, n);
    }
    best = std::min(best, seconds() - begin);
  }
  return best;
}

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: tallow_bench_gemm f32|bf16 M N K ...\n");
    return 2;
  }
  const bool narrow = std::strcmp(argv[1], "bf16") == 0;
  for (int i = 2; i + 2 < argc; i += 3) {
    const int64_t m = std::atol(argv[i]), n = std::atol(argv[i + 1]), k = std::atol(argv[i + 2]);
    const double best = best_seconds(m, n, k, narrow);
    std::printf("%ld %ld %ld %.3f\n", long(m), long(n), long(k),
                2e-9 * double(m) * double(n) * double(k) / best);
  }
}
