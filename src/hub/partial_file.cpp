// Appending, hashing on the way.
#include "hub/partial_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "hub/cache.h"
#include "hub/digest.h"
#include "hub/names.h"

namespace tallow::hub {

PartialFile::PartialFile(const std::string& path, const std::string& etag)
    : path_(path), etag_(etag) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_disk(path, "cannot create");
  if (is_lower_hex(etag, 64)) hash_ = std::make_unique<Sha256>();
  hash_what_is_there();
}

PartialFile::~PartialFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartialFile::hash_what_is_there() {
  struct stat status;
  if (::fstat(fd_, &status) != 0) fail_disk(path_, "cannot read");
  if (!hash_) {
    size_ = ::lseek(fd_, 0, SEEK_END);
    return;
  }
  std::vector<char> buffer(1 << 20);
  while (size_ < status.st_size) {
    const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_disk(path_, "cannot read");
    if (n == 0) break;
    hash_->update(buffer.data(), static_cast<size_t>(n));
    size_ += n;
  }
}

void PartialFile::append(std::span<const char> bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(fd_, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_disk(path_, "cannot write");
    at += static_cast<size_t>(n);
    size_ += n;
  }
  if (hash_) hash_->update(bytes.data(), bytes.size());
}

void PartialFile::restart() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) fail_disk(path_, "cannot write");
  size_ = 0;
  if (hash_) hash_ = std::make_unique<Sha256>();
}

std::string PartialFile::fault(int64_t size) {
  if (size >= 0 && size_ != size) return str("has ", size_, " bytes instead of ", size);
  std::string found = etag_;
  if (hash_) found = hash_->finish();
  if (is_lower_hex(etag_, 40)) found = git_blob_name(fd_, static_cast<size_t>(size_));
  if (found == etag_) return {};
  return str("has the hash ", found, " instead of ", etag_);
}

void PartialFile::commit(const std::string& to) {
  // Else a power failure after the renaming could leave an empty file of a good name.
  if (::fdatasync(fd_) != 0) fail_disk(path_, "cannot write");
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail_disk(path_, "cannot write");
  if (std::rename(path_.c_str(), to.c_str()) != 0) fail_disk(to, "cannot put in place");
}

void PartialFile::remove() { ::unlink(path_.c_str()); }

void check_space(const std::string& folder, int64_t bytes) {
  struct statvfs status;
  if (::statvfs(folder.c_str(), &status) != 0 || status.f_blocks == 0) return;
  const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  if (bytes <= 0 || free >= static_cast<uint64_t>(bytes)) return;
  fail_hub(HubError::Kind::disk, folder, ": has ", free / 1'000'000, " MB left, and ",
           bytes / 1'000'000, " MB are to come; make room, or name another disk in HF_HUB_CACHE");
}

}  // namespace tallow::hub
