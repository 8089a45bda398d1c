// Scratch memory, and the packed forms of f32 and bf16 weights.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/kernels.h"
#include "tallow/error.h"

namespace tallow::cpu {
namespace {

struct Slots {
  std::byte* data[static_cast<int>(Scratch::kCount)] = {};
  int64_t bytes[static_cast<int>(Scratch::kCount)] = {};
  ~Slots() {
    for (std::byte* p : data) std::free(p);
  }
};
thread_local Slots slots;
thread_local bool undivided = false;

// `rows` 32-bit words of a row of `k`, in groups of 16 rows of `words` (the rest is zero).
std::shared_ptr<void> pack_words(const std::byte* source, int64_t row_bytes, int64_t n, int64_t k,
                                 int64_t words, const SourceRead& read) {
  const int64_t groups = ceil_div(n, kGroup);
  std::shared_ptr<void> form = packed_memory(groups * words * kGroup * 4);
  auto* target = static_cast<uint32_t*>(form.get());
  const GemmKernels& kernels = gemm_kernels();
  const bool aligned = (row_bytes | reinterpret_cast<intptr_t>(source)) % 4 == 0;
  pack_slices(groups, kGroup * row_bytes, read, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int rows = static_cast<int>(std::min<int64_t>(kGroup, n - g * kGroup));
      const std::byte* from = source + g * kGroup * row_bytes;
      const auto* first = reinterpret_cast<const uint32_t*>(from);
      int64_t ld = row_bytes / 4;
      if (!aligned && k > 0) {  // bf16 of an odd row or address: copied, with a zero behind
        auto* copy = reinterpret_cast<uint32_t*>(scratch(Scratch::rows, kGroup * k * 4));
        for (int r = 0; r < rows; ++r) {
          copy[r * k + k - 1] = 0;
          std::memcpy(copy + r * k, from + r * row_bytes, static_cast<size_t>(row_bytes));
        }
        first = copy, ld = k;
      }
      uint32_t* group = target + g * words * kGroup;
      kernels.interleave_32(rows, k, first, ld, group, kGroup);
      std::memset(group + k * kGroup, 0, static_cast<size_t>((words - k) * kGroup * 4));
    }
  });
  return form;
}

}  // namespace

UndividedProducts::UndividedProducts(bool value) : before_(undivided) { undivided |= value; }
UndividedProducts::~UndividedProducts() { undivided = before_; }
int64_t product_threads() { return undivided ? 1 : num_threads(); }

std::byte* scratch(Scratch slot, int64_t bytes) {
  const int i = static_cast<int>(slot);
  if (slots.bytes[i] < bytes) {
    std::free(slots.data[i]);
    slots.data[i] = nullptr, slots.bytes[i] = 0;
    const int64_t size = round_up(bytes, bytes >= (1 << 21) ? 1 << 21 : 4096);
    void* memory = std::aligned_alloc(size >= (1 << 21) ? 1 << 21 : 64, static_cast<size_t>(size));
    if (!memory) fail("matrix product: no memory for ", bytes, " bytes of workspace; free some");
    if (size >= (1 << 21)) madvise(memory, static_cast<size_t>(size), MADV_HUGEPAGE);
    slots.data[i] = static_cast<std::byte*>(memory), slots.bytes[i] = size;
  }
  return slots.data[i];
}

std::shared_ptr<void> pack_groups(const float* rows, int64_t n, int64_t k, const SourceRead& read) {
  return pack_words(reinterpret_cast<const std::byte*>(rows), k * 4, n, k, k, read);
}

std::shared_ptr<void> pack_pairs(const uint16_t* rows, int64_t n, int64_t k,
                                 const SourceRead& read) {
  return pack_words(reinterpret_cast<const std::byte*>(rows), k * 2, n, ceil_div(k, 2),
                    round_up(k, 32) / 2, read);
}

const GemmKernels& gemm_kernels() {
  static const GemmKernels& chosen = TALLOW_BY_ISA(gemm_kernels);
  return chosen;
}

const DotKernels& dot_kernels() {
  static const DotKernels& chosen = TALLOW_BY_ISA(dot_kernels);
  return chosen;
}

}  // namespace tallow::cpu
