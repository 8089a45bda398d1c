// Products in f32 and f64: panels of any weight as groups of 16 interleaved rows.
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kResidentStep = 1024;   // k of a panel: few steps, so that c is seldom read again
constexpr int64_t kMostStep = 640;        // the same where panels are packed on the way
constexpr int64_t kBlockStep = 512;       // the same for quantized rows, whose blocks stay whole
constexpr int64_t kBlockBytes = 1200000;  // rows of x by that much of k: 60% of an L2 cache
constexpr int64_t kRowBlock = 528;        // rows of x that share a panel packed on the way

template <class T>
const Tiles<T, T, T>& tiles_of(const GemmKernels& kernels) {
  if constexpr (std::is_same_v<T, float>) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

template <class T>
struct Panel {
  const T* data;
  int64_t group_stride;
};

// 16 rows of a weight of any dtype, k0 to k1, as f32.
void convert_rows(const GemmKernels& kernels, const Weight& w, int64_t n0, int rows, int64_t k0,
                  int64_t k1, float* target) {
  const DTypeInfo& type = info(w.dtype);
  const int64_t row_bytes = w.k / type.block * type.bytes;
  const std::byte* source =
      static_cast<const std::byte*>(w.data) + n0 * row_bytes + k0 / type.block * type.bytes;
  for (int r = 0; r < rows; ++r, source += row_bytes, target += k1 - k0) {
    if (w.dtype == DType::f16) {
      kernels.f16_to_f32(reinterpret_cast<const uint16_t*>(source), target, k1 - k0);
    } else if (w.dtype == DType::bf16) {
      kernels.bf16_to_f32(reinterpret_cast<const uint16_t*>(source), target, k1 - k0);
    } else {
      type.to_f32(source, target, k1 - k0);
    }
  }
}

template <class T>
Panel<T> panel(const GemmKernels& kernels, const Unit& unit, int64_t k0, int64_t k1) {
  const Weight& w = *unit.weight;
  const int64_t k = k1 - k0, groups = ceil_div(unit.columns, kGroup);
  if (w.form == Weight::Form::groups) {
    return {static_cast<const T*>(w.data) + unit.n0 * w.k + k0 * kGroup, w.k * kGroup};
  }
  const int64_t stride = round_up(k, 2) * kGroup;
  T* target = reinterpret_cast<T*>(scratch(Scratch::panel, groups * stride * int64_t{sizeof(T)}));
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t n0 = unit.n0 + g * kGroup;
    const int rows = static_cast<int>(std::min<int64_t>(kGroup, w.n - n0));
    T* group = target + g * stride;
    if constexpr (std::is_same_v<T, float>) {
      if (w.form == Weight::Form::pairs) {
        const int64_t words = round_up(w.k, 32) / 2;
        kernels.pairs_to_f32(static_cast<const uint32_t*>(w.data) + n0 * words + k0 / 2 * kGroup,
                             ceil_div(k, 2), group);
        continue;
      }
      if (w.dtype != DType::f32) {
        auto* wide = reinterpret_cast<float*>(scratch(Scratch::rows, kGroup * k * 4));
        convert_rows(kernels, w, n0, rows, k0, k1, wide);
        interleave<float>(kernels, rows, k, wide, k, 1, group, kGroup);
        continue;
      }
    }
    interleave<T>(kernels, rows, k,
                  static_cast<const T*>(w.data) + n0 * w.n_stride + k0 * w.k_stride, w.n_stride,
                  w.k_stride, group, kGroup);
  }
  return {target, stride};
}

template <class T>
struct DenseEngine : Epilogue<T> {
  const GemmKernels& kernels;
  const Tiles<T, T, T>& tiles;
  const PackedX<T>& x;

  DenseEngine(const GemmKernels& k, const PackedX<T>& packed)
      : kernels(k), tiles(tiles_of<T>(k)), x(packed) {}
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, T* c, int64_t ldc,
            bool accumulate) const {
    const Panel<T> w = panel<T>(kernels, unit, k0, k1);
    for (int64_t m = m0; m < m1; m += tiles.rows) {
      const int64_t p = m / tiles.rows;
      run_tile(tiles, x.rows(p), unit.columns, k1 - k0, x.panel(p, k0), w.data, w.group_stride,
               c + (m - m0) * ldc, ldc, accumulate);
    }
  }
};

// Few rows of f32 by bf16 weights, whose pairs are widened in registers.
struct PairEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const PackedX<float>& x;

  PairEngine(const GemmKernels& k, const PackedX<float>& packed) : kernels(k), x(packed) {}
  void unit(const Unit& unit, int64_t, int64_t, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    const Weight& w = *unit.weight;
    const int64_t words = round_up(w.k, 32) / 2;
    run_tile(kernels.pairs, x.rows(0), unit.columns, ceil_div(k1 - k0, 2), x.panel(0, k0),
             static_cast<const uint32_t*>(w.data) + unit.n0 * words + k0 / 2 * kGroup,
             words * kGroup, c, ldc, accumulate);
  }
};

template <class Pred>
bool all_of(std::span<const Weight> weights, Pred pred) {
  return std::all_of(weights.begin(), weights.end(), pred);
}

// Equal steps, or one where x is a single panel and the weight is read in place.
int64_t k_step(int64_t k, std::span<const Weight> weights, bool resident, bool one) {
  if (resident && one) return std::max<int64_t>(k, 1);
  if (!all_of(weights, [](const Weight& w) { return info(w.dtype).block == 1; })) return kBlockStep;
  const int64_t steps = std::max<int64_t>(1, ceil_div(k, resident ? kResidentStep : kMostStep));
  return std::max<int64_t>(kGroup, round_up(ceil_div(k, steps), kGroup));
}

}  // namespace

template <class T>
void product(const Activations<T>& x, std::span<const Weight> weights, T* y, int64_t ldy,
             bool gated) {
  if (x.m == 0) return;
  const GemmKernels& kernels = gemm_kernels();
  const Tiles<T, T, T>& tiles = tiles_of<T>(kernels);
  if constexpr (std::is_same_v<T, float>) {
    const bool pairs =
        all_of(weights, [](const Weight& w) { return w.form == Weight::Form::pairs; });
    if (pairs && x.m <= kernels.pairs.rows) {
      const Units units(weights, kernels.pairs.groups * kGroup, gated);
      const Cut cut =
          cut_product(x.m, units.count(), x.m, round_up(x.k, 2) + 2,
                      static_cast<double>(x.k) * static_cast<double>(units.count()) * 32);
      const PackedX<T> packed(kernels, x, kernels.pairs.rows, cut.k_step, x.k % 2);
      return run_product<T>(PairEngine(kernels, packed), cut, x.m, x.k, weights, units, y, ldy,
                            gated);
    }
  }
  const bool resident =
      all_of(weights, [](const Weight& w) { return w.form == Weight::Form::groups; });
  const int64_t step = k_step(x.k, weights, resident, x.m <= tiles.rows);
  const int64_t rows = kBlockBytes / (step * int64_t{sizeof(T)});
  const int64_t most_rows = resident ? std::max<int64_t>(rows, tiles.rows) : kRowBlock;
  const int64_t blocks = ceil_div(x.m, most_rows);
  const int64_t row_block = round_up(ceil_div(x.m, blocks), tiles.rows);
  const Units units(weights, tiles.groups * kGroup, gated);
  Cut cut = cut_product(x.m, units.count(), row_block, step,
                        static_cast<double>(x.m) * static_cast<double>(x.k) *
                            static_cast<double>(units.count()) * 16);
  int64_t grain = 1;
  if (resident && share_rows(cut, x.m, tiles.rows, weights[0])) grain = cut.row_block / tiles.rows;
  const PackedX<T> packed(kernels, x, tiles.rows, step, 0, grain);
  run_product<T>(DenseEngine<T>(kernels, packed), cut, x.m, x.k, weights, units, y, ldy, gated);
}

template void product<float>(const Activations<float>&, std::span<const Weight>, float*, int64_t,
                             bool);
template void product<double>(const Activations<double>&, std::span<const Weight>, double*, int64_t,
                              bool);

}  // namespace tallow::cpu
