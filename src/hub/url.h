// URLs of http and https.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tallow::hub {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string user;    // "name:password", decoded, or empty
  std::string host;    // lower case, without the brackets of IPv6
  uint16_t port = 0;
  std::string target;  // "/path?query"

  bool secure() const { return scheme == "https"; }
  /// "host:port", the port only where it is not the scheme's own.
  std::string authority() const;
  std::string text() const;
};

/// Throws HubError, naming `what`, for anything but http(s)://host[:port]/...
Url parse_url(std::string_view text, std::string_view what);
/// A Location or Link header, which may be relative to `base`.
Url resolve_url(const Url& base, std::string_view location);
bool same_origin(const Url& a, const Url& b);
/// Percent-encodes all but letters, digits, "-._~" and the characters of `keep`.
std::string percent_encoded(std::string_view text, std::string_view keep = "");

}  // namespace tallow::hub
