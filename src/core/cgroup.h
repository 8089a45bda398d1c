// What the kernel's control groups say of this process.
#pragma once

#include <string>
#include <vector>

namespace tallow {

/// The first 511 bytes of a file, or "" where there is none.
std::string read_start(const std::string& path);

/// What `file` says in this process's group and in all above it: a limit may be set at any level.
/// `controller` is "" for version 2 ("cpu.max"), else version 1's ("memory").
std::vector<std::string> cgroup_values(const std::string& controller, const std::string& file);

}  // namespace tallow
