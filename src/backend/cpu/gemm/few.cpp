// Products of few rows: the weight is read once, as it lies in memory, and never packed.
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kMostDots = 24;     // rows of x up to which dot products beat packing a weight
constexpr int64_t kMostDotsBf16 = 6;  // the same where packing leads to tiles of bf16
constexpr int64_t kMostRows = 32;     // the same for weights whose columns are without gaps
constexpr int64_t kMostRowsBf16 = 4;
constexpr int64_t kCached = 1 << 16;   // bytes of such a weight that is not packed for any rows
constexpr int64_t kDotStep = 1024;     // k of a dot product where several rows of x share a cache
constexpr int64_t kMostColumns = 512;  // of a unit of weights whose columns are without gaps
constexpr int64_t kStreams = 32;       // rows of such a weight that memory is read from at once
constexpr int64_t kRowStep = 64;       // the same where arithmetic takes longer than reading
constexpr int64_t kVeryFewRows = 4;    // of x up to which it does not
constexpr int64_t kManyRowStep = 256;  // the same where many rows of x follow
constexpr int64_t kRowBlock = 96;      // rows of a task
constexpr int64_t kDotUnit = 32;

// Long runs of columns, as many for each thread.
int64_t unit_columns(int64_t n) {
  const int64_t units =
      round_up(std::max<int64_t>(1, ceil_div(n, kMostColumns)), product_threads());
  return round_up(std::max<int64_t>(1, ceil_div(n, units)), kRowColumns);
}

// Parts of m, none smaller than it must be.
int64_t part_rows(int64_t m, int64_t most) { return ceil_div(m, ceil_div(m, most)); }

template <class W>
struct DotsEngine : Epilogue<float> {
  const DotKernels& kernels;
  const Activations<float>& x;

  DotsEngine(const DotKernels& k, const Activations<float>& rows) : kernels(k), x(rows) {}
  DotFn<W> fn(int64_t rows) const {
    if constexpr (sizeof(W) == 2) {
      return kernels.bf16[rows - 1];
    } else {
      return kernels.f32[rows - 1];
    }
  }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    const Weight& w = *unit.weight;
    const W* row = static_cast<const W*>(w.data) + unit.n0 * w.n_stride + k0;
    const int64_t most = part_rows(m1 - m0, kernels.rows);
    for (int64_t n = 0; n < unit.columns; n += kDotColumns, row += kDotColumns * w.n_stride) {
      const int columns = static_cast<int>(std::min<int64_t>(kDotColumns, unit.columns - n));
      for (int64_t m = m0; m < m1; m += most) {
        const int64_t rows = std::min(most, m1 - m);
        fn(rows)(k1 - k0, x.data + m * x.row_stride + k0, x.row_stride, row, w.n_stride, columns,
                 c + (m - m0) * ldc + n, ldc, accumulate);
      }
    }
  }
};

template <class W>
struct RowsEngine : Epilogue<float> {
  const DotKernels& kernels;
  const Activations<float>& x;

  RowsEngine(const DotKernels& k, const Activations<float>& rows) : kernels(k), x(rows) {}
  RowFn<W> fn(int64_t rows) const {
    if constexpr (sizeof(W) == 2) {
      return kernels.columns_bf16[rows - 1];
    } else {
      return kernels.columns_f32[rows - 1];
    }
  }
  void unit(const Unit& unit, int64_t m0, int64_t m1, int64_t k0, int64_t k1, float* c, int64_t ldc,
            bool accumulate) const {
    const Weight& w = *unit.weight;
    const W* columns = static_cast<const W*>(w.data) + unit.n0 + k0 * w.k_stride;
    const int64_t most = part_rows(m1 - m0, kernels.rows);
    for (int64_t m = m0; m < m1; m += most) {
      const int64_t rows = std::min(most, m1 - m);
      fn(rows)(k1 - k0, x.data + m * x.row_stride + k0 * x.k_stride, x.row_stride, x.k_stride,
               columns, w.k_stride, static_cast<int>(unit.columns), c + (m - m0) * ldc, ldc,
               accumulate);
    }
  }
};

bool is_dots(const Activations<float>& x, const Weight& w) {
  return w.k_stride == 1 && x.k_stride == 1;
}

}  // namespace

bool takes_few_rows(const Activations<float>& x, const Weight& w) {
  if (w.form != Weight::Form::rows) return false;
  const bool tiles = isa() == Isa::amx;
  if (w.dtype == DType::bf16) {
    return is_dots(x, w) ? x.m <= (tiles ? kMostDotsBf16 : kMostDots)
                         : w.n_stride == 1 && x.m <= kMostRowsBf16;
  }
  if (w.dtype != DType::f32) return false;
  if (is_dots(x, w)) return x.m <= kMostDots;
  return w.n_stride == 1 && (x.m <= kMostRows || w.k * w.n * 4 <= kCached);
}

void product_few(const Activations<float>& x, const Weight& weight, float* y, int64_t ldy) {
  if (x.m == 0) return;
  const DotKernels& kernels = dot_kernels();
  const std::span<const Weight> weights{&weight, 1};
  const bool dots = is_dots(x, weight), narrow = weight.dtype == DType::bf16;
  const Units units(weights, dots ? kDotUnit : unit_columns(weight.n), false);
  int64_t step = std::max<int64_t>(x.k, 1);
  if (!dots) step = x.m <= kVeryFewRows ? kStreams : x.m <= kMostRows ? kRowStep : kManyRowStep;
  if (dots && x.m > kernels.rows) step = kDotStep;
  const double work =
      static_cast<double>(x.m) * static_cast<double>(x.k) * static_cast<double>(weight.n);
  const Cut cut = cut_product(x.m, units.count(), kRowBlock, step, work);
  const auto run = [&](const auto& engine) {
    run_product<float>(engine, cut, x.m, x.k, weights, units, y, ldy, false);
  };
  if (dots)
    return narrow ? run(DotsEngine<uint16_t>(kernels, x)) : run(DotsEngine<float>(kernels, x));
  narrow ? run(RowsEngine<uint16_t>(kernels, x)) : run(RowsEngine<float>(kernels, x));
}

}  // namespace tallow::cpu
