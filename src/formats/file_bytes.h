// The bytes of a file, mapped read-only, or a copy of bytes in memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace tallow {

bool is_folder(const std::string& path);

class FileBytes {
 public:
  /// Throws Error for what is not a readable regular file.
  static std::shared_ptr<const FileBytes> open(const std::string& path);
  static std::shared_ptr<const FileBytes> copy(std::span<const std::byte> bytes, std::string what);
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  bool is_mapped() const { return mapped_; }
  void will_need() const;

 private:
  FileBytes() = default;
  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace tallow
