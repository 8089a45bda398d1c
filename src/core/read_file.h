// Regular files: opened without surprises, and small ones read as text.
#pragma once

#include <cstddef>
#include <string>

namespace tallow {

/// A regular file open for reading. Throws Error, beginning with the path, if it cannot be opened
/// or is of another kind: a named pipe or a device would block or never end.
class RegularFile {
 public:
  explicit RegularFile(const std::string& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }

 private:
  int descriptor_;
  size_t size_ = 0;
};

/// Whether there is anything of that name.
bool file_exists(const std::string& path);

/// All of a regular file (configurations, tokenizers, templates). Throws Error, beginning with the
/// path, if it cannot be read or is over `limit` bytes.
std::string read_file(const std::string& path, size_t limit = size_t{1} << 30);

}  // namespace tallow
