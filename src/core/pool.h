// The pooled CPU allocator: in a steady state no op calls the system or touches a fresh page.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tallow {

/// Uninitialized bytes aligned to 64 (to 2 MiB when that large). Throws Error when there are none.
std::byte* pool_allocate(int64_t bytes);
/// `bytes` as it was asked for.
void pool_free(std::byte* data, int64_t bytes);

}  // namespace tallow
