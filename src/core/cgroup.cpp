// Reads the groups of both versions where Linux mounts them.
#include "core/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include "tallow/error.h"

namespace tallow {

std::string read_start(const std::string& path) {
  char text[512];
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : "";
}

std::vector<std::string> cgroup_values(const std::string& controller, const std::string& file) {
  const std::string groups = read_start("/proc/self/cgroup");
  const std::string mark = controller.empty() ? "0::" : ":" + controller + ":";
  std::string root = "/sys/fs/cgroup";
  if (!controller.empty()) root += "/" + controller;
  const size_t at = groups.find(mark);
  std::string group;
  if (at != std::string::npos) {
    const size_t begin = at + mark.size();
    group = groups.substr(begin, groups.find('\n', begin) - begin);
  }
  std::vector<std::string> values;
  for (;;) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    std::string value = read_start(str(root, group, "/", file));
    if (!value.empty()) values.push_back(std::move(value));
    if (group.empty()) return values;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

}  // namespace tallow
