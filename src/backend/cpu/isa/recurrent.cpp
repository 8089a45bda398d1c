// The steps of an LSTM, compiled once per level: products with a panel of four vectors of columns,
// whose sums stay in registers until the gates are applied.
#include "backend/cpu/recurrent/kernels.h"

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int kWidth = 4 * kLanes;
constexpr int kMostRows = kLanes == 16 ? 6 : 2;  // whose sums, four vectors each, are in registers

TALLOW_INLINE Floats sigmoid(Floats x) { return 1.f / (1.f + exp(-x)); }

constexpr int64_t kLine = 16;  // elements of a cache line

/// Which part of the next panel is fetched, and by how many lines a row, while some rows are
/// multiplied with this one: the caches beyond L2 are slower than a single pass over a panel.
struct Ahead {
  const float* panel;  // or null
  int64_t lines;
  /// For rows [row, row + count) of `rows`.
  static Ahead of(const float* next, int64_t k, int64_t row, int64_t count, int64_t rows) {
    if (!next || count == rows) return {nullptr, 0};
    const int64_t passes = (rows + kMostRows - 1) / kMostRows, pass = row * passes / rows;
    const int64_t lines = (kWidth / kLine + passes - 1) / passes;
    if (pass * lines >= kWidth / kLine) return {nullptr, 0};
    return {next + pass * lines * k * kLine, lines};
  }
};

/// sum[r] += x[r] times the panel.
template <int R>
TALLOW_INLINE void multiply(const float* x, int64_t stride, int64_t k, const float* panel,
                            Ahead ahead, Floats (&sum)[R][4]) {
  for (int64_t i = 0; i < k; ++i, panel += kWidth) {
    for (int64_t line = 0; line < ahead.lines; ++line, ahead.panel += kLine) {
      __builtin_prefetch(ahead.panel, 0, 2);
    }
    Floats w[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) w[v] = load(panel + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Floats value = splat(x[r * stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) sum[r][v] += value * w[v];
    }
  }
}

TALLOW_INLINE Floats load_units(const float* p, int64_t units) {
  return units == kLanes ? load(p) : load_first(p, units);
}
TALLOW_INLINE void store_units(float* p, Floats v, int64_t units) {
  if (units == kLanes) return store(p, v);
  store_first(p, v, units);
}

/// Rows [row, row + R) of a step.
template <int R>
void step_rows(const LstmStep& s, int64_t row) {
  Floats sum[R][4];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[r][v] = load(s.gates + (row + r) * s.gate_stride + v * kLanes);
  }
  multiply<R>(s.h + row * s.h_stride, s.h_stride, s.k, s.weights,
              Ahead::of(s.ahead, s.k, row, R, s.rows), sum);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t at = row + r;
    const Floats input = sigmoid(sum[r][0]), forget = sigmoid(sum[r][1]), fresh = tanh(sum[r][2]),
                 shown = sigmoid(sum[r][3]);
    const Floats before = load_units(s.cell + at * s.cell_stride, s.units);
    const Floats cell = forget * before + input * fresh;
    float* gates = s.gates + at * s.gate_stride;
    store(gates, input);
    store(gates + kLanes, forget);
    store(gates + 2 * kLanes, fresh);
    store(gates + 3 * kLanes, shown);
    store_units(s.new_cell + at * s.new_cell_stride, cell, s.units);
    store_units(s.output + at * s.output_stride, shown * tanh(cell), s.units);
  }
}

/// Calls fn<R>(row) over all rows, in parts that are nearly equal: few rows leave sums idle.
template <class F>
TALLOW_INLINE void over_rows(int64_t rows, const F& fn) {
  int64_t parts = (rows + kMostRows - 1) / kMostRows;
  for (int64_t row = 0; row < rows; --parts) {
    const int64_t count = (rows - row + parts - 1) / parts;
    switch (count) {
      case 1: fn.template operator()<1>(row); break;
      case 2: fn.template operator()<2>(row); break;
#if TALLOW_ISA_LEVEL >= 2
      case 3: fn.template operator()<3>(row); break;
      case 4: fn.template operator()<4>(row); break;
      case 5: fn.template operator()<5>(row); break;
      case 6: fn.template operator()<6>(row); break;
#endif
      default: break;
    }
    row += count;
  }
}

void lstm_step(const LstmStep& s) {
  over_rows(s.rows, [&]<int R>(int64_t row) { step_rows<R>(s, row); });
}

void lstm_back_step(const LstmBackStep& s) {
  for (int64_t row = 0; row < s.rows; ++row) {
    const float* gates = s.gates + row * s.gate_stride;
    const Floats input = load(gates), forget = load(gates + kLanes),
                 fresh = load(gates + 2 * kLanes), shown = load(gates + 3 * kLanes);
    const Floats before = load_units(s.cell + row * s.cell_stride, s.units);
    const Floats after = tanh(load_units(s.new_cell + row * s.new_cell_stride, s.units));
    Floats dh = load_units(s.grad_output + row * s.grad_output_stride, s.units);
    if (s.grad_h) dh += load_units(s.grad_h + row * s.grad_h_stride, s.units);
    float* grad_cell = s.grad_cell + row * s.grad_cell_stride;
    const Floats dc = load_units(grad_cell, s.units) + dh * shown * (1.f - after * after);
    float* to = s.grad_gates + row * s.grad_gate_stride;
    store(to, dc * fresh * input * (1.f - input));
    store(to + kLanes, dc * before * forget * (1.f - forget));
    store(to + 2 * kLanes, dc * input * (1.f - fresh * fresh));
    store(to + 3 * kLanes, dh * after * shown * (1.f - shown));
    store_units(grad_cell, dc * forget, s.units);
  }
}

template <int R>
void product_rows(const PanelProduct& p, int64_t row, int64_t begin, int64_t end) {
  const auto over_sums = [&](const auto& fn) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const int64_t left = p.columns - v * kLanes;
        if (left > 0) fn(r, v, p.c + (row + r) * p.c_stride + v * kLanes, left);
      }
    }
  };
  Floats sum[R][4] = {};
  if (begin > 0) {
    over_sums([&](int r, int v, const float* c, int64_t left) {
      sum[r][v] = load_units(c, left < kLanes ? left : kLanes);
    });
  }
  const float* next = end < p.k ? p.panel + end * kWidth : p.ahead;
  multiply<R>(p.x + row * p.x_stride + begin, p.x_stride, end - begin, p.panel + begin * kWidth,
              Ahead::of(next, end - begin, row, R, p.rows), sum);
  over_sums([&](int r, int v, float* c, int64_t left) {
    store_units(c, sum[r][v], left < kLanes ? left : kLanes);
  });
}

// A part of the panel at a time, which stays in L2 until all rows are through with it.
void panel_product(const PanelProduct& p) {
  constexpr int64_t kPart = 1024;
  for (int64_t begin = 0; begin < p.k; begin += kPart) {
    const int64_t end = p.k - begin < kPart ? p.k : begin + kPart;
    over_rows(p.rows, [&]<int R>(int64_t row) { product_rows<R>(p, row, begin, end); });
  }
}

}  // namespace

const RecurrentKernels recurrent_kernels{kLanes, lstm_step, lstm_back_step, panel_product};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
