// The kernels of index, index_select, index_add and the like: slices read and written at positions.
#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "ops/indexing/indices.h"
#include "ops/shape/move.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr int64_t kGrainBytes = 64 << 10;

int64_t offset_of(int64_t at, const Shape& shape, const Shape& strides) {
  int64_t offset = 0;
  for (int i = shape.size() - 1; i >= 0; --i) {
    offset += at % shape[i] * strides[i];
    at /= shape[i];
  }
  return offset;
}

bool is_run(const Shape& shape, const Shape& strides) {
  int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

// Calls f(row, outer offset, first position, count) for the rows [outer, position) of a range.
template <class F>
void for_positions(const Slices& s, int64_t begin, int64_t end, const F& f) {
  for (int64_t row = begin; row < end;) {
    const int64_t first = row % s.count, n = std::min(s.count - first, end - row);
    f(row, offset_of(row / s.count, s.outer, s.outer_strides), first, n);
    row += n;
  }
}

// Runs of `bytes`, a constant where they are as short as an element.
template <class Copy>
void read_runs(const Slices& s, const std::byte* from, std::byte* to, int64_t element,
               int64_t bytes, const Copy& copy) {
  parallel_for(s.outer.numel() * s.count, std::max<int64_t>(1, kGrainBytes / bytes),
               [&](int64_t begin, int64_t end, int) {
                 for_positions(s, begin, end,
                               [&](int64_t row, int64_t offset, int64_t first, int64_t n) {
                                 const std::byte* base = from + offset * element;
                                 std::byte* target = to + row * bytes;
                                 const int64_t* at = s.positions + first;
                                 for (int64_t i = 0; i < n; ++i)
                                   copy(target + i * bytes, base + at[i] * element);
                               });
               });
}

// Every element of `out` is written by one thread, in the order of the positions: threads take
// whole outer slices where there are enough, else a range of the memory each.
template <class T, class F>
void combine(const Tensor& out, const Slices& s, const T* values, const F& f) {
  const int64_t outer = s.outer.numel(), run = s.inner.numel();
  const int64_t extent = out.numel() / std::max<int64_t>(outer, 1);
  const bool small = outer * s.count * run < 32 << 10;
  // Short runs are not worth a branch each.
  const int64_t parts = small || run < 16 || outer >= 4 * num_threads() ? 1 : num_threads();
  const int64_t part = (extent + parts - 1) / parts;
  T* to = static_cast<T*>(out.raw());
  std::vector<int64_t> inner;  // offsets, where the slices are no runs
  if (!is_run(s.inner, s.inner_strides)) {
    for (int64_t j = 0; j < run; ++j) inner.push_back(offset_of(j, s.inner, s.inner_strides));
  }
  parallel_for(outer * parts, small ? outer * parts : 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t o = job / parts, low = job % parts * part, high = low + part;
      T* base = to + offset_of(o, s.outer, s.outer_strides);
      const T* from = values + o * s.count * run;
      for (int64_t i = 0; i < s.count; ++i, from += run) {
        const int64_t at = s.positions[i];
        if (parts > 1 && (at < low || at >= high)) continue;
        if (inner.empty()) {
          for (int64_t j = 0; j < run; ++j) f(base[at + j], from[j]);
        } else {
          for (int64_t j = 0; j < run; ++j) f(base[at + inner[static_cast<size_t>(j)]], from[j]);
        }
      }
    }
  });
}

}  // namespace

void read_slices(const Tensor& x, const Slices& s, const Tensor& out) {
  if (out.numel() == 0) return;
  const int64_t element = info(x.dtype()).bytes, bytes = s.inner.numel() * element;
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(out.raw());
  if (!is_run(s.inner, s.inner_strides)) {
    const Shape strides = contiguous_strides(s.inner);
    parallel_for(s.outer.numel() * s.count, std::max<int64_t>(1, kGrainBytes / bytes),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t row = begin; row < end; ++row) {
                     const int64_t offset = offset_of(row / s.count, s.outer, s.outer_strides) +
                                            s.positions[row % s.count];
                     move_elements(s.inner, element, to + row * bytes, strides,
                                   from + offset * element, s.inner_strides);
                   }
                 });
    return;
  }
  if (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16) {
    with_bytes(bytes, [&]<class T>(T) {
      read_runs(s, from, to, element, bytes,
                [](std::byte* t, const std::byte* f) { std::memcpy(t, f, sizeof(T)); });
    });
    return;
  }
  read_runs(s, from, to, element, bytes, [bytes](std::byte* t, const std::byte* f) {
    std::memcpy(t, f, static_cast<size_t>(bytes));
  });
}

void write_slices(const Tensor& out, const Slices& s, const Tensor& values, bool add) {
  if (values.numel() == 0) return;
  if (!add) {
    with_bytes(info(out.dtype()).bytes, [&]<class T>(T) {
      combine(out, s, static_cast<const T*>(values.raw()), [](T& a, T b) { a = b; });
    });
    return;
  }
  with_accumulation_type(out.dtype(), [&]<class T>(T) {
    combine(out, s, static_cast<const T*>(values.raw()), [](T& a, T b) { a += b; });
  });
}

}  // namespace tallow
