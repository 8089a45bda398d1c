// How much memory this process may take.
#pragma once

#include <cstdint>

namespace tallow {

/// The smallest of: physical memory, the cgroup's limit, and the process's own (`ulimit -d`).
int64_t usable_memory();

}  // namespace tallow
