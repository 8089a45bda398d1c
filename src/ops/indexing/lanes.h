// The loops of gather and scatter: an index for each element along a dimension.
#pragma once

#include <algorithm>

#include "tallow/error.h"
#include "tallow/parallel.h"
#include "tallow/tensor.h"

namespace tallow {

enum class Reduce : uint8_t { assign, sum, prod, mean, amax, amin };

/// Offsets of rows of the last dimension, in elements of two layouts.
struct RowOffsets {
  int64_t a = 0, b = 0;
  RowOffsets(int64_t row, const Shape& shape, const Shape& x, const Shape& y) {
    for (int i = shape.size() - 2; i >= 0; --i) {
      const int64_t at = row % shape[i];
      row /= shape[i];
      a += at * x[i];
      b += at * y[i];
    }
  }
};

/// Throws IndexError unless all of n indices are in [0, size).
inline void check_range(const char* op, const int64_t* index, int64_t n, int64_t size) {
  uint64_t bad = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint64_t>(index[i]);
    bad |= at | (static_cast<uint64_t>(size) - 1 - at);
  }
  if (!(bad >> 63)) return;
  for (int64_t i = 0; i < n; ++i) {
    if (index[i] < 0 || index[i] >= size) {
      fail_index(op, ": index ", index[i], " is out of range for size ", size);
    }
  }
}

/// to[i][j] = from[index[i][j]][j] for dim 0, and so on; the index is contiguous. `size` is of that
/// dimension.
template <class T>
void gather_lanes(const Tensor& index, const Shape& strides, int dim, int64_t size, const T* from,
                  T* to) {
  if (index.numel() == 0) return;
  const Shape& shape = index.shape();
  const int last = shape.size() - 1;
  const int64_t n = shape[last], step = strides[dim];
  const int64_t along = dim == last ? 0 : strides[last];
  Shape others = strides;
  others[dim] = 0;
  const int64_t* at = index.data<int64_t>();
  // Rows may be few and long: they are divided too.
  const int64_t piece = std::min<int64_t>(n, 4 << 10), pieces = (n + piece - 1) / piece;
  parallel_for(index.numel() / n * pieces, std::max<int64_t>(1, (16 << 10) / piece),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i / pieces, first = i % pieces * piece;
                   const T* base = from + RowOffsets(row, shape, others, others).a;
                   const int64_t limit = std::min(n, first + piece);
                   const int64_t* list = at + row * n;
                   check_range("gather", list + first, limit - first, size);
                   T* target = to + row * n;
                   for (int64_t j = first; j < limit; ++j) {
                     target[j] = base[list[j] * step + j * along];
                   }
                 }
               });
}

/// f(out[index[i][j]][j], src[i][j]) for dim 0, and so on, in row-major order for each element of
/// out, which one thread alone writes. out and the index are contiguous.
template <class T, class F>
void scatter_lanes(const Tensor& out, int dim, const Tensor& index, const Tensor& src, const F& f) {
  if (index.numel() == 0) return;
  const Shape& shape = index.shape();
  const int last = shape.size() - 1;
  const int64_t n = shape[last], step = out.strides()[dim], size = out.shape()[dim];
  const int64_t along = dim == last ? 0 : out.strides()[last], stride = src.strides()[last];
  // A lane is a row, or a block of columns of all rows along dim.
  Shape outer = shape;
  if (dim != last) outer[dim] = 1;
  const int64_t lanes = outer.numel() / n, rows = dim == last ? 1 : shape[dim];
  const bool divides = dim != last && lanes < 4 * num_threads() && n >= 64;
  const int64_t parts = divides ? num_threads() : 1, block = (n + parts - 1) / parts;
  Shape others = out.strides();
  others[dim] = 0;
  const auto job = [&](int64_t lane, int64_t part) {
    const int64_t first = part * block, limit = std::min(n, first + block);
    const RowOffsets offsets(lane, outer, others, index.strides());
    T* base = static_cast<T*>(out.raw()) + offsets.a;
    const T* values =
        static_cast<const T*>(src.raw()) + RowOffsets(lane, outer, src.strides(), others).a;
    const int64_t* list = index.data<int64_t>() + offsets.b;
    for (int64_t r = 0; r < rows; ++r) {
      if (first < limit) check_range("scatter", list + first, limit - first, size);
      if (along == 0 && step == 1 && stride == 1) {
        for (int64_t j = first; j < limit; ++j) f(base[list[j]], values[j]);
      } else {
        for (int64_t j = first; j < limit; ++j) {
          f(base[list[j] * step + j * along], values[j * stride]);
        }
      }
      list += index.strides()[dim];
      values += src.strides()[dim];
    }
  };
  parallel_for(lanes * parts, std::max<int64_t>(1, (16 << 10) / (block * rows)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) job(i / parts, i % parts);
               });
}

}  // namespace tallow
