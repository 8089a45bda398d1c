// The planes' pooling, compiled once per level.
#include "backend/cpu/pooling.h"
#include "ops/pooling/plane_kernels.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {

const pooling::Kernels pooling_kernels{pool_plane<Larger>, pool_plane<Plus>};

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
