// The kernels of copies that a backend may give.
#pragma once

#include <cstdint>

namespace tallow {

/// Null where the portable loops are used. `stream`: past the caches.
struct MoveKernels {
  /// Copies a [rows, columns] matrix, whose rows are `from_stride` elements apart, to its
  /// transpose, whose rows are `to_stride` apart. Elements have 2, 4 or 8 bytes.
  void (*transpose)(void* to, int64_t to_stride, const void* from, int64_t from_stride,
                    int64_t rows, int64_t columns, int64_t bytes, bool stream);
  /// A copy past the caches.
  void (*copy)(void* to, const void* from, int64_t bytes);
  /// Fills past the caches with eight bytes again and again.
  void (*fill)(void* to, uint64_t pattern, int64_t bytes);
};
extern MoveKernels move_kernels;

/// From how many bytes on a result is written past the caches: what no L2 holds.
inline constexpr int64_t kStreamBytes = 8 << 20;

}  // namespace tallow
