// The vector loops of the elementwise tables, a set per instruction set.
#pragma once

#include "ops/elements.h"
#include "ops/elementwise/loops.h"
#include "ops/elementwise/where.h"

namespace tallow::cpu {

// In the order of the rows of each table.
#define TALLOW_LEVEL(level)                                                                  \
  namespace level {                                                                          \
  extern const elementwise::Loops arithmetic_loops[], functions_loops[], activation_loops[]; \
  extern const elementwise::WhereLoops where_loops;                                          \
  void fill_conversions(elementwise::ConvertTable& table);                                   \
  }
TALLOW_LEVEL(isa_portable)
TALLOW_LEVEL(isa_avx2)
TALLOW_LEVEL(isa_avx512)
#undef TALLOW_LEVEL

/// Replaces the portable loops by those of the machine's instruction set.
void bind_elementwise();

}  // namespace tallow::cpu
