// The rows of arithmetic.def as ops.
#define TALLOW_ROWS "ops/elementwise/arithmetic.def"
#include "ops/elementwise/rows.inc"
