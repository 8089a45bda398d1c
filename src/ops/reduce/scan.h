// The loop of all portable cumulative ops: x as [outer, n, inner], a state for each of outer *
// inner lines that runs along n.
#pragma once

#include <vector>

#include "ops/reduce/reduce.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow {

struct ScanOptions {
  int dim = 0;
};

/// Runs s along each line: s.start() makes a State, s.take(state, value, index, &result) moves it
/// and gives what stands at `index`; s.store(at, n, results) writes n of them.
template <class T, class S>
void scan(const Tensor& x, int dim, const S& s) {
  using State = typename S::State;
  using Result = typename S::Result;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < dim; ++i) outer *= x.shape()[i];
  for (int i = dim + 1; i < x.dim(); ++i) inner *= x.shape()[i];
  const int64_t n = x.dim() == 0 ? 1 : x.shape()[dim];
  if (outer * n * inner == 0) return;
  const int64_t tiles = (inner + kChunk - 1) / kChunk;
  const int64_t line = n * std::min(inner, kChunk);
  ElementReader<T> reader(x, x.shape());
  auto along_row = [&](int64_t row) {
    T scratch[kChunk];
    Result results[kChunk];
    State state = s.start();
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t count = std::min(kChunk, n - i);
      const T* values = reader.read(row * n + i, count, scratch);
      for (int64_t j = 0; j < count; ++j) s.take(state, values[j], i + j, results[j]);
      s.store(row * n + i, count, results);
    }
  };
  auto along_columns = [&](int64_t o, int64_t first) {
    T scratch[kChunk];
    Result results[kChunk];
    State states[kChunk];
    const int64_t width = std::min(kChunk, inner - first);
    for (int64_t c = 0; c < width; ++c) states[c] = s.start();
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = (o * n + i) * inner + first;
      const T* values = reader.read(at, width, scratch);
      for (int64_t c = 0; c < width; ++c) s.take(states[c], values[c], i, results[c]);
      s.store(at, width, results);
    }
  };
  parallel_for(outer * tiles, std::max<int64_t>(1, 8 * kChunk / line),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   if (inner == 1) {
                     along_row(i);
                   } else {
                     along_columns(i / tiles, i % tiles * kChunk);
                   }
                 }
               });
}

}  // namespace tallow
