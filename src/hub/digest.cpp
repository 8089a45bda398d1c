// SHA-1 is mbedTLS's.
#include "hub/digest.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <mbedtls/sha1.h>
#include <mbedtls/version.h>
#include <unistd.h>

#include "hub/names.h"

// Version 2 has these under another name, beside deprecated ones that return nothing.
#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha1_starts mbedtls_sha1_starts_ret
#define mbedtls_sha1_update mbedtls_sha1_update_ret
#define mbedtls_sha1_finish mbedtls_sha1_finish_ret
#endif

namespace tallow::hub {
namespace {

std::string hexadecimal(const unsigned char* bytes, size_t count) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out.append({kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]});
  }
  return out;
}

const unsigned char* bytes_of(const void* data) { return static_cast<const unsigned char*>(data); }

}  // namespace

std::string git_blob_name(int fd, size_t bytes) {
  mbedtls_sha1_context sha1;
  mbedtls_sha1_init(&sha1);
  mbedtls_sha1_starts(&sha1);
  const std::string head = str("blob ", bytes, '\0');
  mbedtls_sha1_update(&sha1, bytes_of(head.data()), head.size());
  std::vector<char> buffer(1 << 16);
  for (size_t at = 0; at < bytes;) {
    const ssize_t n =
        ::pread(fd, buffer.data(), std::min(buffer.size(), bytes - at), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_hub(HubError::Kind::disk, "cannot read back what was downloaded");
    mbedtls_sha1_update(&sha1, bytes_of(buffer.data()), static_cast<size_t>(n));
    at += static_cast<size_t>(n);
  }
  unsigned char digest[20];
  mbedtls_sha1_finish(&sha1, digest);
  mbedtls_sha1_free(&sha1);
  return hexadecimal(digest, sizeof digest);
}

std::string sha1(std::string_view text) {
  mbedtls_sha1_context context;
  mbedtls_sha1_init(&context);
  mbedtls_sha1_starts(&context);
  mbedtls_sha1_update(&context, bytes_of(text.data()), text.size());
  unsigned char digest[20];
  mbedtls_sha1_finish(&context, digest);
  mbedtls_sha1_free(&context);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

std::string base64(std::string_view bytes, bool for_urls) {
  const std::string digits =
      str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", for_urls ? "-_" : "+/");
  const auto byte = [&](size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned group = (byte(i) << 16) | (byte(i + 1) << 8) | byte(i + 2);
    for (unsigned k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? digits[(group >> (18 - 6 * k)) & 63] : '=';
    }
  }
  return out;
}

}  // namespace tallow::hub
