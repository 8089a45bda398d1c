// The random kernels for the level being compiled.
// Multiplications and additions stay apart, so that every level rounds alike.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
#include "ops/creation/draws.h"

#include <utility>

#include "backend/cpu/isa/simd.h"
#include "backend/cpu/move.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL >= 1
using Counters = uint64_t __attribute__((vector_size(kLanes * 4)));  // of which the low half counts
constexpr int kCounters = kLanes / 2;

TALLOW_INLINE Counters product(Counters a, uint32_t b) {
  const Counters wide = uint64_t{b} - Counters{};
#if TALLOW_ISA_LEVEL >= 2
  const __m512i p = _mm512_mul_epu32(load_as<__m512i>(&a), load_as<__m512i>(&wide));
#else
  const __m256i p = _mm256_mul_epu32(load_as<__m256i>(&a), load_as<__m256i>(&wide));
#endif
  return load_as<Counters>(&p);
}

template <int... Lane>
TALLOW_INLINE void store_blocks(uint32_t* to, Counters low, Counters high,
                                std::integer_sequence<int, Lane...>) {
  // Lane i of low, lane i of high, and so on.
  constexpr int kHalf = kCounters / 2;
  store_as(to, __builtin_shufflevector(low, high, (Lane / 2 + Lane % 2 * kCounters)...));
  store_as(to + kLanes,
           __builtin_shufflevector(low, high, (kHalf + Lane / 2 + Lane % 2 * kCounters)...));
}

// As draws::philox_words, with a vector of counters.
void philox_words(uint64_t seed, uint64_t first, int64_t n, uint32_t* words) {
  const int64_t whole = n / kCounters * kCounters;
  for (int64_t done = 0; done < whole; done += kCounters) {
    Counters c0, c2{}, c3{};
    for (int i = 0; i < kCounters; ++i) c0[i] = first + static_cast<uint64_t>(done + i);
    Counters c1 = c0 >> 32;
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const Counters p0 = product(c0, 0xD2511F53), p1 = product(c2, 0xCD9E8D57);
      c0 = (p1 >> 32) ^ c1 ^ uint64_t { k0 };
      c2 = (p0 >> 32) ^ c3 ^ uint64_t { k1 };
      c1 = p1;
      c3 = p0;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    constexpr uint64_t kLow = 0xFFFFFFFF;
    store_blocks(words + 4 * done, (c0 & kLow) | (c1 << 32), (c2 & kLow) | (c3 << 32),
                 std::make_integer_sequence<int, kCounters>());
  }
  draws::philox_words(seed, first + static_cast<uint64_t>(whole), n - whole, words + 4 * whole);
}
#else
constexpr auto philox_words = draws::philox_words;
#endif

}  // namespace

const DrawKernels draw_kernels{philox_words, draws::uniform_floats, draws::normal_floats};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
