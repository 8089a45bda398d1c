// Writes zip archives whose stored entries begin at multiples of 64 bytes, so that they can be
// mapped; zip64 where sizes or offsets need it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "formats/output_file.h"
#include "formats/zip/deflate.h"

namespace tallow {

/// Gives the bytes of an entry to the sink, in order; it is called once or twice, and must give the
/// same each time.
using ByteSource = std::function<void(const ByteSink&)>;

class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}

  void add(const std::string& name, const ByteSource& source, bool compressed = false);
  void add(const std::string& name, std::string_view text);
  /// Writes the directory and puts the archive in place.
  void finish();

 private:
  struct Entry {
    std::string name;
    uint32_t crc;
    uint16_t method;
    uint64_t stored, size, header;
  };
  void begin(const Entry& entry);
  void write(ByteSpan bytes);
  void write(const std::string& text);

  OutputFile file_;
  uint64_t at_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace tallow
