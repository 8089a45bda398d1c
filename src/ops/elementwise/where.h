// The loops of `where`, which backends replace.
#pragma once

#include "ops/elementwise/loops.h"

namespace tallow::elementwise {

/// By the bytes of an element; the mask is a byte.
struct WhereLoops {
  Loop bytes1, bytes2, bytes4, bytes8, wide;
};
extern WhereLoops where_loops;

}  // namespace tallow::elementwise
