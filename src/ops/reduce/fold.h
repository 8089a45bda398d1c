// The loop of all portable reductions. It reads memory in its order where the layout allows, and
// divides the work in a way that does not depend on the number of threads.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/reduce/reduce.h"
#include "tallow/parallel.h"

namespace tallow {

/// x permuted to [outer, count, inner]: `count` elements for each of outer * inner results.
struct Groups {
  Tensor x;
  int64_t outer = 1, count = 1, inner = 1;
};
/// `ordered`: element i of a group is the i-th in row-major order.
Groups grouped(const Tensor& x, uint32_t dims, bool ordered);

/// Reduces each group of x by R, which has
///   State: a partial result; start(): that of no elements;
///   take(state, value, index); merge(state, other): any order; finish(state, at): writes result
///   `at`; kOrdered: whether it reads the index.
template <class T, class R>
class Fold {
  using State = typename R::State;

 public:
  Fold(const Tensor& x, uint32_t dims, const R& r)
      : r_(r), g_(grouped(x, dims, R::kOrdered)), reader_(g_.x, g_.x.shape()) {}

  void run() const {
    if (g_.outer * g_.inner == 0) return;
    const int64_t tiles = (g_.inner + kChunk - 1) / kChunk;
    const int64_t width = std::min(g_.inner, kChunk);
    const int64_t segment = std::max<int64_t>(1, kSegment / width);
    const bool split = g_.outer * tiles < 16 && g_.count > 2 * segment;
    const int64_t segments = split ? (g_.count + segment - 1) / segment : 1;
    const int64_t length = split ? segment : g_.count;
    std::vector<State> parts(split ? g_.outer * g_.inner * segments : 0);
    const int64_t cost = std::max<int64_t>(1, length * width);
    parallel_for(g_.outer * tiles * segments, std::max<int64_t>(1, kSegment / cost),
                 [&](int64_t begin, int64_t end, int) {
                   if (g_.inner == 1 && !split) return rows(begin, end);
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t s = i % segments, tile = i / segments % tiles,
                                   o = i / segments / tiles;
                     State* part = split ? &parts[(s * g_.outer + o) * g_.inner] : nullptr;
                     const int64_t from = s * length, to = std::min(g_.count, from + length);
                     columns(o, tile * kChunk, from, to, part);
                   }
                 });
    if (!split) return;
    for (int64_t at = 0; at < g_.outer * g_.inner; ++at) {
      State total = parts[at];
      for (int64_t s = 1; s < segments; ++s) r_.merge(total, parts[s * g_.outer * g_.inner + at]);
      r_.finish(total, at);
    }
  }

 private:
  static constexpr int64_t kSegment = 1 << 15;  // elements of a unit of work
  static constexpr int kLanes = 8;

  State fold_values(const T* values, int64_t n, int64_t index) const {
    State lanes[kLanes];
    for (State& lane : lanes) lane = r_.start();
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 8
      for (int k = 0; k < kLanes; ++k) r_.take(lanes[k], values[i + k], index + i + k);
    }
    for (int k = 0; i < n; ++i, ++k) r_.take(lanes[k], values[i], index + i);
    for (int step = kLanes / 2; step > 0; step /= 2) {
      for (int k = 0; k < step; ++k) r_.merge(lanes[k], lanes[k + step]);
    }
    return lanes[0];
  }

  // Whole groups of neighbouring elements; short ones are read many at a time.
  void rows(int64_t begin, int64_t end) const {
    T scratch[kChunk];
    const int64_t count = g_.count;
    if (count > kChunk / 2 || count == 0) {
      for (int64_t g = begin; g < end; ++g) columns(g, 0, 0, count, nullptr);
      return;
    }
    const int64_t batch = kChunk / count;
    for (int64_t g = begin; g < end; g += batch) {
      const int64_t n = std::min(batch, end - g);
      const T* values = reader_.read(g * count, n * count, scratch);
      for (int64_t j = 0; j < n; ++j, values += count) {
        State total = r_.start();
        if (count >= 2 * kLanes) {
          total = fold_values(values, count, 0);
        } else {
          for (int64_t i = 0; i < count; ++i) r_.take(total, values[i], i);
        }
        r_.finish(total, g + j);
      }
    }
  }

  // Elements [from, to) of up to kChunk neighbouring groups, which begin at column `first`.
  void columns(int64_t o, int64_t first, int64_t from, int64_t to, State* part) const {
    T scratch[kChunk];
    const int64_t inner = g_.inner;
    const int64_t width = std::min(kChunk, inner - first);
    State states[kChunk];
    for (int64_t c = 0; c < width; ++c) states[c] = r_.start();
    const int64_t batch = width == inner ? kChunk / width : 1;
    for (int64_t i = from; i < to; i += batch) {
      const int64_t n = std::min(batch, to - i);
      const T* values = reader_.read((o * g_.count + i) * inner + first, n * width, scratch);
      if (inner == 1) {
        r_.merge(states[0], fold_values(values, n, i));
        continue;
      }
      for (int64_t j = 0; j < n; ++j, values += width) {
        for (int64_t c = 0; c < width; ++c) r_.take(states[c], values[c], i + j);
      }
    }
    for (int64_t c = 0; c < width; ++c) {
      if (part) {
        part[first + c] = states[c];
      } else {
        r_.finish(states[c], o * inner + first + c);
      }
    }
  }

  R r_;
  Groups g_;
  ElementReader<T> reader_;
};

template <class T, class R>
void fold(const Tensor& x, uint32_t dims, const R& r) {
  Fold<T, R>(x, dims, r).run();
}

/// Writes one result, converted to the tensor's dtype.
template <class T>
void write_result(const Tensor& out, int64_t at, T value) {
  write_elements(out, at, 1, &value);
}

}  // namespace tallow
