// An allocator for the handles that every op makes and frees: a thread keeps a few blocks.
#pragma once

#include <cstddef>
#include <new>

namespace tallow {

/// For std::allocate_shared: blocks of one size, the last freed first.
template <class T>
class Recycler {
 public:
  using value_type = T;
  Recycler() = default;
  template <class U>
  Recycler(const Recycler<U>&) {}  // NOLINT(google-explicit-constructor): rebinding

  T* allocate(size_t n) {
    Blocks& kept = blocks();
    if (n == 1 && kept.count > 0) return static_cast<T*>(kept.list[--kept.count]);
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* block, size_t n) {
    Blocks& kept = blocks();
    if (n == 1 && kept.count < kept.capacity) {
      kept.list[kept.count++] = block;
    } else {
      ::operator delete(block);
    }
  }
  friend bool operator==(const Recycler&, const Recycler&) { return true; }

 private:
  struct Blocks {
    static constexpr int kBlocks = 64;
    void* list[kBlocks];
    int count = 0;
    int capacity = kBlocks;
    ~Blocks() {
      while (count > 0) ::operator delete(list[--count]);
      capacity = 0;  // what is freed after the thread's end goes to the system
    }
  };
  static Blocks& blocks() {
    static thread_local Blocks instance;
    return instance;
  }
};

}  // namespace tallow
