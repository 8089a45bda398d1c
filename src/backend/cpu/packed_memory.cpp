// A bump allocator over chunks of huge pages. A chunk goes back to the system when the last tensor
// in it is gone; the pages that nothing touched never took memory.
#include "backend/cpu/packed_memory.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "tallow/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tallow::cpu {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
/// What 48-bit pointers reach.
constexpr int64_t kAddressable = int64_t{1} << 47;
constexpr int64_t kChunk = int64_t{32} << 20;
/// Larger requests get a chunk of their own: at most a huge page of it is wasted.
constexpr int64_t kShared = kChunk / 2;

std::shared_ptr<std::byte> chunk(int64_t bytes) {
  const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const int64_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(rounded));
#if defined(__linux__)
  if (p && alignment == kHugePage) madvise(p, static_cast<size_t>(rounded), MADV_HUGEPAGE);
#endif
  return {static_cast<std::byte*>(p), [](std::byte* memory) { std::free(memory); }};
}

struct Shared {
  std::mutex mutex;
  std::shared_ptr<std::byte> memory;
  int64_t used = kChunk;
};

Shared& shared() {
  static Shared instance;
  return instance;
}

}  // namespace

std::shared_ptr<std::byte> packed_memory(int64_t bytes) {
  if (bytes < 0 || bytes > kAddressable) {
    fail("packed weights: ", bytes, " bytes cannot be addressed; use a smaller model");
  }
  const int64_t rounded = (std::max<int64_t>(bytes, 1) + 63) / 64 * 64;
  if (rounded <= kShared) {
    Shared& s = shared();
    const std::lock_guard lock(s.mutex);
    if (s.used + rounded > kChunk) {
      if (std::shared_ptr<std::byte> next = chunk(kChunk)) {
        s.memory = std::move(next);
        s.used = 0;
      }
    }
    if (s.used + rounded <= kChunk) {
      const int64_t at = s.used;
      s.used += rounded;
      return {s.memory, s.memory.get() + at};
    }
  }
  std::shared_ptr<std::byte> own = chunk(rounded);
  if (!own) fail("packed weights: ", bytes, " bytes of memory cannot be had; use a smaller model");
  return own;
}

}  // namespace tallow::cpu
