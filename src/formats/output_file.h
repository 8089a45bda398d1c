// A file that is written whole or not at all.
#pragma once

#include <cstddef>
#include <string>

namespace tallow {

/// Writes beside `path` and renames at the end; what is there and not a regular file (a pipe, a
/// terminal) is written to directly. Destroyed without commit(), it leaves nothing behind; nor does
/// a killed program, where the file system has files without names.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  /// Puts the file in place.
  void commit();

 private:
  void give_name();
  [[noreturn]] void fail_to(const char* what) const;
  std::string path_;
  std::string temporary_;  // empty when `path_` is written to directly
  int fd_ = -1;
  bool nameless_ = false;  // `temporary_` is the name to come
};

}  // namespace tallow
