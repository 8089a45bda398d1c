// Reading a whole file.
#include "core/read_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallow/error.h"

namespace tallow {
namespace {

/// Closes a descriptor at the end of the scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

bool file_exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

std::string read_file(const std::string& path, size_t limit) {
  // Without O_NONBLOCK a named pipe would block here for ever.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.fd < 0) fail(path, ": cannot open: ", std::strerror(errno));
  struct stat status;
  if (::fstat(file.fd, &status) != 0) fail(path, ": cannot read: ", std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(path, ": is a folder; give a file");
  if (!S_ISREG(status.st_mode)) fail(path, ": is not a regular file");
  const auto size = static_cast<size_t>(status.st_size);
  if (size > limit) fail(path, ": has ", size, " bytes, more than the limit of ", limit);

  std::string text(size, '\0');
  size_t used = 0;
  while (used < size) {
    const ssize_t n = ::read(file.fd, text.data() + used, size - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path, ": cannot read: ", std::strerror(errno));
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  text.resize(used);
  return text;
}

}  // namespace tallow
