// A bump allocator over chunks of huge pages. What is given back serves the next request of the
// same size, without memory but for the last few megabytes; a chunk goes back to the system when
// the last tensor in it is gone. The pages that nothing touched never took memory.
#include "backend/cpu/packed_memory.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tallow/buffer.h"
#include "tallow/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tallow::cpu {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
/// What 48-bit pointers reach.
constexpr int64_t kAddressable = int64_t{1} << 47;
constexpr int64_t kChunk = int64_t{32} << 20;
/// Larger requests get a chunk of their own: at most a huge page of it is wasted.
constexpr int64_t kShared = kChunk / 2;
/// Unused memory that keeps its pages for the next tensor.
constexpr int64_t kWarm = int64_t{32} << 20;

std::byte* huge_pages(int64_t bytes) {
  const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const int64_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(rounded));
#if defined(__linux__)
  if (p && alignment == kHugePage) madvise(p, static_cast<size_t>(rounded), MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(p);
}

/// Gives the pages inside of [p, p + bytes) back to the system.
void let_go(std::byte* p, int64_t bytes) {
#if defined(__linux__)
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<uintptr_t>(p);
  const uintptr_t begin = (at + page - 1) / page * page;
  const uintptr_t end = (at + static_cast<uintptr_t>(bytes)) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
#else
  (void)p, (void)bytes;
#endif
}

/// The requests that share chunks.
class Chunks {
 public:
  static Chunks& instance() {
    static Chunks* chunks = new Chunks;  // outlives every tensor
    return *chunks;
  }

  /// Null where there is no memory.
  std::shared_ptr<std::byte> take(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    Range range = reuse(bytes);
    if (!range.memory) range = cut(bytes);
    if (!range.memory) return nullptr;
    ++range.chunk->live;
    return {range.memory, [this, range, bytes](std::byte*) { give(range, bytes); }};
  }

 private:
  struct Chunk {
    std::byte* memory;
    int64_t used = 0, live = 0;  // bytes that were cut off; ranges in use
  };
  struct Range {
    std::byte* memory = nullptr;
    Chunk* chunk = nullptr;
    bool warm = false;  // has its pages still
  };

  Range reuse(int64_t bytes) {
    const auto same = free_.find(bytes);
    if (same == free_.end()) return {};
    const Range range = same->second.back();
    same->second.pop_back();
    if (same->second.empty()) free_.erase(same);
    if (range.warm) warm_ -= bytes;
    return range;
  }

  Range cut(int64_t bytes) {
    if (!current_ || current_->used + bytes > kChunk) {
      std::byte* memory = huge_pages(kChunk);
      if (!memory) return {};
      Chunk* before = std::exchange(current_, new Chunk{memory});
      if (before && before->live == 0) free(before);
    }
    std::byte* memory = current_->memory + current_->used;
    current_->used += bytes;
    return {memory, current_};
  }

  void give(Range range, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (--range.chunk->live == 0 && range.chunk != current_) return free(range.chunk);
    range.warm = warm_ + bytes <= kWarm;
    if (range.warm) {
      warm_ += bytes;
    } else {
      let_go(range.memory, bytes);
    }
    free_[bytes].push_back(range);
  }

  void free(Chunk* chunk) {
    for (auto same = free_.begin(); same != free_.end();) {
      auto& [bytes, ranges] = *same;
      std::erase_if(ranges, [&, size = bytes](const Range& range) {
        if (range.chunk == chunk && range.warm) warm_ -= size;
        return range.chunk == chunk;
      });
      same = ranges.empty() ? free_.erase(same) : std::next(same);
    }
    std::free(chunk->memory);
    delete chunk;
  }

  std::mutex mutex_;
  Chunk* current_ = nullptr;
  std::map<int64_t, std::vector<Range>> free_;  // by size
  int64_t warm_ = 0;                            // bytes of them that have their pages
};

}  // namespace

std::shared_ptr<std::byte> packed_memory(int64_t bytes) {
  if (bytes < 0 || bytes > kAddressable) {
    fail("packed weights: ", bytes, " bytes cannot be addressed; use a smaller model");
  }
  const int64_t rounded = (std::max<int64_t>(bytes, 1) + 63) / 64 * 64;
  if (rounded <= kShared) {
    if (std::shared_ptr<std::byte> shared = Chunks::instance().take(rounded)) return shared;
  }
  if (std::byte* own = huge_pages(rounded)) return {own, [](std::byte* p) { std::free(p); }};
  fail("packed weights: ", bytes, " bytes of memory cannot be had; set TALLOW_WEIGHT_MEMORY to ",
       "fewer gigabytes than ", static_cast<double>(weight_memory()) * 1e-9);
}

}  // namespace tallow::cpu
