// Size classes of a quarter power of two; small blocks are cached per thread, large ones shared.
#include "core/pool.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "tallow/buffer.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSmall = 64 << 10;
constexpr int64_t kMaxCached = int64_t{1} << 30;  // larger blocks go straight back to the system
constexpr size_t kThreadBlocks = 16;

std::atomic<int64_t> in_use{0}, cached{0}, peak{0};

// Classes are 4 steps per power of two, so that at most a quarter of a block is slack.
constexpr int size_class(int64_t bytes) {
  uint64_t units =
      static_cast<uint64_t>((std::max<int64_t>(bytes, 1) + kAlignment - 1) / kAlignment);
  if (units <= 4) return static_cast<int>(units) - 1;
  int shift = std::bit_width(units - 1) - 3;
  return 4 * shift + static_cast<int>((units - 1) >> shift);
}

constexpr int kClasses = size_class(kMaxCached) + 1;

int64_t class_bytes(int index) {
  if (index < 4) return (index + 1) * kAlignment;
  int shift = index / 4 - 1;
  return ((static_cast<int64_t>(index % 4 + 4) + 1) << shift) * kAlignment;
}

std::byte* system_allocate(int64_t bytes) {
  int64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!data) fail("out of memory: ", bytes, " bytes could not be had");
#ifdef MADV_HUGEPAGE
  if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(data);
}

struct Shared {
  std::mutex mutex;
  std::vector<std::byte*> blocks[kClasses];
};
Shared& shared() {
  static Shared* instance = new Shared;  // outlives every thread's cache
  return *instance;
}

// A thread's own free blocks of the small classes, given to the shared lists when it ends.
struct ThreadCache {
  std::vector<std::byte*> blocks[kClasses];
  ~ThreadCache() {
    std::lock_guard lock(shared().mutex);
    for (int i = 0; i < kClasses; ++i) {
      auto& target = shared().blocks[i];
      target.insert(target.end(), blocks[i].begin(), blocks[i].end());
      blocks[i].clear();
    }
    ended = true;
  }
  static thread_local bool ended;
};
thread_local bool ThreadCache::ended = false;

ThreadCache* thread_cache() {
  static thread_local ThreadCache cache;
  return ThreadCache::ended ? nullptr : &cache;
}

std::byte* take(std::vector<std::byte*>& list, int64_t bytes) {
  if (list.empty()) return nullptr;
  std::byte* data = list.back();
  list.pop_back();
  cached.fetch_sub(bytes, std::memory_order_relaxed);
  return data;
}

}  // namespace

std::byte* pool_allocate(int64_t bytes) {
  if (bytes < 0 || bytes > (int64_t{1} << 56)) fail("out of memory: ", bytes, " bytes asked for");
  int index = size_class(bytes);
  int64_t rounded = bytes > kMaxCached ? bytes : class_bytes(index);
  std::byte* data = nullptr;
  if (ThreadCache* cache = rounded <= kSmall ? thread_cache() : nullptr) {
    data = take(cache->blocks[index], rounded);
  }
  if (!data && rounded <= kMaxCached) {
    std::lock_guard lock(shared().mutex);
    data = take(shared().blocks[index], rounded);
  }
  if (!data) data = system_allocate(rounded);
  int64_t now = in_use.fetch_add(rounded, std::memory_order_relaxed) + rounded;
  if (now > peak.load(std::memory_order_relaxed)) peak.store(now, std::memory_order_relaxed);
  return data;
}

void pool_free(std::byte* data, int64_t bytes) {
  int index = size_class(bytes);
  int64_t rounded = bytes > kMaxCached ? bytes : class_bytes(index);
  in_use.fetch_sub(rounded, std::memory_order_relaxed);
  if (rounded > kMaxCached) return std::free(data);
  cached.fetch_add(rounded, std::memory_order_relaxed);
  if (ThreadCache* cache = rounded <= kSmall ? thread_cache() : nullptr) {
    if (cache->blocks[index].size() < kThreadBlocks) return cache->blocks[index].push_back(data);
  }
  std::lock_guard lock(shared().mutex);
  shared().blocks[index].push_back(data);
}

PoolStats pool_stats() { return {in_use.load(), cached.load(), peak.load()}; }

void trim_pool() {
  std::lock_guard lock(shared().mutex);
  for (int i = 0; i < kClasses; ++i) {
    for (std::byte* data : shared().blocks[i]) std::free(data);
    cached.fetch_sub(static_cast<int64_t>(shared().blocks[i].size()) * class_bytes(i));
    shared().blocks[i].clear();
  }
}

}  // namespace tallow
