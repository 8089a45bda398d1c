// Panels of bf16 weights in pairs, made of rows, of columns and of quantized blocks.
#include "backend/cpu/gemm/pair_panels.h"

#include <cstring>

namespace tallow::cpu {

void interleave_pairs(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0,
                      int64_t k1, int64_t words, uint32_t* target) {
  if (k1 <= k0) return;
  const int rows = static_cast<int>(std::min<int64_t>(kGroup, w.n - n0));
  const auto* source = static_cast<const uint16_t*>(w.data) + n0 * w.n_stride + k0 * w.k_stride;
  const int64_t used = ceil_div(k1 - k0, 2);
  if (w.k_stride != 1) {
    zip_pairs(rows, k1 - k0, source, w.k_stride, target);
  } else if (w.n_stride % 2 == 0 && (k1 - k0) % 2 == 0 &&
             reinterpret_cast<uintptr_t>(source) % 4 == 0) {
    kernels.interleave_32(rows, used, reinterpret_cast<const uint32_t*>(source), w.n_stride / 2,
                          target, kGroup);
  } else {
    auto* copy = reinterpret_cast<uint32_t*>(scratch(Scratch::rows, kGroup * used * 4));
    for (int r = 0; r < rows; ++r) {
      copy[r * used + used - 1] = 0;
      std::memcpy(copy + r * used, source + r * w.n_stride, static_cast<size_t>(k1 - k0) * 2);
    }
    kernels.interleave_32(rows, used, copy, used, target, kGroup);
  }
  std::memset(target + used * kGroup, 0, static_cast<size_t>((words - used) * kGroup * 4));
}

void zip_panels(const Unit& unit, int64_t k0, int64_t k1, uint32_t* target) {
  constexpr int64_t kRows = 32;
  const Weight& w = *unit.weight;
  const int64_t words = pair_words(k1 - k0);
  for (int64_t k = k0; k < k1; k += kRows) {
    const auto* row = static_cast<const uint16_t*>(w.data) + unit.n0 + k * w.k_stride;
    const int64_t count = std::min(kRows, k1 - k);
    uint32_t* to = target + (k - k0) / 2 * kGroup;
    for (int64_t n = 0; n < unit.columns;
         n += kPairUnit, row += kPairUnit, to += 2 * words * kGroup) {
      const int columns = static_cast<int>(std::min(kPairUnit, unit.columns - n));
      zip_pairs(columns, count, row, w.k_stride, to, to + words * kGroup);
      const int64_t rest = (kRows / 2 - ceil_div(count, 2)) * kGroup;
      if (rest == 0) continue;
      std::memset(to + kRows / 2 * kGroup - rest, 0, static_cast<size_t>(rest) * 4);
      std::memset(to + (words + kRows / 2) * kGroup - rest, 0, static_cast<size_t>(rest) * 4);
    }
  }
}

PairPanel pair_panel(const GemmKernels& kernels, const Unit& unit, int64_t k0, int64_t k1,
                     uint32_t* target) {
  const Weight& w = *unit.weight;
  if (w.form == Weight::Form::pairs) {
    const int64_t words = pair_words(w.k);
    const uint32_t* data = static_cast<const uint32_t*>(w.data) + unit.n0 * words + k0 / 2 * kGroup;
    return {data, unit.columns > kGroup ? data + words * kGroup : data};
  }
  const int64_t words = pair_words(k1 - k0);
  if (w.form == Weight::Form::blocks) {
    panel_bf16(*static_cast<const PackedBlocks*>(w.data), unit.n0, k0, k1,
               reinterpret_cast<uint16_t*>(target));
    return {target, target + words * kGroup};
  }
  if (in_columns(w)) return {target, target + words * kGroup};  // zip_panels has made it
  interleave_pairs(kernels, w, unit.n0, k0, k1, words, target);
  if (unit.columns <= kGroup) return {target, target};
  interleave_pairs(kernels, w, unit.n0 + kGroup, k0, k1, words, target + words * kGroup);
  return {target, target + words * kGroup};
}

}  // namespace tallow::cpu
