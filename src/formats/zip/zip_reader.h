// Reads zip archives, zip64 too, in place: stored entries are spans of the mapped file.
// Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/file_bytes.h"
#include "tallow/buffer.h"

namespace tallow {

class ByteReader;

struct ZipEntry {
  std::string name;
  uint64_t stored = 0;  ///< bytes in the archive
  uint64_t size = 0;    ///< bytes when expanded
  uint32_t crc = 0;
  uint16_t flags = 0, method = 0;
  uint64_t header = 0;  ///< where the entry's own header stands
  uint64_t end = 0;     ///< where the next entry, or the directory, begins
};

/// An archive's directory, checked: entries lie inside the file and apart from each other. An
/// entry's own header is looked at only when its data is asked for. Throws Error:
/// `file: field: offset N: reason`.
class ZipReader {
 public:
  static bool is_zip(std::string_view text) {
    return text.starts_with("PK\3\4") || text.starts_with("PK\5\6");
  }
  explicit ZipReader(std::shared_ptr<const FileBytes> file);

  const FileBytes& file() const { return *file_; }
  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;

  bool is_stored(const ZipEntry& entry) const { return entry.method == 0; }
  /// Where the data of an entry stands in the file. Throws for an encrypted one.
  uint64_t data_offset(const ZipEntry& entry) const;
  /// The contents over the mapped file where they are stored, else expanded in memory, where their
  /// checksum is verified.
  std::shared_ptr<Buffer> open(const ZipEntry& entry) const;
  /// The first bytes of the contents, `most` at most.
  std::vector<std::byte> beginning(const ZipEntry& entry, uint64_t most) const;

 private:
  struct Directory {
    uint64_t offset, bytes, count;
  };
  Directory find_directory() const;
  Directory read_zip64_end(uint64_t end_record) const;
  void read_entry(ByteReader& reader);
  void check_layout(uint64_t directory);

  std::shared_ptr<const FileBytes> file_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace tallow
