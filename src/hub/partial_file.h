// A file that is on its way: always the beginning of the whole, so that whoever comes next,
// Python's client included, can go on from its end.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "hub/sha256.h"

namespace tallow::hub {

class PartialFile {
 public:
  /// Opens `path`, keeping what is there, which is hashed if `etag` is a SHA-256.
  PartialFile(const std::string& path, const std::string& etag);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t size() const { return size_; }
  void append(std::span<const char> bytes);
  /// Drops what is there.
  void restart();
  /// What is wrong with the whole by its size (unless negative) and hash; empty when it is good.
  std::string fault(int64_t size);
  /// Moves it to where it belongs.
  void commit(const std::string& to);
  void remove();

 private:
  void hash_what_is_there();
  std::string path_, etag_;
  int fd_ = -1;
  int64_t size_ = 0;
  std::unique_ptr<Sha256> hash_;
};

/// Throws HubError when the disk of `folder` has less than `bytes` left.
void check_space(const std::string& folder, int64_t bytes);

}  // namespace tallow::hub
