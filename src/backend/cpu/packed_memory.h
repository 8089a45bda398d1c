// Memory for repacked weights: many tensors share huge pages, which saves page faults and TLB
// misses where most tensors are smaller than one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tallow::cpu {

/// Uninitialized bytes aligned to 64, that live as long as the pointer. Throws Error when they
/// cannot be had.
std::shared_ptr<std::byte> packed_memory(int64_t bytes);

}  // namespace tallow::cpu
