// Reads the affinity mask, the core topology and the cgroup limits (v1 and v2) of Linux.
#include "core/cpu_count.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>

#include "core/cgroup.h"
#endif

namespace tallow {
namespace {

#ifdef __linux__
// Hyperthreads of one core share its vector units: count each core once.
int physical_cores() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string siblings = read_start(base + "thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  return static_cast<int>(cores.size());
}

int limit_of(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(quota / period)) : 1 << 16;
}

int cgroup_limit() {
  int limit = 1 << 16;
  for (const std::string& text : cgroup_values("", "cpu.max")) {
    double quota = 0, period = 0;
    if (std::sscanf(text.c_str(), "%lf %lf", &quota, &period) == 2) {
      limit = std::min(limit, limit_of(quota, period));
    }
  }
  const double quota = std::atof(read_start("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").c_str());
  const double period = std::atof(read_start("/sys/fs/cgroup/cpu/cpu.cfs_period_us").c_str());
  return std::min(limit, limit_of(quota, period));
}
#endif

}  // namespace

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
  if (int physical = physical_cores()) cores = physical;
  cores = std::min(cores, cgroup_limit());
#endif
  return std::max(cores, 1);
}

}  // namespace tallow
