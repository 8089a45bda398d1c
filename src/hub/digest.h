// What SHA-1 and base64 are needed for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tallow::hub {

/// The name that git gives to a file of this content: sha1("blob SIZE\0" + content). Reads from
/// `fd` from the beginning. Throws HubError when it cannot.
std::string git_blob_name(int fd, size_t bytes);

/// SHA-1 of a text, as bytes.
std::string sha1(std::string_view text);

/// With the alphabet of URLs, - and _ take the place of + and /.
std::string base64(std::string_view bytes, bool for_urls = false);

}  // namespace tallow::hub
