// spread: multiplies by Hadamard's matrix, of the largest power of two that divides the row, over
// its root. It is its own inverse, and changes no dot product. A number that is far larger than its
// neighbours, as keys and queries have them, comes to be spread over all, so that blocks round them
// better (Ashkboos et al. 2024, arXiv 2404.00456).
#include <cmath>

#include "ops/inference/paged_attention.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow {

namespace {

constexpr int64_t kGrain = 1 << 14;  // elements that are worth a thread

Specs infer(Inputs in, const NoOptions&) {
  check_real("spread", "x", in[0], 0);
  return {{in[0].shape(), DType::f32}};
}

using Four = float __attribute__((vector_size(16)));

Four load_four(const float* p) {
  Four v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
void store_four(float* p, Four v) { __builtin_memcpy(p, &v, sizeof v); }

/// Sums and differences of what lies `step` apart, for all steps; n is 4 at least.
void butterflies(float* x, int64_t n) {
  for (int64_t step = n / 2; step >= 4; step /= 2) {
    for (int64_t i = 0; i < n; i += 2 * step) {
      for (int64_t j = i; j < i + step; j += 4) {
        const Four a = load_four(x + j), b = load_four(x + j + step);
        store_four(x + j, a + b);
        store_four(x + j + step, a - b);
      }
    }
  }
  const Four scale = 1 / std::sqrt(static_cast<float>(n)) - Four{};
  for (int64_t i = 0; i < n; i += 4) {
    const Four v = load_four(x + i);
    const Four pairs = __builtin_shufflevector(v, v, 2, 3, 0, 1) + v * Four{1, 1, -1, -1};
    const Four all = __builtin_shufflevector(pairs, pairs, 1, 0, 3, 2) + pairs * Four{1, -1, 1, -1};
    store_four(x + i, all * scale);
  }
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  const Tensor x = in[0].to(DType::f32).contiguous();
  const int64_t row = x.dim() > 0 ? x.size(-1) : 1, n = row & -row;
  const float* from = x.data<float>();
  float* to = out[0].data<float>();
  if (x.numel() == 0) return;
  parallel_for(x.numel() / n, std::max<int64_t>(1, kGrain / n),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin * n; i < end * n; i += n) {
                   std::copy_n(from + i, n, to + i);
                   if (n >= 4) butterflies(to + i, n);
                 }
               });
}

constinit Op<> spread_op{"spread", {.infer = infer, .cpu = cpu}};

}  // namespace

Tensor spread(const Tensor& x) { return apply(spread_op, {x}); }

}  // namespace tallow
