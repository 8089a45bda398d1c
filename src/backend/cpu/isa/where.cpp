// The vector loops of `where`, compiled once per level.
#include "backend/cpu/elementwise.h"
#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct Wide {
  uint64_t low, high;
};

template <class Bits>
void where_loop(const void* const* in, void* out, int64_t n, unsigned single, const double*) {
  const auto* mask = static_cast<const uint8_t*>(in[0]);
  const Bits *a = static_cast<const Bits*>(in[1]), *b = static_cast<const Bits*>(in[2]);
  Bits* y = static_cast<Bits*>(out);
  if (single == 0) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const Bits x = a[i], z = b[i];
      y[i] = mask[i] ? x : z;
    }
  } else if (single == 4) {
    const Bits one = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const Bits x = a[i];
      y[i] = mask[i] ? x : one;
    }
  } else if (single == 2) {
    const Bits one = *a;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const Bits z = b[i];
      y[i] = mask[i] ? one : z;
    }
  } else {
    const int64_t i0 = ~single & 1, i1 = ~single >> 1 & 1, i2 = ~single >> 2 & 1;
    for (int64_t i = 0; i < n; ++i) y[i] = mask[i * i0] ? a[i * i1] : b[i * i2];
  }
}

}  // namespace

extern const elementwise::WhereLoops where_loops;
const elementwise::WhereLoops where_loops{where_loop<uint8_t>, where_loop<uint16_t>,
                                          where_loop<uint32_t>, where_loop<uint64_t>,
                                          where_loop<Wide>};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
