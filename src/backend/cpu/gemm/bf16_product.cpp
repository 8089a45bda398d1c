// Products in bf16 with f32 sums: on AMX tiles, or on AVX512-BF16 dot products. Quantized weights
// come as bf16 panels, dequantized on the way.
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kUnit = 2 * kGroup;
constexpr int64_t kMostPanels = 4;        // of 32 columns that a unit has
constexpr int64_t kSubBlock = 128;        // rows that go through all panels of a unit in turn
constexpr int64_t kRowBlock = 512;        // rows of x of a task
constexpr int64_t kBlockBytes = 5 << 18;  // and their bytes for one step of k: 5/8 of an L2
constexpr int64_t kStepMultiple = 256;    // the longest block of a quantized type
constexpr int64_t kPairStep = 512;        // k of a panel of dot products

struct PairPanel {
  const uint32_t* first;
  const uint32_t* second;  // the next 16 columns, where there are any
};

// 16 rows of bf16, k0 to k1, in pairs; zeros up to `words`.
void interleave_pairs(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0,
                      int64_t k1, int64_t words, uint32_t* target) {
  const int rows = static_cast<int>(std::min<int64_t>(kGroup, w.n - n0));
  const auto* source = static_cast<const uint16_t*>(w.data) + n0 * w.k + k0;
  const int64_t used = ceil_div(k1 - k0, 2);
  if (w.k % 2 == 0 && reinterpret_cast<uintptr_t>(source) % 4 == 0) {
    kernels.interleave_32(rows, used, reinterpret_cast<const uint32_t*>(source), w.k / 2, target,
                          kGroup);
  } else {
    auto* copy = reinterpret_cast<uint32_t*>(scratch(Scratch::rows, kGroup * used * 4));
    for (int r = 0; r < rows; ++r) {
      copy[r * used + used - 1] = 0;
      std::memcpy(copy + r * used, source + r * w.k, static_cast<size_t>(k1 - k0) * 2);
    }
    kernels.interleave_32(rows, used, copy, used, target, kGroup);
  }
  std::memset(target + used * kGroup, 0, static_cast<size_t>((words - used) * kGroup * 4));
}

// `target` has room for two groups, should the panel have to be made.
PairPanel pair_panel(const GemmKernels& kernels, const Unit& unit, int64_t k0, int64_t k1,
                     uint32_t* target) {
  const Weight& w = *unit.weight;
  if (w.form == Weight::Form::pairs) {
    const int64_t words = round_up(w.k, 32) / 2;
    const uint32_t* data = static_cast<const uint32_t*>(w.data) + unit.n0 * words + k0 / 2 * kGroup;
    return {data, unit.columns > kGroup ? data + words * kGroup : data};
  }
  const int64_t words = round_up(k1 - k0, 32) / 2;
  if (w.form == Weight::Form::blocks) {
    panel_bf16(*static_cast<const PackedBlocks*>(w.data), unit.n0, k0, k1,
               reinterpret_cast<uint16_t*>(target));
    return {target, target + words * kGroup};
  }
  interleave_pairs(kernels, w, unit.n0, k0, k1, words, target);
  if (unit.columns <= kGroup) return {target, target};
  interleave_pairs(kernels, w, unit.n0 + kGroup, k0, k1, words, target + words * kGroup);
  return {target, target + words * kGroup};
}

// x as [step][16 rows][k / 32][16][32] bf16.
class TiledX {
 public:
  TiledX(const Activations<float>& x, int64_t k_step)
      : x_(x), k_step_(k_step), tiles_(ceil_div(x.m, 16)) {
    const int64_t steps = ceil_div(x.k, k_step);
    data_ = reinterpret_cast<uint16_t*>(scratch(Scratch::x, tiles_ * 16 * round_up(x.k, 32) * 2));
    parallel_for(tiles_ * steps, x.m * x.k > 65536 ? 1 : tiles_ * steps,
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) pack(i % tiles_, i / tiles_ * k_step_);
                 });
  }
  const uint16_t* tile(int64_t t, int64_t k0) const {
    return data_ + k0 * tiles_ * 16 + t * 16 * round_up(std::min(k_step_, x_.k - k0), 32);
  }

 private:
  void pack(int64_t t, int64_t k0) const {
    const int rows = static_cast<int>(std::min<int64_t>(16, x_.m - t * 16));
    amx_pack(rows, std::min(k_step_, x_.k - k0), x_.data + t * 16 * x_.row_stride + k0,
             x_.row_stride, const_cast<uint16_t*>(tile(t, k0)));
  }
  Activations<float> x_;
  int64_t k_step_, tiles_;
  uint16_t* data_;
};

struct AmxEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const TiledX& x;

  AmxEngine(const GemmKernels& k, const TiledX& tiled) : kernels(k), x(tiled) {}
  void begin() const { amx_configure(); }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    const int64_t k = round_up(k1 - k0, 32), panels = ceil_div(unit.columns, kUnit);
    auto* memory = reinterpret_cast<uint32_t*>(scratch(Scratch::panel, panels * kUnit * k * 2));
    Part parts[kMostPanels];
    for (int64_t i = 0; i < panels; ++i) {
      parts[i].unit = {unit.weight, unit.n0 + i * kUnit, std::min(kUnit, unit.columns - i * kUnit),
                       0};
      parts[i].panel = pair_panel(kernels, parts[i].unit, k0, k1, memory + i * kUnit * k / 2);
    }
    for (int64_t m = m0; m < m1; m += kSubBlock) {
      for (int64_t i = 0; i < panels; ++i) {
        rows(parts[i], m, std::min(m1, m + kSubBlock), k0, k, c + (m - m0) * ldc + i * kUnit, ldc,
             accumulate);
      }
    }
  }

 private:
  struct Part {
    Unit unit;
    PairPanel panel;
  };

  // Rows [m0, m1) times one panel; tiles that stand out of c go through a buffer.
  void rows(const Part& part, int64_t m0, int64_t m1, int64_t k0, int64_t k, float* c, int64_t ldc,
            bool accumulate) const {
    const PairPanel& w = part.panel;
    const int64_t columns = part.unit.columns;
    // Tiles work in pairs: a row tile that stands out takes the one before it along.
    int64_t whole = columns == kUnit ? (m1 - m0) / 16 : 0;
    if ((m1 - m0) % 16) whole = whole / 2 * 2;
    if (whole) {
      amx_block({k, whole, x.tile(m0 / 16, k0), {w.first, w.second}, c, ldc, accumulate});
    }
    alignas(64) float edge[2 * 16 * kUnit];
    for (int64_t m = m0 + whole * 16; m < m1; m += 32) {
      const int64_t count = std::min<int64_t>(32, m1 - m);
      amx_block(
          {k, ceil_div(count, 16), x.tile(m / 16, k0), {w.first, w.second}, edge, kUnit, false});
      for (int64_t i = 0; i < count; ++i) {
        float* to = c + (m - m0 + i) * ldc;
        if (!accumulate) {
          std::memcpy(to, edge + i * kUnit, static_cast<size_t>(columns) * sizeof(float));
          continue;
        }
        for (int64_t j = 0; j < columns; ++j) to[j] += edge[i * kUnit + j];
      }
    }
  }
};

struct DotEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const PackedX<uint32_t>& x;

  DotEngine(const GemmKernels& k, const PackedX<uint32_t>& packed) : kernels(k), x(packed) {}
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    auto* memory =
        reinterpret_cast<uint32_t*>(scratch(Scratch::panel, kUnit * round_up(k1 - k0, 32) * 2));
    const PairPanel w = pair_panel(kernels, unit, k0, k1, memory);
    for (int64_t m = m0; m < m1; m += bf16_tiles.rows) {
      const int64_t p = m / bf16_tiles.rows;
      run_tile(bf16_tiles, x.rows(p), unit.columns, ceil_div(k1 - k0, 2), x.panel(p, k0 / 2),
               w.first, w.second - w.first, c + (m - m0) * ldc, ldc, accumulate);
    }
  }
};

double work_of(const Activations<float>& x, const Units& units) {
  return static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(units.count());
}

// The widest unit that does not leave one thread with more columns than another needs to have.
int64_t unit_width(std::span<const Weight> weights) {
  const int64_t threads = num_threads(), columns = weights[0].n;
  int64_t best = kUnit, least = columns;
  for (int64_t width = kUnit; width <= kMostPanels * kUnit; width += kUnit) {
    const int64_t share = std::min(columns, ceil_div(ceil_div(columns, width), threads) * width);
    if (share <= least) best = width, least = share;
  }
  return best;
}

void product_amx(const GemmKernels& kernels, const Activations<float>& x,
                 std::span<const Weight> weights, float* y, int64_t ldy, bool gated) {
  const Units units(weights, unit_width(weights), gated);
  const int64_t k = std::max<int64_t>(x.k, 1);
  const int64_t pieces = ceil_div(std::min(x.m, kRowBlock) * k * 2, kBlockBytes);
  const int64_t step = round_up(ceil_div(k, pieces), kStepMultiple);
  const Cut cut = cut_product(x.m, units.count(), kRowBlock, step, work_of(x, units));
  const TiledX tiled(x, step);
  run_product<float>(AmxEngine(kernels, tiled), cut, x.m, x.k, weights, units, y, ldy, gated);
}

// Rows of x in bf16, an even number of elements each.
Activations<uint32_t> rows_in_pairs(const Activations<float>& x) {
  const int64_t words = ceil_div(x.k, 2);
  auto* rows = reinterpret_cast<uint32_t*>(scratch(Scratch::tile, x.m * words * 4));
  parallel_for(x.m, x.m * x.k > 65536 ? 16 : x.m, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      auto* row = reinterpret_cast<uint16_t*>(rows + i * words);
      if (x.k % 2) row[x.k] = 0;
      f32_to_bf16_rne(x.data + i * x.row_stride, row, x.k);
    }
  });
  return {rows, x.m, words, words, 1};
}

void product_dot(const GemmKernels& kernels, const Activations<float>& x,
                 std::span<const Weight> weights, float* y, int64_t ldy, bool gated) {
  const Units units(weights, kUnit, gated);
  const Cut cut = cut_product(x.m, units.count(), 768, kPairStep, work_of(x, units));
  const PackedX<uint32_t> packed(kernels, rows_in_pairs(x), bf16_tiles.rows, kPairStep / 2, 0);
  run_product<float>(DotEngine(kernels, packed), cut, x.m, x.k, weights, units, y, ldy, gated);
}

}  // namespace

bool has_bf16_product() { return isa() >= Isa::avx512_bf16; }

void product_bf16(const Activations<float>& x, std::span<const Weight> weights, float* y,
                  int64_t ldy, bool gated) {
  if (x.m == 0) return;
  const GemmKernels& kernels = gemm_kernels();
  if (isa() == Isa::amx) {
    product_amx(kernels, x, weights, y, ldy, gated);
  } else {
    product_dot(kernels, x, weights, y, ldy, gated);
  }
}

}  // namespace tallow::cpu
