// Which instruction set runs: asked of CPUID and of the operating system once, and lowered by
// TALLOW_ISA. A model number is never consulted.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include "backend/cpu/kernels.h"
#include "tallow/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace tallow::cpu {
namespace {

constexpr const char* kNames[] = {"portable",    "avx2",        "avx512",
                                  "avx512_vnni", "avx512_bf16", "amx"};
constexpr int kLevels = static_cast<int>(std::size(kNames));

#if defined(__x86_64__)

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Leaf leaf(unsigned index, unsigned sub = 0) {
  Leaf l;
  __get_cpuid_count(index, sub, &l.a, &l.b, &l.c, &l.d);
  return l;
}

bool bit(unsigned word, int index) { return (word >> index) & 1; }

__attribute__((target("xsave"))) uint64_t enabled_states() { return _xgetbv(0); }

// Tile registers enlarge the signal frame, so Linux gives them out on request, once a process.
bool amx_permitted() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

Isa detect() {
  Leaf basic = leaf(1);
  if (!bit(basic.c, 27)) return Isa::portable;  // OSXSAVE: without it XGETBV faults
  uint64_t states = enabled_states();
  constexpr uint64_t ymm = 0x6, zmm = 0xe6, tiles = 0x60000;
  Leaf extended = leaf(7), more = leaf(7, 1);
  bool avx2 = (states & ymm) == ymm && bit(basic.c, 12) && bit(basic.c, 29) &&  // FMA, F16C
              bit(extended.b, 5) && bit(extended.b, 8);                         // AVX2, BMI2
  if (!avx2) return Isa::portable;
  bool avx512 = (states & zmm) == zmm && bit(extended.b, 16) && bit(extended.b, 17) &&
                bit(extended.b, 30) && bit(extended.b, 31);  // F, DQ, BW, VL
  if (!avx512) return Isa::avx2;
  if (!bit(extended.c, 11)) return Isa::avx512;
  if (!bit(more.a, 5)) return Isa::avx512_vnni;
  bool amx = (states & tiles) == tiles && bit(extended.d, 22) && bit(extended.d, 24) &&
             bit(extended.d, 25);  // BF16, TILE, INT8
  return amx && amx_permitted() ? Isa::amx : Isa::avx512_bf16;
}

#else

Isa detect() { return Isa::portable; }

#endif

Isa choose() {
  Isa best = detect();
  const char* wanted = std::getenv("TALLOW_ISA");
  if (!wanted || !*wanted) return best;
  for (int i = 0; i < kLevels; ++i) {
    if (std::strcmp(wanted, kNames[i]) == 0) return std::min(best, static_cast<Isa>(i));
  }
  std::string known;
  for (const char* name : kNames) known += str(known.empty() ? "" : ", ", name);
  fail("TALLOW_ISA: unknown instruction set '", wanted, "'; use one of ", known);
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* to_string(Isa isa) { return kNames[static_cast<int>(isa)]; }

}  // namespace tallow::cpu
