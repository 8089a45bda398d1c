// Writing through a temporary file in the same folder.
#include "formats/output_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallow/error.h"

namespace tallow {
namespace {

/// The file that a link leads to, so that the link stays.
std::string resolved(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (!real) return path;
  std::string result = real;
  std::free(real);
  return result;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash + 1);
}

/// What names an open file to linkat.
std::string descriptor_path(int fd) { return str("/proc/self/fd/", int64_t{fd}); }

/// A file without a name, of which a killed program leaves nothing; -1 where there are none.
int open_nameless(const std::string& folder) {
#ifdef O_TMPFILE
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0 || ::access(descriptor_path(fd).c_str(), F_OK) == 0) return fd;
  ::close(fd);
#else
  (void)folder;
#endif
  return -1;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) fail(path, ": is a folder; give a file to write");
    fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail_to("cannot open");
    return;
  }
  path_ = resolved(path);
  static std::atomic<uint32_t> count{0};  // two threads may write the same path
  temporary_ = str(path_, ".", int64_t{::getpid()}, "-", count++, ".tmp");
  fd_ = open_nameless(folder_of(path_));
  nameless_ = fd_ >= 0;
  if (nameless_) return;
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    temporary_.clear();
    fail_to("cannot create");
  }
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty() && !nameless_) ::unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
  constexpr size_t kMost = size_t{1} << 30;  // the system writes less than 2 GiB at once
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd_, at, std::min(bytes, kMost));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to("cannot write");
    at += written;
    bytes -= static_cast<size_t>(written);
  }
}

/// A link never takes the place of a file, a renamed one does.
void OutputFile::give_name() {
  ::unlink(temporary_.c_str());  // of a program with this number that was killed
  if (::linkat(AT_FDCWD, descriptor_path(fd_).c_str(), AT_FDCWD, temporary_.c_str(),
               AT_SYMLINK_FOLLOW) != 0) {
    fail_to("cannot put in place");
  }
  nameless_ = false;
}

void OutputFile::commit() {
  if (nameless_) give_name();
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail_to("cannot write");  // quotas and network disks answer only here
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_to("cannot put in place");
  temporary_.clear();
}

void OutputFile::fail_to(const char* what) const {
  fail(path_, ": ", what, ": ", std::strerror(errno));
}

}  // namespace tallow
