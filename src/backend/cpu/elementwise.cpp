#include "backend/cpu/elementwise.h"

#include "backend/cpu/kernels.h"
#include "ops/elementwise/rows.h"

namespace tallow::cpu {
namespace {

using elementwise::Loops;

#define ROW(name, ...) &elementwise::name##_loops,
#define UNARY ROW
#define BINARY ROW
#define TERNARY ROW
#define UNARY_P ROW
#define BINARY_P ROW
#define TERNARY_P ROW
Loops* const kArithmetic[] = {
#include "ops/elementwise/arithmetic.def"
};
Loops* const kFunctions[] = {
#include "ops/elementwise/functions.def"
};
Loops* const kActivation[] = {
#include "ops/elementwise/activation.def"
};

// Complex numbers keep their portable loop.
template <size_t N>
void replace(Loops* const (&rows)[N], const Loops* fast, bool light) {
  for (Loops* row : rows) {
    elementwise::Loop complex = row->c128;
    *row = *fast++;
    row->c128 = complex;
    row->light = light;
  }
}

}  // namespace

void bind_elementwise() {
#define BIND(level)                                     \
  replace(kArithmetic, level::arithmetic_loops, true);  \
  replace(kFunctions, level::functions_loops, false);   \
  replace(kActivation, level::activation_loops, false); \
  elementwise::where_loops = level::where_loops;        \
  level::fill_conversions(elementwise::convert_loops)
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) {
    BIND(isa_avx512);
    return;
  }
  if (isa() >= Isa::avx2) {
    BIND(isa_avx2);
    return;
  }
#endif
  BIND(isa_portable);
}

}  // namespace tallow::cpu
