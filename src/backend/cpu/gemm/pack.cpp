// Scratch memory, and the packed forms of f32 and bf16 weights.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/kernels.h"
#include "tallow/error.h"

namespace tallow::cpu {
namespace {

constexpr int kSlots = static_cast<int>(Scratch::kCount);
constexpr int64_t kHugePage = 1 << 21;
constexpr int64_t kShare = 5 << 16;  // of a huge page that slots have in common
constexpr int64_t kSmall = 1 << 15;  // bytes for which no huge page is taken
static_assert(kSlots * kShare <= kHugePage);

// Memory of huge pages: misses of the TLB cost products a tenth of their time, and pages that
// happen to meet in the caches as much.
std::byte* huge_pages(int64_t bytes) {
  void* memory = std::aligned_alloc(kHugePage, static_cast<size_t>(bytes));
  if (!memory) fail("matrix product: no memory for ", bytes, " bytes of workspace; free some");
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Memory = std::unique_ptr<std::byte, Free>;

struct Slots {
  std::byte* data[kSlots] = {};
  int64_t bytes[kSlots] = {};
  Memory own[kSlots], shared;

  void grow(int i, int64_t wanted) {
    own[i].reset();
    data[i] = nullptr, bytes[i] = 0;
    if (wanted <= kSmall) {
      own[i].reset(static_cast<std::byte*>(std::aligned_alloc(64, kSmall)));
      if (!own[i]) fail("matrix product: no memory for ", kSmall, " bytes of workspace; free some");
      data[i] = own[i].get(), bytes[i] = kSmall;
    } else if (wanted <= kShare) {
      if (!shared) shared.reset(huge_pages(kHugePage));
      data[i] = shared.get() + i * kShare, bytes[i] = kShare;
    } else {
      const int64_t size = round_up(wanted, kHugePage);
      own[i].reset(huge_pages(size));
      data[i] = own[i].get(), bytes[i] = size;
    }
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
  if (slots.bytes[i] < bytes) slots.grow(i, bytes);
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
