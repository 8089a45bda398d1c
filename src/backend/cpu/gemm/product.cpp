// Products in f32 and f64: panels of any weight as groups of 16 interleaved rows.
#include <cstring>

#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kStep = 256;            // k of a strip of x, which stays in L1, and of panels
constexpr int64_t kResidentStep = 384;    // the same for weights that are packed
constexpr int64_t kStreamedStep = 1024;   // the same where such a weight is read only once
constexpr int64_t kFewTiles = 3;          // of the rows for which it is
constexpr int64_t kPanelBytes = 1 << 20;  // of a task's panels: half of an L2 cache
constexpr int64_t kGatedRows = 512;       // rows of a task that keeps the second product aside

template <class T>
const Tiles<T, T, T>& tiles_of(const GemmKernels& kernels) {
  if constexpr (std::is_same_v<T, float>) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

template <class Pred>
bool all_of(std::span<const Weight> weights, Pred pred) {
  return std::all_of(weights.begin(), weights.end(), pred);
}

bool in_groups(const Weight& w) { return w.form == Weight::Form::groups; }

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

// Makes the panel of a unit: its groups one after another, `stride` apart.
template <class T>
void make_panel(const GemmKernels& kernels, const Unit& unit, int64_t k0, int64_t k1, T* target,
                int64_t stride) {
  for (int64_t n = 0; n < unit.columns; n += kGroup, target += stride) {
    make_group(kernels, *unit.weight, unit.n0 + n, k0, k1, target);
  }
}

// A task's panels lie in L2, where they are made unless the weight is packed already; a strip of x
// as high as a tile lies in L1 and passes through all of them.
template <class T>
struct DenseEngine : Epilogue<T> {
  const GemmKernels& kernels;
  const Tiles<T, T, T>& tiles;
  const Activations<T>& x;

  DenseEngine(const GemmKernels& k, const Activations<T>& rows)
      : kernels(k), tiles(tiles_of<T>(k)), x(rows) {}

  int64_t group_stride(int64_t k) const { return round_up(k, 2) * kGroup; }
  void panels(const Panels& p) const {
    if (all_of(p.weights, in_groups)) return;
    const int64_t stride = group_stride(p.k1 - p.k0), size = stride * tiles.groups;
    const int64_t count = (p.last - p.first) * (p.gated ? 2 : 1);
    auto* memory = reinterpret_cast<T*>(scratch(Scratch::panel, count * size * int64_t{sizeof(T)}));
    p.each([&](const Unit& unit) {
      if (in_groups(*unit.weight)) return;
      make_panel(kernels, unit, p.k0, p.k1, memory + unit.place * size, stride);
    });
  }
  void strip(int64_t m0, int64_t m1, int64_t k0, int64_t k1) const {
    if (in_place()) return;
    const int64_t k = k1 - k0;
    auto* target = reinterpret_cast<T*>(
        scratch(Scratch::x, (k * (m1 - m0) + kPackSlack) * int64_t{sizeof(T)}));
    for (int64_t m = m0; m < m1; m += tiles.rows) {
      const int rows = static_cast<int>(std::min<int64_t>(tiles.rows, m1 - m));
      interleave<T>(kernels, rows, k, x.data + m * x.row_stride + k0 * x.k_stride, x.row_stride,
                    x.k_stride, target + (m - m0) * k, rows);
    }
  }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, T* c, int64_t ldc,
            bool accumulate) const {
    const Weight& weight = *unit.weight;
    const int64_t k = k1 - k0;
    const T* packed = in_place() ? x.data + k0 : reinterpret_cast<const T*>(scratch(Scratch::x, 0));
    int64_t stride = group_stride(k);
    const T* w =
        reinterpret_cast<const T*>(scratch(Scratch::panel, 0)) + unit.place * stride * tiles.groups;
    if (in_groups(weight)) {
      stride = weight.k * kGroup;
      w = static_cast<const T*>(weight.data) + unit.n0 * weight.k + k0 * kGroup;
    }
    for (int64_t m = m0; m < m1; m += tiles.rows) {
      const int rows = static_cast<int>(std::min<int64_t>(tiles.rows, m1 - m));
      run_tile(tiles, rows, unit.columns, k, packed + (m - m0) * k, w, stride, c + (m - m0) * ldc,
               ldc, accumulate);
    }
  }

 private:
  bool in_place() const { return x.m == 1 && x.k_stride == 1; }  // a row is a strip already
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

// Equal steps; of quantized rows, whole blocks.
int64_t k_step(int64_t k, std::span<const Weight> weights, int64_t most) {
  if (!all_of(weights, [](const Weight& w) { return info(w.dtype).block == 1; })) return kStep;
  const int64_t steps = std::max<int64_t>(1, ceil_div(k, most));
  return std::max<int64_t>(kGroup, round_up(ceil_div(k, steps), kGroup));
}

double multiplications(int64_t m, int64_t k, int64_t columns) {
  return static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(columns);
}

template <class T>
void product_dense(const GemmKernels& kernels, const Activations<T>& x,
                   std::span<const Weight> weights, T* y, int64_t ldy, bool gated) {
  const Tiles<T, T, T>& tiles = tiles_of<T>(kernels);
  const bool resident = all_of(weights, in_groups);
  const int64_t strip = std::min<int64_t>(x.m, tiles.rows);
  const bool streamed = resident && x.m <= kFewTiles * tiles.rows;
  int64_t most_k = resident ? kResidentStep : kStep;
  if (streamed) most_k = strip == x.m ? std::max<int64_t>(x.k, 1) : kStreamedStep;
  const int64_t step = k_step(x.k, weights, most_k);
  const int64_t width = tiles.groups * kGroup;
  const Units units(weights, width, gated);
  const double work = multiplications(x.m, x.k, units.count() * width);
  Cut cut = cut_product(x.m, units.count(), x.m, step, work);
  if (!streamed) {
    // In vector instructions: a tile takes `strip * groups` for each k, making a panel some 5 for
    // each group, and fetching a strip some 5 as well.
    const int64_t most = kPanelBytes / (step * width * int64_t{sizeof(T)}) / (gated ? 4 : 1);
    const double tile = static_cast<double>(strip) * static_cast<double>(tiles.groups);
    const double panel_cost = resident ? 0 : 8.0 * static_cast<double>(tiles.groups) / tile;
    cut = cut_strips(x.m, units.count(), most, strip, step, panel_cost, 8 / tile,
                     useful_threads(work / kGroup));
    if (gated && cut.row_block > kGatedRows) {
      cut.row_block = round_up(kGatedRows, strip);
      cut.tasks_m = ceil_div(x.m, cut.row_block);
    }
  }
  run_product<T>(DenseEngine<T>(kernels, x), cut, x.m, x.k, weights, units, y, ldy, gated);
}

}  // namespace

template <class T>
void make_group(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0, int64_t k1,
                T* target) {
  const int64_t k = k1 - k0;
  const int rows = static_cast<int>(std::min<int64_t>(kGroup, w.n - n0));
  if constexpr (std::is_same_v<T, float>) {
    if (w.form == Weight::Form::groups) {
      const float* from = static_cast<const float*>(w.data) + n0 * w.k + k0 * kGroup;
      std::memcpy(target, from, static_cast<size_t>(k * kGroup) * sizeof(float));
      return;
    }
    if (w.form == Weight::Form::pairs) {
      const int64_t words = round_up(w.k, 32) / 2;
      kernels.pairs_to_f32(static_cast<const uint32_t*>(w.data) + n0 * words + k0 / 2 * kGroup,
                           ceil_div(k, 2), target);
      return;
    }
    if (w.dtype != DType::f32) {
      auto* wide = reinterpret_cast<float*>(scratch(Scratch::rows, kGroup * k * 4));
      convert_rows(kernels, w, n0, rows, k0, k1, wide);
      return interleave<float>(kernels, rows, k, wide, k, 1, target, kGroup);
    }
  }
  interleave<T>(kernels, rows, k, static_cast<const T*>(w.data) + n0 * w.n_stride + k0 * w.k_stride,
                w.n_stride, w.k_stride, target, kGroup);
}

template <class T>
void product(const Activations<T>& x, std::span<const Weight> weights, T* y, int64_t ldy,
             bool gated) {
  if (x.m == 0) return;
  const GemmKernels& kernels = gemm_kernels();
  if constexpr (std::is_same_v<T, float>) {
    const bool pairs =
        all_of(weights, [](const Weight& w) { return w.form == Weight::Form::pairs; });
    if (pairs && x.m <= kernels.pairs.rows) {
      const Units units(weights, kernels.pairs.groups * kGroup, gated);
      const Cut cut = cut_product(x.m, units.count(), x.m, round_up(x.k, 2) + 2,
                                  multiplications(x.m, x.k, units.count() * 2 * kGroup));
      const PackedX<T> packed(kernels, x, kernels.pairs.rows, cut.k_step, x.k % 2);
      return run_product<T>(PairEngine(kernels, packed), cut, x.m, x.k, weights, units, y, ldy,
                            gated);
    }
    if (takes_thirds(x, weights) && product_thirds(kernels, x, weights, y, ldy, gated)) return;
  }
  product_dense(kernels, x, weights, y, ldy, gated);
}

template void product<float>(const Activations<float>&, std::span<const Weight>, float*, int64_t,
                             bool);
template void product<double>(const Activations<double>&, std::span<const Weight>, double*, int64_t,
                              bool);

}  // namespace tallow::cpu
