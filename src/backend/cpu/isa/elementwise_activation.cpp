// The vector loops of activation.def, compiled once per level.
#define TALLOW_ROWS "ops/elementwise/activation.def"
#define TALLOW_TABLE activation_loops
#include "backend/cpu/isa/elementwise.inc"
