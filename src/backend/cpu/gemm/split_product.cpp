// Products of f32 on AMX tiles of bf16 thirds (thirds.h): a task's panels of the weight are split
// once and stay in L2, and strips of 32 rows of x are split as they pass through them.
//
// Thirds carry neither infinities nor, in full, the least of magnitudes: where x or the weight has
// no others, or their sums may overflow, the product is made again in f32.
#include <algorithm>
#include <atomic>
#include <bit>

#include "backend/cpu/gemm/panels.h"
#include "backend/cpu/gemm/thirds.h"

namespace tallow::cpu {

#if defined(__x86_64__)
namespace {

constexpr int64_t kStep = 128;            // of k: a strip and a panel lie in L1
constexpr int64_t kLongStep = 512;        // the same where x is read for few units: long runs of it
constexpr int64_t kFewUnits = 2;          // for which it is
constexpr int64_t kPanelBytes = 1 << 20;  // of a task's panels: half of an L2 cache
constexpr int64_t kGatedRows = 512;       // rows of a task that keeps the second product aside
constexpr int64_t kLeastRows = 24;        // for which splitting panels is repaid

int64_t steps_of(int64_t k) { return ceil_div(k, kSplitDepth); }

// The largest magnitude that threads have seen, by its bits.
class Largest {
 public:
  void raise(uint32_t bits) {
    uint32_t seen = bits_.load(std::memory_order_relaxed);
    while (bits > seen && !bits_.compare_exchange_weak(seen, bits, std::memory_order_relaxed)) {
    }
  }
  double value() const { return std::bit_cast<float>(bits_.load(std::memory_order_relaxed)); }

 private:
  std::atomic<uint32_t> bits_ = 0;
};

struct SplitEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const Activations<float>& x;
  Largest &largest_x, &largest_w;
  int64_t ahead_rows;  // of the next strip, which each unit's product brings near

  SplitEngine(const GemmKernels& k, const Activations<float>& rows, Largest& of_x, Largest& of_w,
              int64_t ahead)
      : kernels(k), x(rows), largest_x(of_x), largest_w(of_w), ahead_rows(ahead) {}
  void begin() const { amx_configure(); }

  void panels(const Panels& p) const {
    const int64_t size = steps_of(p.k1 - p.k0) * kSplitTile;
    const int64_t count = (p.last - p.first) * (p.gated ? 4 : 2);
    auto* memory = reinterpret_cast<uint16_t*>(scratch(Scratch::panel, count * size * 2));
    uint32_t largest = 0;
    p.each([&](const Unit& unit) {
      for (int64_t n = 0; n < unit.columns; n += kGroup) {
        split_group(unit, n, p.k0, p.k1, memory + (2 * unit.place + n / kGroup) * size, &largest);
      }
    });
    largest_w.raise(largest);
  }

  void strip(int64_t m0, int64_t m1, int64_t k0, int64_t k1) const {
    const int64_t size = steps_of(k1 - k0) * kSplitTile;
    auto* target = reinterpret_cast<uint16_t*>(scratch(Scratch::x, 2 * size * 2));
    uint32_t largest = 0;
    for (int64_t m = m0; m < m1; m += kGroup, target += size) {
      const int rows = static_cast<int>(std::min<int64_t>(kGroup, m1 - m));
      const float* from = x.data + m * x.row_stride + k0 * x.k_stride;
      if (x.k_stride == 1) {
        split_rows(from, x.row_stride, rows, k1 - k0, target, &largest);
      } else {
        split_columns(from, rows, k1 - k0, target, &largest);
      }
    }
    largest_x.raise(largest);
  }

  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    bring_near(m1 + unit.place * ahead_rows, k0, k1);
    const int64_t rows = m1 - m0, steps = steps_of(k1 - k0), size = steps * kSplitTile;
    const auto* w = reinterpret_cast<const uint16_t*>(scratch(Scratch::panel, 0));
    const auto* strip = reinterpret_cast<const uint16_t*>(scratch(Scratch::x, 0));
    w += 2 * unit.place * size;
    SplitProduct product{.steps = steps,
                         .rows = {strip, strip + size},
                         .lanes = {w, w + size},
                         .c = c,
                         .row_tiles = rows > kGroup ? 2 : 1,
                         .lane_tiles = unit.columns > kGroup ? 2 : 1,
                         .ldc = ldc};
    const bool whole = rows % kGroup == 0 && unit.columns % kGroup == 0;
    if (whole && !accumulate) return split_product(product);
    alignas(64) float sums[kSplitWidth * kSplitWidth];
    product.c = sums, product.ldc = kSplitWidth;
    split_product(product);
    // Sums of steps are added one by one, which rounds less than one long sum.
    if (accumulate) return add_sums(sums, rows, unit.columns, c, ldc);
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(sums + r * kSplitWidth, unit.columns, c + r * ldc);
    }
  }

 private:
  void bring_near(int64_t m, int64_t k0, int64_t k1) const {
    if (x.k_stride != 1) return;
    for (const int64_t end = std::min(x.m, m + ahead_rows); m < end; ++m) {
      const float* row = x.data + m * x.row_stride;
      for (int64_t k = k0; k < k1; k += 16) __builtin_prefetch(row + k, 0, 2);
    }
  }

  // 16 columns of a unit from the n-th on.
  void split_group(const Unit& unit, int64_t n, int64_t k0, int64_t k1, uint16_t* target,
                   uint32_t* largest) const {
    const Weight& w = *unit.weight;
    const int64_t n0 = unit.n0 + n;
    const auto* data = static_cast<const float*>(w.data);
    if (w.form == Weight::Form::groups) {
      return split_lanes(data + n0 * w.k + k0 * kGroup, kGroup, k1 - k0, target, largest);
    }
    if (w.dtype == DType::f32 && w.n_stride == 1 && n0 + kGroup <= w.n) {
      return split_lanes(data + n0 + k0 * w.k_stride, w.k_stride, k1 - k0, target, largest);
    }
    auto* wide = reinterpret_cast<float*>(scratch(Scratch::weight, (k1 - k0) * kGroup * 4));
    make_group(kernels, w, n0, k0, k1, wide);
    split_lanes(wide, kGroup, k1 - k0, target, largest);
  }

  // x whose columns have no gaps, or no stride of 1 at all.
  void split_columns(const float* from, int rows, int64_t k, uint16_t* target,
                     uint32_t* largest) const {
    alignas(64) float tile[kGroup * kSplitDepth];
    for (int64_t j = 0; j < k; j += kSplitDepth, target += kSplitTile) {
      const int64_t columns = std::min<int64_t>(kSplitDepth, k - j);
      for (int64_t i = 0; i < columns; i += kGroup) {
        const int count = static_cast<int>(std::min<int64_t>(kGroup, columns - i));
        // Sixteen of k as rows: interleaving turns them around.
        interleave<float>(kernels, count, rows, from + (j + i) * x.k_stride, x.k_stride,
                          x.row_stride, tile + i, kSplitDepth);
      }
      split_rows(tile, kSplitDepth, rows, columns, target, largest);
    }
  }
};

bool packed(const Weight& w) { return w.form == Weight::Form::groups; }

double padding(int64_t size, int64_t tile) {
  return static_cast<double>(round_up(size, tile)) / static_cast<double>(size);
}

}  // namespace

bool thirds_carry(double x, double w, int64_t k) {
  constexpr double kTiny = 0x1p-100;  // the third of what is smaller may be lost
  if (!(x * w * static_cast<double>(k) < 0x1p127)) return false;
  return x == 0 || w == 0 || (x >= kTiny && w >= kTiny && x * w >= kTiny);
}

bool takes_thirds(const Activations<float>& x, std::span<const Weight> weights) {
  constexpr double kMostPadding = 1.6;  // of what tiles are faster
  if (isa() != Isa::amx || x.m < kLeastRows || x.k == 0) return false;
  // Packed weights may come in slices, which must round as the whole: their number of columns
  // decides nothing.
  double columns = 0, padded = 0;
  for (const Weight& w : weights) {
    if (w.form != Weight::Form::rows && w.form != Weight::Form::groups) return false;
    columns += static_cast<double>(w.n);
    padded += static_cast<double>(packed(w) ? w.n : round_up(w.n, kGroup));
  }
  return padded * padding(x.m, kGroup) * padding(x.k, kSplitDepth) <= kMostPadding * columns;
}

bool product_thirds(const GemmKernels& kernels, const Activations<float>& x,
                    std::span<const Weight> weights, float* y, int64_t ldy, bool gated) {
  const Units units(weights, kSplitWidth, gated);
  const bool few = units.count() <= kFewUnits && !packed(weights[0]);
  const int64_t step = few ? kLongStep : kStep;
  const int64_t unit_bytes = steps_of(std::min(x.k, step)) * kSplitTile * 4;
  const double work = static_cast<double>(x.m) * static_cast<double>(x.k) *
                      static_cast<double>(units.count() * kSplitWidth);
  // Splitting 32 rows or columns takes nearly as long as multiplying them.
  Cut cut = cut_strips(x.m, units.count(), kPanelBytes / unit_bytes / (gated ? 4 : 1), kSplitWidth,
                       step, 0.9, 0.8, useful_threads(work / 32));
  if (gated && cut.row_block > kGatedRows) {
    cut.row_block = kGatedRows, cut.tasks_m = ceil_div(x.m, kGatedRows);
  }
  const int64_t ahead = ceil_div(kSplitWidth, ceil_div(units.count(), cut.tasks_n));
  Largest largest_x, largest_w;
  run_product<float>(SplitEngine(kernels, x, largest_x, largest_w, ahead), cut, x.m, x.k, weights,
                     units, y, ldy, gated);
  return thirds_carry(largest_x.value(), largest_w.value(), x.k);
}

#else

bool takes_thirds(const Activations<float>&, std::span<const Weight>) { return false; }
bool product_thirds(const GemmKernels&, const Activations<float>&, std::span<const Weight>, float*,
                    int64_t, bool) {
  return false;
}

#endif

}  // namespace tallow::cpu
