// Small files as text: configurations, tokenizers, templates.
#pragma once

#include <cstddef>
#include <string>

namespace tallow {

/// Whether there is anything of that name.
bool file_exists(const std::string& path);

/// All of a regular file. Throws Error, beginning with the path, if it cannot be read, is of
/// another kind (a named pipe or a device would block or never end) or is over `limit` bytes.
std::string read_file(const std::string& path, size_t limit = size_t{1} << 30);

}  // namespace tallow
