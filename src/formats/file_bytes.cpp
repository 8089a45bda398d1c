// Mapping of files. The mapping is private and read-only, so nothing here can change a file.
#include "formats/file_bytes.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <sys/stat.h>

#include "core/read_file.h"
#include "core/usable_memory.h"
#include "tallow/error.h"

namespace tallow {

bool is_folder(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::shared_ptr<const FileBytes> FileBytes::open(const std::string& path) {
  const RegularFile file(path);
  std::shared_ptr<FileBytes> result(new FileBytes);
  result->path_ = path;
  const size_t size = file.size();
  if (size == 0) return result;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED) fail(path, ": cannot map ", size, " bytes: ", std::strerror(errno));
  result->data_ = static_cast<std::byte*>(data);
  result->size_ = size;
  result->mapped_ = true;
  return result;
}

std::shared_ptr<const FileBytes> FileBytes::copy(std::span<const std::byte> bytes,
                                                 std::string what) {
  std::shared_ptr<FileBytes> result(new FileBytes);
  result->path_ = std::move(what);
  if (bytes.empty()) return result;
  result->data_ = new std::byte[bytes.size()];
  result->size_ = bytes.size();
  std::memcpy(result->data_, bytes.data(), bytes.size());
  return result;
}

FileBytes::~FileBytes() {
  if (mapped_) {
    ::munmap(data_, size_);
  } else {
    delete[] data_;
  }
}

void FileBytes::will_need() const {
  // Reading ahead what does not fit would only push out what was read before.
  if (mapped_ && size_ <= static_cast<size_t>(usable_memory() / 2))
    ::madvise(data_, size_, MADV_WILLNEED);
}

}  // namespace tallow
