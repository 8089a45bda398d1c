// The hashes that the hub names files by.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tallow::hub {

/// SHA-256 of what it was fed, as the etag of a file in large file storage.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(const void* data, size_t bytes);
  /// In hexadecimal digits; once, at the end.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The name that git gives to a file of this content: sha1("blob SIZE\0" + content). Reads from
/// `fd` from the beginning. Throws HubError when it cannot.
std::string git_blob_name(int fd, size_t bytes);

/// SHA-1 of a text, as bytes.
std::string sha1(std::string_view text);

/// With the alphabet of URLs, - and _ take the place of + and /.
std::string base64(std::string_view bytes, bool for_urls = false);

}  // namespace tallow::hub
