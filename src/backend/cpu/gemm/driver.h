// How a product is divided among threads and walked by each: common to every kind of tile.
#pragma once

#include <algorithm>

#include "backend/cpu/gemm/gemm.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/// Up to 32 columns of one weight.
struct Unit {
  const Weight* weight;
  int64_t n0;  // the first column, in the weight
  int64_t columns;
  int64_t y_column;
};

/// The columns of a product as a row of units.
class Units {
 public:
  Units(std::span<const Weight> weights, int64_t width, bool gated)
      : weights_(gated ? weights.first(1) : weights), width_(width) {
    for (const Weight& w : weights_) count_ += ceil_div(w.n, width);
  }
  int64_t count() const { return count_; }
  Unit operator[](int64_t index) const {
    int64_t column = 0;
    for (const Weight& w : weights_) {
      const int64_t units = ceil_div(w.n, width_);
      if (index < units) {
        const int64_t n0 = index * width_;
        return {&w, n0, std::min(width_, w.n - n0), column + n0};
      }
      index -= units;
      column += w.n;
    }
    return {};
  }

 private:
  std::span<const Weight> weights_;
  int64_t width_, count_ = 0;
};

/// How a product is cut.
struct Cut {
  int64_t row_block;  // rows of a task, a multiple of the tile's
  int64_t k_step;
  int64_t tasks_m, tasks_n;
};

/// Chooses the tasks: enough for all threads, wide enough to reuse the block of x that a task
/// brings into its L2 cache.
inline Cut cut_product(int64_t m, int64_t units, int64_t row_block, int64_t k_step, double work) {
  const int64_t threads = work < 3e4 ? 1 : num_threads();
  const int64_t tasks_m = std::max<int64_t>(1, ceil_div(m, row_block));
  const int64_t wide = units / 8;  // tasks of 8 units or more
  int64_t tasks_n = threads == 1 ? 1 : std::clamp(wide, std::min(threads, units), 4 * threads);
  if (tasks_m >= 2 * threads) tasks_n = std::min(tasks_n, std::max<int64_t>(1, units / 32));
  return {row_block, k_step, tasks_m, std::max<int64_t>(1, tasks_n)};
}

/// Gives each thread one share of the rows, in whole tiles, where it may then pack that share of x
/// for itself: other cores' caches are slow to read. Not where the rows are few or the weight,
/// which all threads then read, is large. True if so.
inline bool share_rows(Cut& cut, int64_t m, int64_t tile_rows, const Weight& weight) {
  constexpr int64_t kLeastRows = 96;
  constexpr double kMostBytes = 4 << 20;
  const int64_t threads = num_threads();
  const int64_t share = round_up(ceil_div(m, threads), tile_rows);
  const double bytes = static_cast<double>(weight.n) * static_cast<double>(weight.k) *
                       (weight.form == Weight::Form::pairs ? 2 : 4);
  if (threads == 1 || share < kLeastRows || share > cut.row_block || bytes > kMostBytes) {
    return false;
  }
  cut.row_block = share, cut.tasks_m = ceil_div(m, share), cut.tasks_n = 1;
  return true;
}

/// Runs the tasks of an engine:
///   void begin()                                  on the thread, before its first unit
///   void unit(const Unit&, int64_t m0, int64_t m1, int64_t k0, int64_t k1, T* c, int64_t ldc,
///             bool accumulate)                    one unit's products over [k0, k1)
template <class T, class Engine>
void run_product(const Engine& engine, const Cut& cut, int64_t m, int64_t k,
                 std::span<const Weight> weights, const Units& units, T* y, int64_t ldy,
                 bool gated) {
  auto task = [&](int64_t index) {
    const int64_t task_m = index / cut.tasks_n, task_n = index % cut.tasks_n;
    const int64_t m0 = task_m * cut.row_block, m1 = std::min(m, m0 + cut.row_block);
    const int64_t u0 = units.count() * task_n / cut.tasks_n;
    const int64_t u1 = units.count() * (task_n + 1) / cut.tasks_n;
    if (u0 == u1 || m0 >= m1) return;
    const int64_t first = units[u0].y_column;
    const int64_t width = units[u1 - 1].y_column + units[u1 - 1].columns - first;
    T* up = nullptr;
    if (gated) {
      up = reinterpret_cast<T*>(scratch(Scratch::up, (m1 - m0) * width * int64_t{sizeof(T)}));
    }
    engine.begin();
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += cut.k_step) {
      const int64_t k1 = std::min(k, k0 + cut.k_step);
      for (int64_t u = u0; u < u1; ++u) {
        const Unit unit = units[u];
        T* c = y + m0 * ldy + unit.y_column;
        engine.unit(unit, m0, m1, k0, k1, c, ldy, k0 > 0);
        if (!gated) {
          if (k1 >= k) engine.finish(unit, m0, m1, c, ldy);
          continue;
        }
        Unit second = unit;
        second.weight = &weights[1];
        T* c2 = up + unit.y_column - first;
        engine.unit(second, m0, m1, k0, k1, c2, width, k0 > 0);
        if (k1 < k) continue;
        engine.finish(unit, m0, m1, c, ldy);
        engine.finish(second, m0, m1, c2, width);
        engine.gate(unit, m0, m1, c, ldy, c2, width);
      }
    }
  };
  const int64_t tasks = cut.tasks_m * cut.tasks_n;
  if (tasks == 1) return task(0);
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) task(i);
  });
}

/// What every engine does when a unit is complete.
template <class T>
struct Epilogue {
  void begin() const {}
  void finish(const Unit& unit, int64_t m0, int64_t m1, T* c, int64_t ldc) const {
    if (sizeof(T) == 2 || !unit.weight->bias) return;  // bf16 was rounded with its bias
    const T* bias = static_cast<const T*>(unit.weight->bias) + unit.n0;
    for (int64_t i = m0; i < m1; ++i, c += ldc) {
      for (int64_t j = 0; j < unit.columns; ++j) c[j] += bias[j];
    }
  }
  void gate(const Unit& unit, int64_t m0, int64_t m1, T* c, int64_t ldc, const T* up,
            int64_t ld_up) const {
    if constexpr (sizeof(T) == 4) {
      const GemmKernels& kernels = gemm_kernels();
      for (int64_t i = m0; i < m1; ++i, c += ldc, up += ld_up) {
        kernels.silu_mul(c, up, unit.columns);
      }
    }
  }
};

}  // namespace tallow::cpu
