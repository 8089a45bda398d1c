// Reading and shortening the lists of users.
#include "hub/shared_blobs.h"

#include <filesystem>

#include <unistd.h>

#include "hub/cache.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

namespace fs = std::filesystem;

/// The lines of the list that are links to `content` still.
std::set<std::string> users_of(const std::string& cache, const std::string& content,
                               const std::string& list) {
  std::set<std::string> users;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find('\n', begin), list.size());
    const fs::path line = list.substr(begin, end - begin);
    begin = end + 1;
    const std::string blob = (fs::path(cache) / line).lexically_normal();
    const bool inside = line.is_relative() && blob.starts_with(cache + "/");
    if (inside && shared_blob_of(cache, blob) == content) users.insert(blob);
  }
  return users;
}

}  // namespace

std::optional<std::string> shared_blob_of(const std::string& cache, const std::string& blob) {
  std::error_code error;
  const fs::path link = fs::read_symlink(blob, error);
  if (error) return {};
  const fs::path target = (fs::path(blob).parent_path() / link).lexically_normal();
  const std::string name = target.filename();
  const fs::path expected = fs::path(cache) / "blobs" / name.substr(0, 2) / name;
  if (!is_lower_hex(name, 64) || target != expected.lexically_normal()) return {};
  if (read_small(cache + "/blobs/.huggingface-shared-blobs") != "1\n") return {};
  return target.string();
}

int64_t release_shared_blob(const std::string& cache, const std::string& content,
                            const std::set<std::string>& gone, bool dry_run) {
  const FileLock lock(content + ".lock", [] { ::usleep(50'000); });
  const auto list = read_small(content + ".refs");
  if (!list || fs::is_symlink(content)) return 0;
  std::string left;
  for (const std::string& user : users_of(cache, content, *list)) {
    if (!gone.contains(user)) left += user.substr(cache.size() + 1) + "\n";
  }
  const int64_t bytes = file_size(content).value_or(0);
  if (left.empty() && !dry_run) {
    ::unlink(content.c_str());
    ::unlink((content + ".refs").c_str());
  } else if (!dry_run) {
    write_whole(content + ".refs", left);
  }
  return left.empty() ? bytes : 0;
}

}  // namespace tallow::hub
