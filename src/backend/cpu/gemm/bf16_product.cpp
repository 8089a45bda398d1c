// Products in bf16 with f32 sums: on AMX tiles, or on AVX512-BF16 dot products. Quantized weights
// come as bf16 panels, dequantized on the way.
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kUnit = 2 * kGroup;
constexpr int64_t kMostPanels = 16;       // of 32 columns that a unit of resident weights has
constexpr int64_t kMostMade = 4;          // the same where panels are made on the way
constexpr int64_t kMadeBytes = 1 << 19;   // of panels that are made of columns at once
constexpr int64_t kResidentRows = 256;    // rows of a task: with their x and sums half of an L2
constexpr int64_t kRowBlock = 512;        // the same where panels are made, for their reuse
constexpr int64_t kBlockBytes = 5 << 18;  // of x for one step of k: 5/8 of an L2
constexpr int64_t kTileStep = 288;        // k of 32 rows and 32 columns that share an L1 cache
constexpr int64_t kWholeStep = 640;       // up to here k stays in one piece, without sums
constexpr int64_t kNarrowStep = 320;      // the same for results in bf16, which have sums anyway
constexpr int64_t kNarrowRows = 128;      // rows of those whose sums lie in an L1 cache
constexpr int64_t kStepMultiple = 256;    // the longest block of a quantized type
constexpr int64_t kPairStep = 512;        // k of a panel of dot products

struct PairPanel {
  const uint32_t* first;
  const uint32_t* second;  // the next 16 columns, where there are any
};

// 16 columns of a weight of bf16, k0 to k1, in pairs; zeros up to `words`.
void interleave_pairs(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0,
                      int64_t k1, int64_t words, uint32_t* target) {
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

bool in_columns(const Weight& w) { return w.form == Weight::Form::rows && w.k_stride != 1; }

// All panels of a unit at once from a weight [k][n], some rows at a time, so that whole runs of
// memory are read.
void zip_panels(const Unit& unit, int64_t k0, int64_t k1, uint32_t* target) {
  constexpr int64_t kRows = 32;
  const Weight& w = *unit.weight;
  const int64_t words = round_up(k1 - k0, 32) / 2;
  for (int64_t k = k0; k < k1; k += kRows) {
    const auto* row = static_cast<const uint16_t*>(w.data) + unit.n0 + k * w.k_stride;
    const int64_t count = std::min(kRows, k1 - k);
    uint32_t* to = target + (k - k0) / 2 * kGroup;
    for (int64_t n = 0; n < unit.columns; n += kUnit, row += kUnit, to += 2 * words * kGroup) {
      const int columns = static_cast<int>(std::min(kUnit, unit.columns - n));
      zip_pairs(columns, count, row, w.k_stride, to, to + words * kGroup);
      const int64_t rest = (kRows / 2 - ceil_div(count, 2)) * kGroup;
      if (rest == 0) continue;
      std::memset(to + kRows / 2 * kGroup - rest, 0, static_cast<size_t>(rest) * 4);
      std::memset(to + (words + kRows / 2) * kGroup - rest, 0, static_cast<size_t>(rest) * 4);
    }
  }
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
  if (in_columns(w)) return {target, target + words * kGroup};  // zip_panels has made it
  interleave_pairs(kernels, w, unit.n0, k0, k1, words, target);
  if (unit.columns <= kGroup) return {target, target};
  interleave_pairs(kernels, w, unit.n0 + kGroup, k0, k1, words, target + words * kGroup);
  return {target, target + words * kGroup};
}

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
    const int64_t k = std::min(k_step_, x_.k - k0);
    const int64_t offset = t * 16 * x_.row_stride + k0 * x_.k_stride;
    auto* target = const_cast<uint16_t*>(tile(t, k0));
    if (x_.dtype == DType::f32) {
      amx_pack(rows, k, static_cast<const float*>(x_.data) + offset, x_.row_stride, target);
    } else if (x_.k_stride == 1) {
      amx_pack(rows, k, static_cast<const uint16_t*>(x_.data) + offset, x_.row_stride, target);
    } else {
      transpose(rows, k, static_cast<const uint16_t*>(x_.data) + offset, target);
    }
  }
  // Columns in memory: their pairs, then those transposed.
  void transpose(int rows, int64_t k, const uint16_t* source, uint16_t* target) const {
    for (int64_t j = 0; j < k; j += 32, source += 32 * x_.k_stride, target += 512) {
      alignas(64) uint32_t pairs[256] = {};
      zip_pairs(rows, std::min<int64_t>(32, k - j), source, x_.k_stride, pairs);
      kernels_.interleave_32(16, 16, pairs, 16, reinterpret_cast<uint32_t*>(target), kGroup);
    }
  }
  const GemmKernels& kernels_;
  Bf16Rows x_;
  int64_t k_step_, tiles_;
  uint16_t* data_;
};

// A unit goes through k in steps of x's tiles, so that the 32 rows and 32 columns of a product lie
// in L1; the sums wait in L2, 32 columns wide, until the last step writes them to c.
// T is y's type; sums of bf16 results wait to the end, and are rounded with their bias.
template <class T>
struct AmxEngine : Epilogue<T> {
  static constexpr bool kNarrow = sizeof(T) == 2;
  const GemmKernels& kernels;
  const TiledX& x;

  AmxEngine(const GemmKernels& k, const TiledX& tiled) : kernels(k), x(tiled) {}
  void begin() const { amx_configure(); }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, T* c, int64_t ldc,
            bool accumulate) const {
    const int64_t k = round_up(k1 - k0, 32), panels = ceil_div(unit.columns, kUnit);
    const int64_t sums_size = kNarrow ? 0 : round_up(m1 - m0, 32) * kUnit;
    auto* sums = reinterpret_cast<float*>(
        scratch(Scratch::tile, kNarrow ? kNarrowRows * kUnit * 4 : panels * sums_size * 4));
    Strip strips[kMostPanels];
    uint32_t* made = nullptr;
    if (unit.weight->form != Weight::Form::pairs) {
      made = reinterpret_cast<uint32_t*>(scratch(Scratch::panel, panels * kUnit * k * 2));
      if (in_columns(*unit.weight)) zip_panels(unit, k0, k1, made);
    }
    for (int64_t i = 0; i < panels; ++i) {
      const Unit part{unit.weight, unit.n0 + i * kUnit, std::min(kUnit, unit.columns - i * kUnit),
                      0};
      uint32_t* memory = made ? made + i * kUnit * k / 2 : nullptr;
      const auto* bias = static_cast<const float*>(unit.weight->bias);
      strips[i] = {pair_panel(kernels, part, k0, k1, memory),
                   part.columns,
                   c + i * kUnit,
                   ldc,
                   sums + i * sums_size,
                   bias ? bias + part.n0 : nullptr};
    }
    const auto step_at = [&](int64_t at) {
      return Step{k0, at, std::min(k1, at + x.k_step()), at + x.k_step() >= k1, accumulate};
    };
    if constexpr (kNarrow) {  // the sums of some rows of one panel, which lie in L1
      for (int64_t i = 0; i < panels; ++i) {
        for (int64_t m = m0; m < m1; m += kNarrowRows) {
          Strip part = strips[i];
          part.c += (m - m0) * ldc;
          for (int64_t at = k0; at == k0 || at < k1; at += x.k_step()) {
            multiply(part, m, std::min(m1, m + kNarrowRows), step_at(at));
          }
        }
      }
      return;
    }
    for (int64_t at = k0; at == k0 || at < k1; at += x.k_step()) {
      for (int64_t i = 0; i < panels; ++i) multiply(strips[i], m0, m1, step_at(at));
    }
  }

 private:
  struct Strip {
    PairPanel panel;
    int64_t columns;
    T* c;
    int64_t ldc;
    float* sums;
    const float* bias;
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
    // Tiles work in pairs: a row tile that stands out takes the one before it along.
    int64_t whole = s.columns == kUnit ? (m1 - m0) / 16 : 0;
    if ((m1 - m0) % 16) whole = whole / 2 * 2;
    if constexpr (kNarrow) {
      whole = 0;
    } else if (whole) {
      block.row_tiles = whole, block.x = x.tile(m0 / 16, step.k0);
      block.from = !step.first() ? s.sums : step.accumulate ? s.c : nullptr;
      block.from_ld = step.first() ? s.ldc : kUnit;
      block.to = step.last ? s.c : s.sums;
      block.to_ld = step.last ? s.ldc : kUnit;
      amx_block(block);
    }
    const int64_t rest = m1 - m0 - whole * 16;
    if (!rest) return;
    float* sums = s.sums + whole * 16 * kUnit;
    T* c = s.c + whole * 16 * s.ldc;
    const size_t bytes = static_cast<size_t>(s.columns) * sizeof(float);
    const bool begin_with_c = !kNarrow && step.first() && step.accumulate;
    for (int64_t i = 0; begin_with_c && i < rest; ++i) {
      std::memcpy(sums + i * kUnit, c + i * s.ldc, bytes);
    }
    block.row_tiles = ceil_div(rest, 16), block.x = x.tile(m0 / 16 + whole, step.k0);
    block.from = step.first() && !step.accumulate ? nullptr : sums;
    block.to = sums;
    block.from_ld = block.to_ld = kUnit;
    amx_block(block);
    if (!step.last) return;
    if constexpr (kNarrow) {
      store_bf16(sums, kUnit, rest, s.columns, s.bias, c, s.ldc);
    } else {
      for (int64_t i = 0; i < rest; ++i) std::memcpy(c + i * s.ldc, sums + i * kUnit, bytes);
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

double work_of(const Bf16Rows& x, const Units& units) {
  return static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(units.count());
}

// The widest unit of up to `most` panels that does not leave one thread with more columns than
// another needs to have.
int64_t unit_width(std::span<const Weight> weights, int64_t most) {
  const int64_t threads = num_threads(), columns = weights[0].n;
  int64_t best = kUnit, least = columns;
  for (int64_t width = kUnit; width <= most * kUnit; width += kUnit) {
    const int64_t share = std::min(columns, ceil_div(ceil_div(columns, width), threads) * width);
    if (share <= least) best = width, least = share;
  }
  return best;
}

// k of the tiles of x: equal parts of a step of the product, where it is too long for L2 to feed.
int64_t tile_step(int64_t k, bool narrow) {
  return k <= (narrow ? kNarrowStep : kWholeStep)
             ? round_up(k, 32)
             : round_up(ceil_div(k, ceil_div(k, kTileStep)), 32);
}

// A weight of rows in pairs, for products with so many rows that they need it more than once.
Weight packed_pairs(const GemmKernels& kernels, const Weight& w) {
  const int64_t words = round_up(w.k, 32) / 2, groups = ceil_div(w.n, kGroup);
  auto* pairs = reinterpret_cast<uint32_t*>(
      scratch(Scratch::weight, round_up(groups, 2) * words * kGroup * 4));
  constexpr int64_t kGrain = 8;  // groups whose columns are read side by side
  const int64_t grain = groups * words > 4096 ? kGrain : round_up(groups, kGrain);
  parallel_for(groups, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t g = begin; g < end && in_columns(w); g += kGrain) {
      const int64_t n0 = g * kGroup, columns = std::min(kGrain * kGroup, w.n - n0);
      zip_panels({&w, n0, columns, 0}, 0, w.k, pairs + g * words * kGroup);
    }
    for (int64_t g = begin; g < end && !in_columns(w); ++g) {
      interleave_pairs(kernels, w, g * kGroup, 0, w.k, words, pairs + g * words * kGroup);
    }
  });
  Weight packed = w;
  packed.form = Weight::Form::pairs, packed.data = pairs;
  return packed;
}

template <class T>
void product_amx(const GemmKernels& kernels, const Bf16Rows& x, std::span<const Weight> weights,
                 T* y, int64_t ldy, bool gated) {
  const int64_t k = std::max<int64_t>(x.k, 1);
  const int64_t most_rows = std::clamp<int64_t>(kBlockBytes / (2 * k) / 32 * 32, 32, kRowBlock);
  Weight packed;
  if (weights.size() == 1 && weights[0].form == Weight::Form::rows && x.m > most_rows) {
    packed = packed_pairs(kernels, weights[0]);
    weights = {&packed, 1};
  }
  const bool resident = std::all_of(weights.begin(), weights.end(),
                                    [](const Weight& w) { return w.form == Weight::Form::pairs; });
  const bool sums = resident && k > kWholeStep;  // many columns reuse the x of a step
  const int64_t row_block = sums && sizeof(T) == 4 ? kResidentRows : kRowBlock;
  const bool whole = resident || sizeof(T) == 2;
  const int64_t pieces = whole ? 1 : ceil_div(std::min(x.m, kRowBlock) * k * 2, kBlockBytes);
  int64_t most_panels = sums ? kMostPanels : kMostMade;
  if (weights.size() == 1 && in_columns(weights[0])) {
    most_panels = std::clamp<int64_t>(kMadeBytes / (k * 2 * kUnit), 1, kMostPanels);
  }
  const Units units(weights, unit_width(weights, most_panels), gated);
  const int64_t step = round_up(ceil_div(k, pieces), kStepMultiple);
  Cut cut = cut_product(x.m, units.count(), row_block, step, work_of(x, units));
  int64_t grain = 1;
  if (resident && share_rows(cut, x.m, 32, weights[0])) grain = cut.row_block / 16;
  const TiledX tiled(kernels, x, pieces == 1 ? tile_step(k, sizeof(T) == 2) : kStepMultiple, grain);
  run_product<T>(AmxEngine<T>(kernels, tiled), cut, x.m, x.k, weights, units, y, ldy, gated);
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
  const Units units(weights, kUnit, gated);
  const Cut cut = cut_product(x.m, units.count(), 768, kPairStep, work_of(x, units));
  const PackedX<uint32_t> packed(kernels, rows_in_pairs(x), bf16_tiles.rows, kPairStep / 2, 0);
  run_product<float>(DotEngine(kernels, packed), cut, x.m, x.k, weights, units, y, ldy, gated);
}

}  // namespace

bool has_bf16_product() { return isa() >= Isa::avx512_bf16; }

void product_bf16(const Bf16Rows& x, std::span<const Weight> weights, float* y, int64_t ldy,
                  bool gated) {
  if (x.m == 0) return;
  const GemmKernels& kernels = gemm_kernels();
  if (isa() == Isa::amx) {
    product_amx<float>(kernels, x, weights, y, ldy, gated);
  } else {
    product_dot(kernels, x, weights, y, ldy, gated);
  }
}

void product_bf16(const Bf16Rows& x, const Weight& weight, uint16_t* y, int64_t ldy) {
  if (x.m == 0) return;
  if (isa() == Isa::amx)
    return product_amx<uint16_t>(gemm_kernels(), x, {&weight, 1}, y, ldy, false);
  auto* wide = reinterpret_cast<float*>(scratch(Scratch::up, x.m * weight.n * 4));
  product_dot(gemm_kernels(), x, {&weight, 1}, wide, weight.n, false);
  store_bf16(wide, weight.n, x.m, weight.n, nullptr, y, ldy);
}

}  // namespace tallow::cpu
