// The CPU backend's entry: which instruction set runs, and the binding of its kernels to ops.
#pragma once

#include <cstdint>

namespace tallow::cpu {

enum class Isa : uint8_t { portable, avx2, avx512, avx512_vnni, avx512_bf16, amx };

/// The highest level that this CPU and system allow (AMX asks the kernel for permission, once),
/// lowered by TALLOW_ISA. Throws Error for an unknown TALLOW_ISA.
Isa isa();
const char* to_string(Isa isa);

/// Binds this backend's kernels to the ops. Called once, by the first use of the library.
void bind();

}  // namespace tallow::cpu

/// The table that src/backend/cpu/isa defines for the level of isa() or the next one below.
#if defined(__x86_64__)
#define TALLOW_BY_ISA(table)                                              \
  (::tallow::cpu::isa() >= ::tallow::cpu::Isa::avx512 ? isa_avx512::table \
   : ::tallow::cpu::isa() >= ::tallow::cpu::Isa::avx2 ? isa_avx2::table   \
                                                      : isa_portable::table)
#else
#define TALLOW_BY_ISA(table) isa_portable::table
#endif
