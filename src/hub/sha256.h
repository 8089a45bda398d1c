// SHA-256 at the processor's speed: FIPS 180-4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tallow::hub {

/// The hash of what it was fed, as the etag of a file in large file storage.
class Sha256 {
 public:
  void update(const void* data, size_t bytes);
  /// In hexadecimal digits; once, at the end.
  std::string finish();

 private:
  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};  // what does not make a whole block yet
  uint64_t bytes_ = 0;
};

}  // namespace tallow::hub
