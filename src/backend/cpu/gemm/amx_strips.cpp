// Products of bf16 on AMX tiles with one weight that lies in memory as any tensor: its panels are
// made once for each task and stay in L2, and strips of 32 rows of x pass through them. Where the
// weight has more rows, the two change places: its rows are read in place, and x is made panels.
#include <cstring>

#include "backend/cpu/gemm/amx_product.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kStrip = 32;            // rows
constexpr int64_t kMostColumns = 128;     // of a unit: their sums of a strip lie in L1
constexpr int64_t kTurnedRows = 256;      // of x up to which the operands change places
constexpr int64_t kPanelBytes = 1 << 20;  // of a task's panels: half of an L2 cache
constexpr int64_t kTileStep = 320;        // the most k of a strip that lies in L1
constexpr int64_t kCopiedStep = 256;      // the same of a strip that was copied
constexpr int64_t kCrowdedStep = 512;     // the same where its rows meet in few sets of L1 anyway
constexpr int64_t kManyPanels = 8;        // of a task, by which copying a strip is repaid

// Columns in memory: their pairs, then those transposed.
void transpose_tiles(const GemmKernels& kernels, int rows, int64_t k, const uint16_t* source,
                     int64_t k_stride, uint16_t* target) {
  for (int64_t j = 0; j < k; j += 32, source += 32 * k_stride, target += 512) {
    alignas(64) uint32_t pairs[256] = {};
    zip_pairs(rows, std::min<int64_t>(32, k - j), source, k_stride, pairs);
    kernels.interleave_32(16, 16, pairs, 16, reinterpret_cast<uint32_t*>(target), kGroup);
  }
}

// The rows' lines meet in few sets of the caches.
bool crowded(const Bf16Rows& x) { return x.row_stride % 512 == 0; }

// Tiles can be read from the rows in place.
bool readable(const Bf16Rows& x) {
  const bool aligned = x.row_stride % 32 == 0 && reinterpret_cast<uintptr_t>(x.data) % 64 == 0;
  return aligned && x.dtype == DType::bf16 && x.k_stride == 1 && x.k % 32 == 0;
}

template <class T>
struct StripEngine : Epilogue<T> {
  static constexpr bool kNarrow = sizeof(T) == 2;
  const GemmKernels& kernels;
  const Bf16Rows& x;
  int64_t width;              // of a unit
  bool direct = readable(x);  // tiles are read from x in place
  int64_t ahead_rows = 0;     // of the next strip, which each panel's products bring near
  // Of a product with the operands changed, what is stored turned around.
  T* turned = nullptr;
  int64_t turned_ld = 0;
  const float* turned_bias = nullptr;

  int64_t words() const { return pair_words(x.k); }
  void begin() const { amx_configure(); }

  void panels(const Panels& p) const {
    if (p.weights[0].form == Weight::Form::pairs) return;
    const int64_t size = words() * width;
    auto* memory = reinterpret_cast<uint32_t*>(
        scratch(Scratch::panel, (p.last - p.first) * size * int64_t{sizeof(uint32_t)}));
    if (in_columns(p.weights[0])) {  // whole runs of memory
      Unit all = p.at(p.first);
      const Unit last = p.at(p.last - 1);
      all.columns = last.n0 + last.columns - all.n0;
      return zip_panels(all, 0, x.k, memory);
    }
    p.each([&](const Unit& unit) { make_panels(unit, memory + unit.place * size); });
  }

  void strip(int64_t m0, int64_t m1, int64_t, int64_t) const {
    if (in_place(m1 - m0)) return;
    const int64_t size = words() * 2 * 16;
    auto* target = reinterpret_cast<uint16_t*>(scratch(Scratch::x, 2 * size * 2));
    for (int64_t m = m0; m < m1; m += 16, target += size) {
      pack_tiles(kernels, x, m, static_cast<int>(std::min<int64_t>(16, m1 - m)), 0, x.k, target);
    }
  }

  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t, int64_t, T* c, int64_t ldc,
            bool) const {
    auto* sums = reinterpret_cast<float*>(scratch(Scratch::tile, kStrip * kMostColumns * 4));
    const int64_t rows = m1 - m0;
    if constexpr (kNarrow) {
      if (turned) c = turned + unit.n0 * turned_ld + m0, ldc = turned_ld;
    }
    AmxBlock block = rows_of(m0, rows);
    block.from_ld = kMostColumns;
    const int64_t step = step_of(unit);
    const uint16_t* first_x = block.x;
    for (int64_t k0 = 0; k0 < x.k || k0 == 0; k0 += step) {
      block.k = round_up(std::min(step, x.k - k0), 32);
      block.x = first_x + k0 / 32 * block.x_step;
      for (int64_t n = 0; n < unit.columns; n += kPairUnit) {
        const bool whole = is_whole(rows, unit.columns - n) && k0 + step >= x.k;
        const uint32_t* panel = panel_of(unit, n) + k0 / 2 * kGroup;
        block.w[0] = panel;
        block.w[1] = unit.columns - n > kGroup ? panel + words() * kGroup : panel;
        block.from = k0 == 0 ? nullptr : sums + n;
        block.to = sums + n, block.to_ld = kMostColumns, block.fetch = false;
        bring_near(block, m0 + kStrip, k0, (unit.place * width + n) / kPairUnit);
        if constexpr (!kNarrow) {
          if (whole) block.to = c + n, block.to_ld = ldc, block.fetch = true;
        }
        amx_block(block);
      }
    }
    store(unit, m0, rows, sums, c, ldc);
  }

 private:
  static bool is_whole(int64_t rows, int64_t columns) {
    return !kNarrow && rows % 16 == 0 && columns >= kPairUnit;
  }
  bool in_place(int64_t rows) const { return direct && rows == kStrip; }

  void make_panels(const Unit& unit, uint32_t* target) const {
    const Weight& w = *unit.weight;
    for (int64_t n = 0; n < unit.columns; n += kGroup) {
      interleave_pairs(kernels, w, unit.n0 + n, 0, x.k, words(), target + n * words());
    }
  }
  const uint32_t* panel_of(const Unit& unit, int64_t n) const {
    if (unit.weight->form == Weight::Form::pairs) {
      return static_cast<const uint32_t*>(unit.weight->data) + (unit.n0 + n) * words();
    }
    const auto* memory = reinterpret_cast<const uint32_t*>(scratch(Scratch::panel, 0));
    return memory + (unit.place * width + n) * words();
  }

  AmxBlock rows_of(int64_t m0, int64_t rows) const {
    AmxBlock block;
    block.row_tiles = ceil_div(rows, 16);
    if (in_place(rows)) {
      block.x = static_cast<const uint16_t*>(x.data) + m0 * x.row_stride;
      block.x_row = x.row_stride, block.x_step = 32, block.x_tile = 16 * x.row_stride;
    } else {
      block.x = reinterpret_cast<const uint16_t*>(scratch(Scratch::x, 0));
      block.x_tile = words() * 2 * 16;
    }
    return block;
  }

  // While a panel of the task is multiplied, some rows of the strip at m.
  void bring_near(AmxBlock& block, int64_t m, int64_t k0, int64_t panel) const {
    const int64_t row = panel * ahead_rows;
    block.ahead_rows = std::clamp<int64_t>(std::min(kStrip - row, x.m - m - row), 0, ahead_rows);
    if (block.ahead_rows == 0) return;
    block.ahead = static_cast<const uint16_t*>(x.data) + (m + row) * x.row_stride + k0;
    block.ahead_row = x.row_stride;
  }

  // k of the panels that share the strip's part in L1.
  int64_t step_of(const Unit& unit) const {
    if (unit.columns <= kPairUnit) return std::max<int64_t>(x.k, 1);
    if (!crowded(x)) return tile_step(x.k, kTileStep);
    return tile_step(x.k, direct ? kCrowdedStep : kCopiedStep);
  }

  void store(const Unit& unit, int64_t m0, int64_t rows, const float* sums, T* c,
             int64_t ldc) const {
    if constexpr (kNarrow) {
      if (turned) {
        const float* bias = turned_bias ? turned_bias + m0 : nullptr;
        return store_bf16_turned(kernels, sums, kMostColumns, rows, unit.columns, bias, c, ldc);
      }
      const auto* bias = static_cast<const float*>(unit.weight->bias);
      store_bf16(sums, kMostColumns, rows, unit.columns, bias ? bias + unit.n0 : nullptr, c, ldc);
    } else {
      for (int64_t n = 0; n < unit.columns; n += kPairUnit) {
        const int64_t columns = std::min(kPairUnit, unit.columns - n);
        if (is_whole(rows, unit.columns - n)) continue;
        for (int64_t r = 0; r < rows; ++r) {
          std::memcpy(c + r * ldc + n, sums + r * kMostColumns + n,
                      static_cast<size_t>(columns) * sizeof(float));
        }
      }
    }
  }
};

template <class T>
StripEngine<T> engine_of(const GemmKernels& kernels, const Bf16Rows& x, const Weight& weight) {
  const int64_t bytes = pair_words(x.k) * int64_t{sizeof(uint32_t)};  // of a column
  const int64_t most = std::clamp<int64_t>(kPanelBytes / std::max<int64_t>(bytes, 1) / kPairUnit, 1,
                                           kMostColumns / kPairUnit);
  return {{}, kernels, x, unit_width({&weight, 1}, most)};
}

template <class T>
void run_strips(StripEngine<T> engine, const Bf16Rows& x, const Weight& weight, T* y, int64_t ldy) {
  const std::span<const Weight> weights{&weight, 1};
  const Units units(weights, engine.width, false);
  const int64_t unit_bytes = engine.width * engine.words() * int64_t{sizeof(uint32_t)};
  // Reading memory takes most of the time of both; a panel is turned around as well.
  const double panel_cost = weight.form == Weight::Form::pairs ? 3 : 5;
  const double strip_cost = 1;
  constexpr double kFaster = 256;  // multiplications in the time of a vector instruction
  const double work = static_cast<double>(round_up(x.m, kStrip)) * static_cast<double>(x.k) *
                      static_cast<double>(round_up(weight.n, kPairUnit)) / kFaster;
  const Cut cut =
      cut_strips(x.m, units.count(), kPanelBytes / std::max<int64_t>(unit_bytes, 1), kStrip,
                 std::max<int64_t>(x.k, 1), panel_cost, strip_cost, useful_threads(work));
  const int64_t panels = units.count() / cut.tasks_n * (engine.width / kPairUnit);
  if (panels >= kManyPanels) {
    engine.direct &= !crowded(x);
    const bool rows = x.dtype == DType::bf16 && x.k_stride == 1;
    engine.ahead_rows = rows ? ceil_div(kStrip, panels) : 0;
  }
  run_product<T>(engine, cut, x.m, x.k, weights, units, y, ldy, false);
}

Bf16Rows rows_of(const Weight& w) { return {w.data, w.dtype, w.n, w.k, w.n_stride, w.k_stride}; }

Weight weight_of(const Bf16Rows& x) {
  Weight w;
  w.dtype = x.dtype, w.data = x.data;
  w.n = x.m, w.k = x.k, w.n_stride = x.row_stride, w.k_stride = x.k_stride;
  return w;
}

}  // namespace

int64_t tile_step(int64_t k, int64_t most) {
  return std::max<int64_t>(32, round_up(ceil_div(k, std::max<int64_t>(1, ceil_div(k, most))), 32));
}

int64_t unit_width(std::span<const Weight> weights, int64_t most) {
  const int64_t threads = product_threads(), columns = weights[0].n;
  int64_t best = kPairUnit, least = columns;
  for (int64_t width = kPairUnit; width <= most * kPairUnit; width += kPairUnit) {
    const int64_t share = std::min(columns, ceil_div(ceil_div(columns, width), threads) * width);
    if (share <= least) best = width, least = share;
  }
  return best;
}

void pack_tiles(const GemmKernels& kernels, const Bf16Rows& x, int64_t m, int rows, int64_t k0,
                int64_t k, uint16_t* target) {
  const int64_t offset = m * x.row_stride + k0 * x.k_stride;
  if (x.dtype == DType::f32) {
    amx_pack(rows, k, static_cast<const float*>(x.data) + offset, x.row_stride, target);
  } else if (x.k_stride == 1) {
    amx_pack(rows, k, static_cast<const uint16_t*>(x.data) + offset, x.row_stride, target);
  } else {
    transpose_tiles(kernels, rows, k, static_cast<const uint16_t*>(x.data) + offset, x.k_stride,
                    target);
  }
}

bool turns(const Bf16Rows& x, const Weight& weight) {
  const bool gains = weight.n > x.m && x.m <= kTurnedRows;
  return weight.form == Weight::Form::rows && x.dtype == DType::bf16 && readable(rows_of(weight)) &&
         (gains || !readable(x));
}

void product_strips(const GemmKernels& kernels, const Bf16Rows& x, const Weight& weight, float* y,
                    int64_t ldy) {
  run_strips(engine_of<float>(kernels, x, weight), x, weight, y, ldy);
}

void product_strips(const GemmKernels& kernels, const Bf16Rows& x, const Weight& weight,
                    uint16_t* y, int64_t ldy) {
  if (!turns(x, weight))
    return run_strips(engine_of<uint16_t>(kernels, x, weight), x, weight, y, ldy);
  const Bf16Rows rows = rows_of(weight);
  const Weight panels = weight_of(x);
  StripEngine<uint16_t> engine = engine_of<uint16_t>(kernels, rows, panels);
  engine.turned = y, engine.turned_ld = ldy;
  engine.turned_bias = static_cast<const float*>(weight.bias);
  run_strips(engine, rows, panels, y, 1);
}

}  // namespace tallow::cpu
