// Products in bf16 with f32 sums: on AMX tiles, or on AVX512-BF16 dot products. Quantized weights
// come as bf16 panels, dequantized on the way.
#include "backend/cpu/gemm/amx_product.h"
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kMostPanels = 16;       // of 32 columns that a unit of resident weights has
constexpr int64_t kMostMade = 4;          // the same where panels are made on the way
constexpr int64_t kResidentRows = 256;    // rows of a task: with their x and sums half of an L2
constexpr int64_t kRowBlock = 512;        // the same where panels are made, for their reuse
constexpr int64_t kBlockBytes = 5 << 18;  // of x for one step of k: 5/8 of an L2
constexpr int64_t kTileStep = 288;        // k of 32 rows and 32 columns that share an L1 cache
constexpr int64_t kWholeStep = 640;       // up to here k stays in one piece, without sums
constexpr int64_t kStepMultiple = 256;    // the longest block of a quantized type
constexpr int64_t kPairStep = 512;        // k of a panel of dot products

// x as [step][16 rows][k / 32][16][32] bf16.
class TiledX {
 public:
  TiledX(const GemmKernels& kernels, const Bf16Rows& x, int64_t k_step, int64_t grain)
      : kernels_(kernels), x_(x), k_step_(k_step), tiles_(ceil_div(x.m, 16)) {
    const int64_t steps = ceil_div(x.k, k_step);
    data_ = reinterpret_cast<uint16_t*>(scratch(Scratch::x, tiles_ * 16 * round_up(x.k, 32) * 2));
    parallel_for(tiles_, x.m * x.k > 65536 ? grain : tiles_, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        for (int64_t s = 0; s < steps; ++s) pack(t, s * k_step_);
      }
    });
  }
  const uint16_t* tile(int64_t t, int64_t k0) const {
    return data_ + k0 * tiles_ * 16 + t * 16 * round_up(std::min(k_step_, x_.k - k0), 32);
  }
  int64_t k_step() const { return k_step_; }

 private:
  void pack(int64_t t, int64_t k0) const {
    const int rows = static_cast<int>(std::min<int64_t>(16, x_.m - t * 16));
    pack_tiles(kernels_, x_, t * 16, rows, k0, std::min(k_step_, x_.k - k0),
               const_cast<uint16_t*>(tile(t, k0)));
  }
  const GemmKernels& kernels_;
  Bf16Rows x_;
  int64_t k_step_, tiles_;
  uint16_t* data_;
};

// A unit goes through k in steps of x's tiles, so that the 32 rows and 32 columns of a product lie
// in L1; the sums wait in L2, 32 columns wide, until the last step writes them to c.
struct AmxEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const TiledX& x;

  AmxEngine(const GemmKernels& k, const TiledX& tiled) : kernels(k), x(tiled) {}
  void begin() const { amx_configure(); }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    const int64_t k = round_up(k1 - k0, 32), panels = ceil_div(unit.columns, kPairUnit);
    const int64_t sums_size = round_up(m1 - m0, 32) * kPairUnit;
    auto* sums = reinterpret_cast<float*>(scratch(Scratch::tile, panels * sums_size * 4));
    Strip strips[kMostPanels];
    uint32_t* made = nullptr;
    if (unit.weight->form != Weight::Form::pairs) {
      made = reinterpret_cast<uint32_t*>(scratch(Scratch::panel, panels * kPairUnit * k * 2));
    }
    for (int64_t i = 0; i < panels; ++i) {
      const Unit part{unit.weight, unit.n0 + i * kPairUnit,
                      std::min(kPairUnit, unit.columns - i * kPairUnit), 0, 0};
      uint32_t* memory = made ? made + i * kPairUnit * k / 2 : nullptr;
      strips[i] = {pair_panel(kernels, part, k0, k1, memory), part.columns, c + i * kPairUnit, ldc,
                   sums + i * sums_size};
    }
    for (int64_t at = k0; at == k0 || at < k1; at += x.k_step()) {
      const Step step{k0, at, std::min(k1, at + x.k_step()), at + x.k_step() >= k1, accumulate};
      for (int64_t i = 0; i < panels; ++i) multiply(strips[i], m0, m1, step);
    }
  }

 private:
  struct Strip {
    PairPanel panel;
    int64_t columns;
    float* c;
    int64_t ldc;
    float* sums;
  };
  struct Step {
    int64_t panel_k0, k0, k1;  // the panel begins at panel_k0
    bool last, accumulate;
    bool first() const { return k0 == panel_k0; }
  };

  // Rows [m0, m1) times one step of a panel; tiles that stand out of c end in the sums.
  void multiply(const Strip& s, int64_t m0, int64_t m1, const Step& step) const {
    const int64_t offset = (step.k0 - step.panel_k0) / 2 * kGroup;
    AmxBlock block{.k = round_up(step.k1 - step.k0, 32),
                   .w = {s.panel.first + offset, s.panel.second + offset}};
    block.x_tile = 16 * block.k;
    // Tiles work in pairs: a row tile that stands out takes the one before it along.
    int64_t whole = s.columns == kPairUnit ? (m1 - m0) / 16 : 0;
    if ((m1 - m0) % 16) whole = whole / 2 * 2;
    if (whole) {
      block.row_tiles = whole, block.x = x.tile(m0 / 16, step.k0);
      block.from = !step.first() ? s.sums : step.accumulate ? s.c : nullptr;
      block.from_ld = step.first() ? s.ldc : kPairUnit;
      block.to = step.last ? s.c : s.sums;
      block.to_ld = step.last ? s.ldc : kPairUnit;
      block.fetch = block.to != block.from;
      amx_block(block);
      block.fetch = false;
    }
    const int64_t rest = m1 - m0 - whole * 16;
    if (!rest) return;
    float* sums = s.sums + whole * 16 * kPairUnit;
    float* c = s.c + whole * 16 * s.ldc;
    const size_t bytes = static_cast<size_t>(s.columns) * sizeof(float);
    const bool begin_with_c = step.first() && step.accumulate;
    for (int64_t i = 0; begin_with_c && i < rest; ++i) {
      std::memcpy(sums + i * kPairUnit, c + i * s.ldc, bytes);
    }
    block.row_tiles = ceil_div(rest, 16), block.x = x.tile(m0 / 16 + whole, step.k0);
    block.from = step.first() && !step.accumulate ? nullptr : sums;
    block.to = sums;
    block.from_ld = block.to_ld = kPairUnit;
    amx_block(block);
    if (!step.last) return;
    for (int64_t i = 0; i < rest; ++i) std::memcpy(c + i * s.ldc, sums + i * kPairUnit, bytes);
  }
};

struct DotEngine : Epilogue<float> {
  const GemmKernels& kernels;
  const PackedX<uint32_t>& x;

  DotEngine(const GemmKernels& k, const PackedX<uint32_t>& packed) : kernels(k), x(packed) {}
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    auto* memory =
        reinterpret_cast<uint32_t*>(scratch(Scratch::panel, kPairUnit * round_up(k1 - k0, 32) * 2));
    if (in_columns(*unit.weight)) zip_panels(unit, k0, k1, memory);
    const PairPanel w = pair_panel(kernels, unit, k0, k1, memory);
    for (int64_t m = m0; m < m1; m += bf16_tiles.rows) {
      const int64_t p = m / bf16_tiles.rows;
      run_tile(bf16_tiles, x.rows(p), unit.columns, ceil_div(k1 - k0, 2), x.panel(p, k0 / 2),
               w.first, w.second - w.first, c + (m - m0) * ldc, ldc, accumulate);
    }
  }
};

double work_of(const Bf16Rows& x, const Units& units) {
  return static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(units.count());
}

void product_amx(const GemmKernels& kernels, const Bf16Rows& x, std::span<const Weight> weights,
                 float* y, int64_t ldy, bool gated) {
  if (weights.size() == 1 && weights[0].form == Weight::Form::rows) {
    return product_strips(kernels, x, weights[0], y, ldy);
  }
  const int64_t k = std::max<int64_t>(x.k, 1);
  const bool resident = std::all_of(weights.begin(), weights.end(),
                                    [](const Weight& w) { return w.form == Weight::Form::pairs; });
  const bool sums = resident && k > kWholeStep;  // many columns reuse the x of a step
  const int64_t pieces = resident ? 1 : ceil_div(std::min(x.m, kRowBlock) * k * 2, kBlockBytes);
  const Units units(weights, unit_width(weights, sums ? kMostPanels : kMostMade), gated);
  const int64_t step = round_up(ceil_div(k, pieces), kStepMultiple);
  Cut cut =
      cut_product(x.m, units.count(), sums ? kResidentRows : kRowBlock, step, work_of(x, units));
  int64_t grain = 1;
  if (resident && share_rows(cut, x.m, 32, weights[0])) grain = cut.row_block / 16;
  const int64_t x_step = k <= kWholeStep ? round_up(k, 32) : tile_step(k, kTileStep);
  const TiledX tiled(kernels, x, pieces == 1 ? x_step : kStepMultiple, grain);
  run_product<float>(AmxEngine(kernels, tiled), cut, x.m, x.k, weights, units, y, ldy, gated);
}

// Rows of x in bf16, an even number of elements each.
Activations<uint32_t> rows_in_pairs(const Bf16Rows& x) {
  const int64_t words = ceil_div(x.k, 2);
  auto* rows = reinterpret_cast<uint32_t*>(scratch(Scratch::tile, x.m * words * 4));
  parallel_for(x.m, x.m * x.k > 65536 ? 16 : x.m, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      auto* row = reinterpret_cast<uint16_t*>(rows + i * words);
      if (x.k % 2) row[x.k] = 0;
      if (x.dtype == DType::f32) {
        f32_to_bf16_rne(static_cast<const float*>(x.data) + i * x.row_stride, row, x.k);
        continue;
      }
      const auto* from = static_cast<const uint16_t*>(x.data) + i * x.row_stride;
      for (int64_t j = 0; j < x.k; ++j) row[j] = from[j * x.k_stride];
    }
  });
  return {rows, x.m, words, words, 1};
}

void product_dot(const GemmKernels& kernels, const Bf16Rows& x, std::span<const Weight> weights,
                 float* y, int64_t ldy, bool gated) {
  const Units units(weights, kPairUnit, gated);
  const Cut cut = cut_product(x.m, units.count(), 768, kPairStep, work_of(x, units));
  const PackedX<uint32_t> packed(kernels, rows_in_pairs(x), bf16_tiles.rows, kPairStep / 2, 0);
  run_product<float>(DotEngine(kernels, packed), cut, x.m, x.k, weights, units, y, ldy, gated);
}

}  // namespace

bool has_bf16_product() { return isa() >= Isa::avx512_bf16; }

bool streams_weight(const Bf16Rows& x, const Weight& weight) {
  return isa() == Isa::amx && turns(x, weight);
}

void product_bf16(const Bf16Rows& x, std::span<const Weight> weights, float* y, int64_t ldy,
                  bool gated) {
  if (x.m == 0) return;
  const GemmKernels& kernels = gemm_kernels();
  if (isa() == Isa::amx) {
    product_amx(kernels, x, weights, y, ldy, gated);
  } else {
    product_dot(kernels, x, weights, y, ldy, gated);
  }
}

void product_bf16(const Bf16Rows& x, const Weight& weight, uint16_t* y, int64_t ldy) {
  if (x.m == 0) return;
  if (isa() == Isa::amx) return product_strips(gemm_kernels(), x, weight, y, ldy);
  auto* wide = reinterpret_cast<float*>(scratch(Scratch::up, x.m * weight.n * 4));
  product_dot(gemm_kernels(), x, {&weight, 1}, wide, weight.n, false);
  store_bf16(wide, weight.n, x.m, weight.n, nullptr, y, ldy);
}

}  // namespace tallow::cpu
