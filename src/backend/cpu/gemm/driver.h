// How a product is divided among threads and walked by each: common to every kind of tile.
#pragma once

#include <algorithm>

#include "backend/cpu/gemm/gemm.h"
#include "tallow/parallel.h"

namespace tallow::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/// Some columns of one weight.
struct Unit {
  const Weight* weight;
  int64_t n0;  // the first column, in the weight
  int64_t columns;
  int64_t y_column;
  int64_t place = 0;  // among the units of its task; those of the second weight follow
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
        return {&w, n0, std::min(width_, w.n - n0), column + n0, 0};
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
  int64_t strip = 0;  // rows that go through a task's units together; 0 for all of the task's
};

/// Threads that are worth waking for so much work: in multiplications where a weight is read for
/// few of them, else in vector instructions.
inline int64_t useful_threads(double work) { return work < 3e4 ? 1 : product_threads(); }

/// Chooses the tasks: enough for all threads, wide enough to reuse the block of x that a task
/// brings into its L2 cache.
inline Cut cut_product(int64_t m, int64_t units, int64_t row_block, int64_t k_step, double work) {
  const int64_t threads = useful_threads(work);
  const int64_t tasks_m = std::max<int64_t>(1, ceil_div(m, row_block));
  const int64_t wide = round_up(units / 8, threads);  // tasks of some 8 units or more
  int64_t tasks_n = threads == 1 ? 1 : std::clamp(wide, std::min(threads, units), 4 * threads);
  if (tasks_m >= 2 * threads) tasks_n = std::min(tasks_n, std::max<int64_t>(1, units / 32));
  return {row_block, k_step, tasks_m, std::max<int64_t>(1, std::min(tasks_n, units))};
}

/// Chooses the tasks where each makes the panels of up to `most_units` units once, and then sends
/// its rows through them in strips. `panel_cost` and `strip_cost` are the times of making a panel
/// of a unit and of fetching a strip, where that of multiplying the two is 1.
inline Cut cut_strips(int64_t m, int64_t units, int64_t most_units, int64_t strip, int64_t k_step,
                      double panel_cost, double strip_cost, int64_t threads) {
  const int64_t strips = std::max<int64_t>(1, ceil_div(m, strip));
  const int64_t least = std::max<int64_t>(1, ceil_div(units, std::max<int64_t>(1, most_units)));
  Cut best{strips * strip, k_step, 1, least, strip};
  double best_cost = 0;
  for (int64_t tasks_m = 1; tasks_m <= std::min(threads, strips); tasks_m *= 2) {
    for (int64_t parts = least; parts <= least + 2 * threads && parts <= units; ++parts) {
      const int64_t own_strips = ceil_div(strips, tasks_m), own_units = ceil_div(units, parts);
      const double product = static_cast<double>(own_strips * own_units);
      const double cost = static_cast<double>(ceil_div(tasks_m * parts, threads)) *
                          (product + panel_cost * static_cast<double>(own_units) +
                           strip_cost * static_cast<double>(own_strips));
      if (best_cost > 0 && cost >= best_cost) continue;
      best_cost = cost;
      best.row_block = own_strips * strip, best.tasks_m = tasks_m, best.tasks_n = parts;
    }
  }
  return best;
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

/// The units [first, last) of a task over [k0, k1), of both weights where `gated`.
struct Panels {
  const Units& units;
  std::span<const Weight> weights;
  int64_t first, last, k0, k1;
  bool gated;
  template <class F>
  void each(const F& fn) const {
    for (int64_t u = first; u < last; ++u) {
      Unit unit = at(u);
      fn(unit);
      if (gated) fn(second(unit));
    }
  }
  Unit at(int64_t u) const {
    Unit unit = units[u];
    unit.place = u - first;
    return unit;
  }
  Unit second(Unit unit) const {
    unit.weight = &weights[1];
    unit.place += last - first;
    return unit;
  }
};

/// Runs the tasks of an engine:
///   void begin()                                  on the thread, before its first unit
///   void panels(const Panels&)                    before the units' products over its k
///   void strip(int64_t m0, int64_t m1, int64_t k0, int64_t k1)   before the products of its rows
///   void unit(const Unit&, int64_t m0, int64_t m1, int64_t k0, int64_t k1, T* c, int64_t ldc,
///             bool accumulate)                    one unit's products over [k0, k1)
template <class T, class Engine>
void run_product(const Engine& engine, const Cut& cut, int64_t m, int64_t k,
                 std::span<const Weight> weights, const Units& units, T* y, int64_t ldy,
                 bool gated) {
  auto rows = [&](const Panels& panels, int64_t m0, int64_t m1, T* up, int64_t width) {
    const int64_t first = units[panels.first].y_column, k0 = panels.k0, k1 = panels.k1;
    engine.strip(m0, m1, k0, k1);
    for (int64_t u = panels.first; u < panels.last; ++u) {
      const Unit unit = panels.at(u);
      T* c = y + m0 * ldy + unit.y_column;
      engine.unit(unit, m0, m1, k0, k1, c, ldy, k0 > 0);
      if (!gated) {
        if (k1 >= k) engine.finish(unit, m0, m1, c, ldy);
        continue;
      }
      const Unit second = panels.second(unit);
      T* c2 = up + unit.y_column - first;
      engine.unit(second, m0, m1, k0, k1, c2, width, k0 > 0);
      if (k1 < k) continue;
      engine.finish(unit, m0, m1, c, ldy);
      engine.finish(second, m0, m1, c2, width);
      engine.gate(unit, m0, m1, c, ldy, c2, width);
    }
  };
  auto task = [&](int64_t index) {
    const int64_t task_m = index / cut.tasks_n, task_n = index % cut.tasks_n;
    const int64_t m0 = task_m * cut.row_block, m1 = std::min(m, m0 + cut.row_block);
    const int64_t u0 = units.count() * task_n / cut.tasks_n;
    const int64_t u1 = units.count() * (task_n + 1) / cut.tasks_n;
    if (u0 == u1 || m0 >= m1) return;
    const int64_t width = units[u1 - 1].y_column + units[u1 - 1].columns - units[u0].y_column;
    T* up = nullptr;
    if (gated) {
      up = reinterpret_cast<T*>(scratch(Scratch::up, (m1 - m0) * width * int64_t{sizeof(T)}));
    }
    const int64_t strip = cut.strip ? cut.strip : m1 - m0;
    engine.begin();
    for (int64_t k0 = 0; k0 < k || k0 == 0; k0 += cut.k_step) {
      const Panels panels{units, weights, u0, u1, k0, std::min(k, k0 + cut.k_step), gated};
      engine.panels(panels);
      for (int64_t r = m0; r < m1; r += strip) {
        rows(panels, r, std::min(m1, r + strip), gated ? up + (r - m0) * width : nullptr, width);
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
  void panels(const Panels&) const {}
  void strip(int64_t, int64_t, int64_t, int64_t) const {}
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
