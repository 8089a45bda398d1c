// Binds reductions and running sums to the vector kernels: f32, bf16 and f16 whose elements stand
// dense in memory, in any order of the dimensions. The rest is left to the portable kernels. Work
// is divided by shape alone, so that sums do not depend on the number of threads.
#include "backend/cpu/reduce.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/kernels.h"
#include "core/half.h"
#include "ops/reduce/fold.h"
#include "ops/reduce/registry.h"

namespace tallow::cpu {

namespace {

constexpr int64_t kUnit = 1 << 15;     // elements of a unit of work
constexpr int64_t kColumns = 1 << 11;  // columns of one

const ReduceKernels* kernels = &isa_portable::reduce_kernels;

/// The kernels of a dtype, or null.
const FoldKernels* kernels_of(DType dtype) {
  if (dtype == DType::f32) return &kernels->f32;
  if (dtype == DType::bf16) return &kernels->bf16;
  return dtype == DType::f16 ? &kernels->f16 : nullptr;
}

/// The elements of a tensor whose dtype has kernels.
struct Elements {
  explicit Elements(const Tensor& x)
      : data(static_cast<const char*>(x.raw())), size(x.dtype() == DType::f32 ? 4 : 2) {}
  const void* at(int64_t i) const { return data + i * size; }
  const char* data;
  int64_t size;
};

/// The results, which are rounded to the dtype of `out`.
struct Results {
  explicit Results(const Tensor& out) : data(out.raw()), dtype(out.dtype()) {}
  void put(int64_t at, float v) const {
    if (dtype == DType::f32) {
      static_cast<float*>(data)[at] = v;
    } else {
      static_cast<uint16_t*>(data)[at] = dtype == DType::bf16 ? f32_to_bf16(v) : f32_to_f16(v);
    }
  }
  void* data;
  DType dtype;
};

/// Whether the vector kernels can take x, and if so its groups.
bool dense_groups(const Tensor& x, uint32_t dims, bool ordered, Groups& g) {
  if (!kernels_of(x.dtype()) || x.numel() == 0) return false;
  g = grouped(x, dims, ordered);
  return g.x.is_contiguous() && (g.inner == 1 || g.inner >= 16);
}

/// How many of n items of `cost` elements a thread takes at a time: long reads are fastest.
int64_t share_of(int64_t n, int64_t cost) {
  return std::max({int64_t{1}, kUnit / cost, n / (8 * num_threads())});
}

/// Reduces rows [outer, count] by fold(x, n), an A; parts of long rows are merged in order.
template <class A, class Fold, class Merge, class Store>
void reduce_rows(const Groups& g, const Fold& fold, const Merge& merge, const Store& store) {
  const Elements x(g.x);
  const bool split = g.outer < 8 && g.count >= 4 * kUnit;
  if (!split) {
    parallel_for(g.outer, share_of(g.outer, g.count), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) store(i, fold(x.at(i * g.count), g.count));
    });
    return;
  }
  const int64_t parts = (g.count + kUnit - 1) / kUnit;
  std::vector<A> partial(static_cast<size_t>(g.outer * parts));
  parallel_for(g.outer * parts, share_of(g.outer * parts, kUnit),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t from = i % parts * kUnit;
                   partial[static_cast<size_t>(i)] =
                       fold(x.at(i / parts * g.count + from), std::min(kUnit, g.count - from));
                 }
               });
  for (int64_t o = 0; o < g.outer; ++o) {
    const A* part = &partial[static_cast<size_t>(o * parts)];
    A total = part[0];
    for (int64_t i = 1; i < parts; ++i) total = merge(total, part[i]);
    store(o, total);
  }
}

/// Reduces columns of [outer, count, inner]: fold(x, stride, rows, totals, n) works on totals that
/// begin as `start`; parts of long columns are merged in order.
template <class A, class Fold, class Merge, class Store>
void reduce_columns(const Groups& g, A start, const Fold& fold, const Merge& merge,
                    const Store& store) {
  const Elements x(g.x);
  const int64_t width = std::min(g.inner, kColumns), tiles = (g.inner + width - 1) / width;
  const int64_t most = std::max<int64_t>(8, 8 * kUnit / width);
  const bool split = g.outer * tiles < 8 && g.count >= 2 * most;
  const int64_t rows = split ? most : g.count, parts = (g.count + rows - 1) / rows;
  std::vector<A> partial(static_cast<size_t>(split ? g.outer * parts * g.inner : 0));
  const int64_t cost = rows * width;
  parallel_for(g.outer * tiles * parts, std::max<int64_t>(1, kUnit / cost),
               [&](int64_t begin, int64_t end, int) {
                 A own[kColumns];
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t part = i % parts, tile = i / parts % tiles, o = i / parts / tiles;
                   const int64_t first = tile * width, n = std::min(width, g.inner - first);
                   const int64_t from = part * rows;
                   A* totals =
                       split ? &partial[static_cast<size_t>((o * parts + part) * g.inner + first)]
                             : own;
                   std::fill_n(totals, n, start);
                   fold(x.at((o * g.count + from) * g.inner + first), g.inner,
                        std::min(rows, g.count - from), totals, n);
                   for (int64_t c = 0; c < n && !split; ++c) {
                     store(o * g.inner + first + c, totals[c]);
                   }
                 }
               });
  if (!split) return;
  for (int64_t o = 0; o < g.outer; ++o) {
    A* total = &partial[static_cast<size_t>(o * parts * g.inner)];
    for (int64_t part = 1; part < parts; ++part) {
      for (int64_t c = 0; c < g.inner; ++c) {
        total[c] = merge(total[c], total[part * g.inner + c]);
      }
    }
    for (int64_t c = 0; c < g.inner; ++c) store(o * g.inner + c, total[c]);
  }
}

void sum_scaled(const Groups& g, const Tensor& out, double count) {
  const FoldKernels& folds = *kernels_of(g.x.dtype());
  const Results results(out);
  auto plus = [](double a, double b) { return a + b; };
  auto store = [&](int64_t at, double v) { results.put(at, static_cast<float>(v / count)); };
  if (g.inner == 1) return reduce_rows<double>(g, folds.sum, plus, store);
  reduce_columns<double>(g, 0, folds.add_rows, plus, store);
}

void sum(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (!dense_groups(in[0], o.dims, false, g)) return sum_op.fn.cpu(in, out, o);
  sum_scaled(g, out[0], 1);
}

void mean(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (!dense_groups(in[0], o.dims, false, g)) return mean_op.fn.cpu(in, out, o);
  sum_scaled(g, out[0], static_cast<double>(g.count));
}

template <bool kMin>
float further(float a, float b) {
  return a != a || b != b ? a + b : (kMin ? b < a : b > a) ? b : a;
}

template <bool kMin>
void extreme(Inputs in, Outputs out, const ReduceOptions& o) {
  Groups g;
  if (!dense_groups(in[0], o.dims, false, g)) {
    return (kMin ? amin_op : amax_op).fn.cpu(in, out, o);
  }
  const FoldKernels& folds = *kernels_of(in[0].dtype());
  const Results results(out[0]);
  auto store = [&](int64_t at, float v) { results.put(at, v); };
  const float none = kMin ? __builtin_inff() : -__builtin_inff();
  if (g.inner == 1) {
    return reduce_rows<float>(g, kMin ? folds.min : folds.max, further<kMin>, store);
  }
  reduce_columns<float>(g, none, kMin ? folds.min_rows : folds.max_rows, further<kMin>, store);
}

/// The extreme of each dense row, then where it first stands.
template <bool kMin>
void find_extremes(const Groups& g, const Tensor* values, int64_t* indices) {
  const Elements x(g.x);
  const FoldKernels& folds = *kernels_of(g.x.dtype());
  parallel_for(g.outer, std::max<int64_t>(1, kUnit / g.count),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const void* row = x.at(i * g.count);
                   const float v = (kMin ? folds.min : folds.max)(row, g.count);
                   indices[i] = folds.find(row, g.count, v);
                   if (values) Results(*values).put(i, v);
                 }
               });
}

/// The same for columns of [outer, count, inner].
template <bool kMin>
void find_column_extremes(const Groups& g, float* values, int64_t* indices) {
  const float* x = g.x.data<float>();
  const int64_t width = std::min(g.inner, kColumns), tiles = (g.inner + width - 1) / width;
  const auto fold = kMin ? kernels->indexed_min_rows : kernels->indexed_max_rows;
  parallel_for(g.outer * tiles, std::max<int64_t>(1, kUnit / (g.count * width)),
               [&](int64_t begin, int64_t end, int) {
                 float top[kColumns];
                 int32_t index[kColumns];
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i % tiles * width, o = i / tiles;
                   const int64_t n = std::min(width, g.inner - first), at = o * g.inner + first;
                   std::fill_n(top, n, 0.f);
                   std::fill_n(index, n, -1);
                   fold(x + o * g.count * g.inner + first, g.inner, g.count, 0, top, index, n);
                   if (values) std::copy_n(top, n, values + at);
                   std::copy_n(index, n, indices + at);
                 }
               });
}

template <bool kMin>
bool found_extremes(const Tensor& x, uint32_t dims, const Tensor* values, int64_t* indices) {
  Groups g;
  if (!dense_groups(x, dims, true, g) || g.count >= INT32_MAX) return false;
  if (g.inner == 1) {
    find_extremes<kMin>(g, values, indices);
    return true;
  }
  if (x.dtype() != DType::f32) return false;
  find_column_extremes<kMin>(g, values ? values->data<float>() : nullptr, indices);
  return true;
}

template <bool kMin>
void indexed_extreme(Inputs in, Outputs out, const ReduceOptions& o) {
  if (found_extremes<kMin>(in[0], o.dims, &out[0], out[1].data<int64_t>())) return;
  (kMin ? min_op : max_op).fn.cpu(in, out, o);
}

template <bool kMin>
void arg_extreme(Inputs in, Outputs out, const ReduceOptions& o) {
  if (found_extremes<kMin>(in[0], o.dims, nullptr, out[0].data<int64_t>())) return;
  (kMin ? argmin_op : argmax_op).fn.cpu(in, out, o);
}

void cumsum(Inputs in, Outputs out, const ScanOptions& o) {
  const Tensor& x = in[0];
  if (x.dtype() != DType::f32 || !x.is_contiguous() || x.numel() == 0) {
    return cumsum_op.fn.cpu(in, out, o);
  }
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < o.dim; ++i) outer *= x.shape()[i];
  for (int i = o.dim + 1; i < x.dim(); ++i) inner *= x.shape()[i];
  const int64_t n = x.dim() == 0 ? 1 : x.shape()[o.dim];
  const float* from = x.data<float>();
  float* to = out[0].data<float>();
  if (inner == 1) {
    return parallel_for(outer, std::max<int64_t>(1, kUnit / n),
                        [&](int64_t begin, int64_t end, int) {
                          for (int64_t i = begin; i < end; ++i) {
                            kernels->running_sum(from + i * n, to + i * n, n, 0);
                          }
                        });
  }
  const int64_t width = std::min(inner, kColumns), tiles = (inner + width - 1) / width;
  parallel_for(outer * tiles, std::max<int64_t>(1, kUnit / (n * width)),
               [&](int64_t begin, int64_t end, int) {
                 double totals[kColumns];
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i % tiles * width, count = std::min(width, inner - first);
                   const int64_t at = i / tiles * n * inner + first;
                   std::fill_n(totals, count, 0.0);
                   for (int64_t j = 0; j < n; ++j) {
                     kernels->running_row(from + at + j * inner, to + at + j * inner, totals,
                                          count);
                   }
                 }
               });
}

}  // namespace

void bind_reduce() {
  kernels = &TALLOW_BY_ISA(reduce_kernels);
  sum_op.bind(DeviceKind::cpu, sum);
  mean_op.bind(DeviceKind::cpu, mean);
  amax_op.bind(DeviceKind::cpu, extreme<false>);
  amin_op.bind(DeviceKind::cpu, extreme<true>);
  max_op.bind(DeviceKind::cpu, indexed_extreme<false>);
  min_op.bind(DeviceKind::cpu, indexed_extreme<true>);
  argmax_op.bind(DeviceKind::cpu, arg_extreme<false>);
  argmin_op.bind(DeviceKind::cpu, arg_extreme<true>);
  cumsum_op.bind(DeviceKind::cpu, cumsum);
}

}  // namespace tallow::cpu
