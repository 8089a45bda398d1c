// The rows of special.def as ops.
#include "ops/elementwise/special_math.h"

#define TALLOW_ROWS "ops/elementwise/special.def"
#include "ops/elementwise/rows.inc"
