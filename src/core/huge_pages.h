// Large tables in huge pages: touching fresh memory in small ones costs more than filling it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <sys/mman.h>

namespace tallow {

/// Asks for huge pages where memory that is yet to be touched is large.
inline void advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = 4096;
  constexpr size_t kLarge = size_t{4} << 20;
  if (bytes < kLarge) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) & ~(kPage - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~(kPage - 1);
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

template <class T>
struct HugePageAllocator {
  using value_type = T;
  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}
  T* allocate(size_t n) {
    T* data = std::allocator<T>().allocate(n);
    advise_huge_pages(data, n * sizeof(T));
    return data;
  }
  void deallocate(T* data, size_t n) { std::allocator<T>().deallocate(data, n); }
  bool operator==(const HugePageAllocator&) const { return true; }
};

/// A vector that may be large.
template <class T>
using LargeVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace tallow
