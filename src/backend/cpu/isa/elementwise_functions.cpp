// The vector loops of functions.def, compiled once per level.
#define TALLOW_ROWS "ops/elementwise/functions.def"
#define TALLOW_ANGLES
#define TALLOW_TABLE functions_loops
#include "backend/cpu/isa/elementwise.inc"
