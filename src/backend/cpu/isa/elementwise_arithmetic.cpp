// The vector loops of arithmetic.def, compiled once per level.
#define TALLOW_ROWS "ops/elementwise/arithmetic.def"
#define TALLOW_TABLE arithmetic_loops
#include "backend/cpu/isa/elementwise.inc"
