// The rows of activation.def as ops.
#define TALLOW_ROWS "ops/elementwise/activation.def"
#include "ops/elementwise/rows.inc"
