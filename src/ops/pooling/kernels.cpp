// The portable vector kernels of pooling.
#include "ops/pooling/kernels.h"

#include "ops/pooling/plane_kernels.h"

namespace tallow::pooling {

constinit Kernels kernels{pool_plane<Larger>, pool_plane<Plus>};

}  // namespace tallow::pooling
