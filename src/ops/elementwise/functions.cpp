// The rows of functions.def as ops.
#define TALLOW_ROWS "ops/elementwise/functions.def"
#include "ops/elementwise/rows.inc"
