// Memory for repacked weights: many tensors share huge pages, which saves page faults and TLB
// misses where most tensors are smaller than one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "tallow/parallel.h"

namespace tallow::cpu {

/// Uninitialized bytes aligned to 64, that live as long as the pointer. Throws Error when they
/// cannot be had.
std::shared_ptr<std::byte> packed_memory(int64_t bytes);

/// Told that packing has read bytes [offset, offset + bytes) of its source.
using SourceRead = std::function<void(int64_t offset, int64_t bytes)>;

/// Calls pack(begin, end) in parallel over ranges of groups of rows, each `group_bytes` of the
/// source, and `read` after every 16 MiB: a large tensor is never in memory twice.
template <class F>
void pack_slices(int64_t groups, int64_t group_bytes, const SourceRead& read, const F& pack) {
  const int64_t bytes = std::max<int64_t>(group_bytes, 1);
  const int64_t slice = std::max<int64_t>(1, (16 << 20) / bytes);
  const int64_t grain = std::max<int64_t>(1, (256 << 10) / bytes);
  for (int64_t first = 0; first < groups; first += slice) {
    const int64_t count = std::min(slice, groups - first);
    parallel_for(count, grain,
                 [&](int64_t begin, int64_t end, int) { pack(first + begin, first + end); });
    if (read) read(first * group_bytes, count * group_bytes);
  }
}

}  // namespace tallow::cpu
