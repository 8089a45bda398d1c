// Good files for the driver to begin from, as tallow itself writes them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include <unistd.h>

/// The bytes of the file that `write` makes; its name ends as `suffix`.
inline std::string written_file(const std::string& suffix,
                                const std::function<void(const std::string& path)>& write) {
  char folder[] = "/tmp/tallow-fuzz-XXXXXX";
  if (!::mkdtemp(folder)) std::abort();
  const std::string path = std::string(folder) + "/seed" + suffix;
  write(path);
  std::string text;
  if (FILE* file = std::fopen(path.c_str(), "rb")) {
    char part[4096];
    for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, n);
    std::fclose(file);
  }
  ::unlink(path.c_str());
  ::rmdir(folder);
  return text;
}
