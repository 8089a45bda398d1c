// The small kernels of dense attention, compiled once per level.
#include "backend/cpu/sdpa/kernels.h"

#include "backend/cpu/isa/transpose.h"
#include "backend/cpu/sdpa/back_rows.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// Words of two elements are transposed, then taken apart.
void transpose_16(const uint16_t* source, int64_t stride, int64_t dim, uint16_t* target,
                  int64_t target_stride) {
  int64_t j = 0;
  for (; j + 2 * kLanes <= dim; j += 2 * kLanes) {
    for (int64_t i = 0; i < 16; i += kLanes) {
      Floats tile[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) tile[r] = load_as<Floats>(source + (i + r) * stride + j);
      transpose(tile);
      for (int64_t r = 0; r < kLanes; ++r) {
        const Words pairs = reinterpret_cast<Words>(tile[r]);
        uint16_t* to = target + (j + 2 * r) * target_stride + i;
        store_as(to, __builtin_convertvector(pairs & 0xffffu, Halves));
        store_as(to + target_stride, __builtin_convertvector(pairs >> 16, Halves));
      }
    }
  }
  for (; j < dim; ++j) {
    for (int64_t i = 0; i < 16; ++i) target[j * target_stride + i] = source[i * stride + j];
  }
}

float dot(const float* a, const float* b, int64_t n) {
  Floats sum[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum[0] += load(a + i) * load(b + i);
    sum[1] += load(a + i + kLanes) * load(b + i + kLanes);
  }
  float total = sum_lanes(sum[0] + sum[1]);
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

void back_rows(const SdpaBackRows& in, const SdpaBackFloats& out) {
  for (int64_t r = 0; r < in.rows; ++r) {
    const Seen seen(in, r);
    const bool all = seen.all();
    for (int64_t j = 0; j < kSdpaKeys; j += kLanes) {
      const Vectors v = back_vector(in, seen, all, r, j, [](Floats x) { return exp2_exact(x); });
      const int64_t to = j / 16 * out.group_stride + r * 16 + j % 16;
      store(out.weights + to, v.weight);
      store(out.grad_scores + to, v.grad);
    }
  }
}

}  // namespace

const SdpaKernels sdpa_kernels{transpose_16, dot, back_rows};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
