// Opening and reading of regular files.
#include "core/read_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/huge_pages.h"
#include "tallow/error.h"

namespace tallow {

// Without O_NONBLOCK opening a named pipe would block for ever.
RegularFile::RegularFile(const std::string& path)
    : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
  if (descriptor_ < 0) fail(path, ": cannot open: ", std::strerror(errno));
  struct stat status;
  std::string reason;
  if (::fstat(descriptor_, &status) != 0) {
    reason = str("cannot read: ", std::strerror(errno));
  } else if (S_ISDIR(status.st_mode)) {
    reason = "is a folder; give a file";
  } else if (!S_ISREG(status.st_mode)) {
    reason = "is not a regular file";
  }
  if (!reason.empty()) {
    ::close(descriptor_);
    fail(path, ": ", reason);
  }
  size_ = static_cast<size_t>(status.st_size);
}

RegularFile::~RegularFile() { ::close(descriptor_); }

bool file_exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

std::string read_file(const std::string& path, size_t limit) {
  const RegularFile file(path);
  const size_t size = file.size();
  if (size > limit) fail(path, ": has ", size, " bytes, more than the limit of ", limit);

  std::string text;
  text.reserve(size);
  advise_huge_pages(text.data(), size);
  text.resize(size);
  size_t used = 0;
  while (used < size) {
    const ssize_t n = ::read(file.descriptor(), text.data() + used, size - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path, ": cannot read: ", std::strerror(errno));
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  text.resize(used);
  return text;
}

}  // namespace tallow
