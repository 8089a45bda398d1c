// How many threads this process should use.
#pragma once

namespace tallow {

/// The smallest of: physical cores that the affinity mask allows, and the cgroup's CPU limit.
int usable_cores();

}  // namespace tallow
