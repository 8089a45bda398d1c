// Asks the system, the groups of the process (v1 and v2) and its resource limits.
#include "core/usable_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/cgroup.h"

namespace tallow {
namespace {

int64_t find_usable_memory() {
  auto least = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  rlimit own;
  if (getrlimit(RLIMIT_DATA, &own) == 0 && own.rlim_cur < static_cast<rlim_t>(least)) {
    least = static_cast<int64_t>(own.rlim_cur);
  }
  std::vector<std::string> limits = cgroup_values("", "memory.max");
  for (std::string& text : cgroup_values("memory", "memory.limit_in_bytes")) {
    limits.push_back(std::move(text));
  }
  for (const std::string& text : limits) {
    const int64_t limit = std::strtoll(text.c_str(), nullptr, 10);  // "max" is 0
    if (limit > 0) least = std::min(least, limit);
  }
  return least;
}

}  // namespace

int64_t usable_memory() {
  static const int64_t found = find_usable_memory();
  return found;
}

}  // namespace tallow
