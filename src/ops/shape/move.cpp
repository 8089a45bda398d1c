// Strided copies: runs where both sides have them, tiles where one side is transposed.
#include "ops/shape/move.h"

#include <algorithm>
#include <cstring>

#include "ops/shape/move_kernels.h"
#include "tallow/parallel.h"

namespace tallow {

MoveKernels move_kernels{};

namespace {

constexpr int64_t kGrainBytes = 128 << 10;
constexpr int64_t kTile = 32, kBand = 512;  // of the rows and columns of a transpose

struct Layout {
  int dims = 0;
  int64_t bytes;
  int64_t size[Shape::kMaxDims], to[Shape::kMaxDims], from[Shape::kMaxDims];

  void erase(int at) {
    for (int i = at; i + 1 < dims; ++i) {
      size[i] = size[i + 1], to[i] = to[i + 1], from[i] = from[i + 1];
    }
    --dims;
  }
  void swap(int a, int b) {
    std::swap(size[a], size[b]);
    std::swap(to[a], to[b]);
    std::swap(from[a], from[b]);
  }
};

// The target's order, neighbours merged, and short runs seen as wider elements.
Layout simplified(const Shape& shape, int64_t bytes, const Shape& to, const Shape& from,
                  uintptr_t addresses) {
  Layout l;
  l.bytes = bytes;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    l.size[l.dims] = shape[i], l.to[l.dims] = to[i], l.from[l.dims] = from[i];
    for (int j = l.dims++; j > 0 && l.to[j - 1] < l.to[j]; --j) l.swap(j - 1, j);
  }
  for (int i = l.dims - 2; i >= 0; --i) {
    if (l.to[i] != l.to[i + 1] * l.size[i + 1] || l.from[i] != l.from[i + 1] * l.size[i + 1]) {
      continue;
    }
    l.size[i] *= l.size[i + 1], l.to[i] = l.to[i + 1], l.from[i] = l.from[i + 1];
    l.erase(i + 1);
  }
  const int last = l.dims - 1;
  if (l.dims < 2 || l.to[last] != 1 || l.from[last] != 1) return l;
  const int64_t n = l.size[last], wide = n * bytes;
  bool fits = wide == 2 || wide == 4 || wide == 8 || wide == 16;
  fits &= addresses % static_cast<uintptr_t>(std::min<int64_t>(wide, 8)) == 0;
  for (int i = 0; i < last; ++i) fits &= l.to[i] % n == 0 && l.from[i] % n == 0;
  if (!fits) return l;
  for (int i = 0; i < last; ++i) l.to[i] /= n, l.from[i] /= n;
  l.bytes = wide;
  l.dims = last;
  return l;
}

// A position in the first `dims` dimensions, as offsets in bytes on both sides.
class Walker {
 public:
  Walker(const Layout& l, int dims, int64_t at) : l_(l), dims_(dims) {
    for (int i = dims - 1; i >= 0; --i) {
      index_[i] = at % l.size[i];
      at /= l.size[i];
      to += index_[i] * l.to[i] * l.bytes;
      from += index_[i] * l.from[i] * l.bytes;
    }
  }
  void next() {
    for (int i = dims_ - 1; i >= 0; --i) {
      to += l_.to[i] * l_.bytes;
      from += l_.from[i] * l_.bytes;
      if (++index_[i] < l_.size[i]) return;
      to -= l_.size[i] * l_.to[i] * l_.bytes;
      from -= l_.size[i] * l_.from[i] * l_.bytes;
      index_[i] = 0;
    }
  }
  int64_t to = 0, from = 0;

 private:
  const Layout& l_;
  int dims_;
  int64_t index_[Shape::kMaxDims];
};

int64_t outer_count(const Layout& l, int dims) {
  int64_t n = 1;
  for (int i = 0; i < dims; ++i) n *= l.size[i];
  return n;
}

// Calls f(target, source) for each row of the last dimension.
template <class F>
void for_rows(const Layout& l, std::byte* to, const std::byte* from, const F& f) {
  const int outer = l.dims - 1;
  const int64_t row = l.size[outer] * l.bytes;
  parallel_for(outer_count(l, outer), std::max<int64_t>(1, kGrainBytes / row),
               [&](int64_t begin, int64_t end, int) {
                 Walker at(l, outer, begin);
                 for (int64_t i = begin; i < end; ++i, at.next()) f(to + at.to, from + at.from);
               });
}

// Of `total` bytes in all.
void copy_run(std::byte* to, const std::byte* from, int64_t bytes, int64_t total) {
  if (total >= kStreamBytes && bytes >= 2048 && move_kernels.copy) {
    move_kernels.copy(to, from, bytes);
  } else {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
}

void copy_runs(const Layout& l, std::byte* to, const std::byte* from) {
  const int64_t row = l.size[l.dims - 1] * l.bytes, total = row * outer_count(l, l.dims - 1);
  for_rows(l, to, from, [=](std::byte* t, const std::byte* f) { copy_run(t, f, row, total); });
}

void copy_one_run(int64_t n, std::byte* to, const std::byte* from) {
  parallel_for(n, kGrainBytes, [&](int64_t begin, int64_t end, int) {
    copy_run(to + begin, from + begin, end - begin, n);
  });
}

template <class T>
void copy_strided(const Layout& l, std::byte* to, const std::byte* from) {
  const int last = l.dims - 1;
  const int64_t n = l.size[last], step = l.to[last], stride = l.from[last];
  for_rows(l, to, from, [=](std::byte* t, const std::byte* f) {
    T* target = reinterpret_cast<T*>(t);
    const T* source = reinterpret_cast<const T*>(f);
    if (step == 1 && stride == 0) {
      std::fill_n(target, n, *source);
    } else if (step == 1) {
      for (int64_t i = 0; i < n; ++i) target[i] = source[i * stride];
    } else {
      for (int64_t i = 0; i < n; ++i) target[i * step] = source[i * stride];
    }
  });
}

template <class T>
void transpose_block(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t rows,
                     int64_t columns, bool stream) {
  if (move_kernels.transpose && sizeof(T) <= 8 && sizeof(T) >= 2) {
    return move_kernels.transpose(to, to_stride, from, from_stride, rows, columns, sizeof(T),
                                  stream);
  }
  constexpr int64_t kStep = 16;
  for (int64_t r = 0; r < rows; r += kStep) {
    const int64_t limit = std::min(rows, r + kStep);
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t i = r; i < limit; ++i) to[c * to_stride + i] = from[i * from_stride + c];
    }
  }
}

// The last dimension runs in the target, the one before it in the source.
template <class T>
void copy_transposed(const Layout& l, std::byte* to, const std::byte* from) {
  const int last = l.dims - 1, outer = l.dims - 2;
  const int64_t rows = l.size[last], columns = l.size[outer];
  const int64_t row_tiles = (rows + kTile - 1) / kTile;
  // Long bands of columns keep the source's rows streaming.
  const bool stream = outer_count(l, l.dims) * l.bytes >= kStreamBytes;
  const int64_t bands = (columns + kBand - 1) / kBand, tiles = row_tiles * bands;
  const int64_t tile_bytes = std::min(rows, kTile) * std::min(columns, kBand) * l.bytes;
  parallel_for(outer_count(l, outer) * tiles, std::max<int64_t>(1, kGrainBytes / tile_bytes),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const Walker at(l, outer, i / tiles);
                   const int64_t r = i % tiles / bands * kTile, c = i % bands * kBand;
                   T* target = reinterpret_cast<T*>(to + at.to) + c * l.to[outer] + r;
                   const T* source =
                       reinterpret_cast<const T*>(from + at.from) + r * l.from[last] + c;
                   transpose_block(target, l.to[outer], source, l.from[last],
                                   std::min(kTile, rows - r), std::min(kBand, columns - c), stream);
                 }
               });
}

// The dimension that runs in the source, moved next to the last; false where there is none.
bool transposes(Layout& l) {
  const int last = l.dims - 1;
  if (l.dims < 2 || l.to[last] != 1 || l.from[last] <= 1) return false;
  for (int i = last - 1; i >= 0; --i) {
    if (l.from[i] != 1 || l.size[i] < 4 || l.size[last] < 4) continue;
    for (int j = i; j + 1 < last; ++j) l.swap(j, j + 1);
    return true;
  }
  return false;
}

}  // namespace

void move_elements(const Shape& shape, int64_t bytes, std::byte* to, const Shape& to_strides,
                   const std::byte* from, const Shape& from_strides) {
  if (shape.numel() == 0) return;
  Layout l = simplified(shape, bytes, to_strides, from_strides,
                        reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from));
  if (l.dims == 0) {
    std::memcpy(to, from, static_cast<size_t>(l.bytes));
    return;
  }
  const int last = l.dims - 1;
  if (l.to[last] == 1 && l.from[last] == 1) {
    return l.dims == 1 ? copy_one_run(l.size[0] * l.bytes, to, from) : copy_runs(l, to, from);
  }
  with_bytes(l.bytes, [&]<class T>(T) {
    if (l.dims == 1) {
      // One long row is divided like many.
      const int64_t n = l.size[0], step = l.to[0], stride = l.from[0];
      parallel_for(n, kGrainBytes / l.bytes, [&](int64_t begin, int64_t end, int) {
        Layout part = l;
        part.size[0] = end - begin;
        copy_strided<T>(part, to + begin * step * l.bytes, from + begin * stride * l.bytes);
      });
    } else if (transposes(l)) {
      copy_transposed<T>(l, to, from);
    } else {
      copy_strided<T>(l, to, from);
    }
  });
}

void move_elements(const Tensor& from, std::byte* to, const Shape& to_strides) {
  move_elements(from.shape(), info(from.dtype()).bytes, to, to_strides,
                static_cast<const std::byte*>(from.raw()), from.strides());
}

}  // namespace tallow
