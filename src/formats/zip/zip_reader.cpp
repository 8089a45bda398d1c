#include "formats/zip/zip_reader.h"

#include <algorithm>
#include <optional>

#include "formats/byte_reader.h"
#include "formats/zip/deflate.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint64_t kEndBytes = 22, kLocatorBytes = 20, kCentralBytes = 46, kLocalBytes = 30;
constexpr uint64_t kLongestComment = 65535;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the value stands in a zip64 field
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kDeflated = 8;

template <class T>
T at(std::span<const std::byte> bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

void expect_signature(ByteReader& reader, uint32_t wanted, std::string_view field) {
  if (reader.read<uint32_t>(field) != wanted) {
    reader.fail_at(field, "the signature is missing; the zip archive is damaged");
  }
}

/// Takes the place of sizes and offsets that need more than 32 bits.
void read_zip64_extra(std::span<const std::byte> extra, const std::string& file, uint64_t* size,
                      uint64_t* stored, uint64_t* header) {
  ByteReader fields(extra, file);
  while (fields.remaining() >= 4) {
    const auto id = fields.read<uint16_t>("zip64 field");
    const auto bytes = fields.read<uint16_t>("zip64 field");
    if (bytes > fields.remaining()) return;  // padding that some writers leave
    ByteReader field(fields.take(bytes, "zip64 field"), file);
    if (id != 1) continue;
    for (uint64_t* value : {size, stored, header}) {
      if (*value == kIn64) *value = field.read<uint64_t>("zip64 field");
    }
    return;
  }
}

}  // namespace

ZipReader::ZipReader(std::shared_ptr<const FileBytes> file) : file_(std::move(file)) {
  const std::string& path = file_->path();
  const Directory directory = find_directory();
  const auto bytes = file_->bytes();
  ByteReader reader(bytes.first(directory.offset + directory.bytes), path, directory.offset);
  reader.check_count(directory.count, kCentralBytes, "zip directory");
  entries_.reserve(directory.count);
  for (uint64_t i = 0; i < directory.count; ++i) read_entry(reader);
  check_layout(directory.offset);
}

ZipReader::Directory ZipReader::find_directory() const {
  const auto bytes = file_->bytes();
  const std::string& path = file_->path();
  const uint64_t size = bytes.size();
  const auto bad = [&](uint64_t offset, const auto&... reason) {
    fail(path, ": zip directory: offset ", offset, ": ", reason...);
  };
  if (size < kEndBytes) bad(size, "the file is too short; it is truncated or damaged");
  std::optional<uint64_t> end;
  const uint64_t lowest = size - std::min(size, kEndBytes + kLongestComment);
  for (uint64_t i = size - kEndBytes + 1; i-- > lowest && !end;) {
    const bool here = at<uint32_t>(bytes, i) == kEndSignature &&
                      i + kEndBytes + at<uint16_t>(bytes, i + 20) == size;
    if (here) end = i;
  }
  if (!end) bad(size, "the end record is missing; the zip archive is truncated or damaged");
  Directory found{at<uint32_t>(bytes, *end + 16), at<uint32_t>(bytes, *end + 12),
                  at<uint16_t>(bytes, *end + 10)};
  if (found.offset == kIn64 || found.bytes == kIn64 || found.count == 0xFFFF) {
    if (*end >= kLocatorBytes && at<uint32_t>(bytes, *end - kLocatorBytes) == kLocator64Signature) {
      found = read_zip64_end(*end);
    }
  }
  if (found.offset > *end || found.bytes > *end - found.offset) {
    bad(*end, found.bytes, " bytes at ", found.offset, " are not in front of the end record");
  }
  return found;
}

ZipReader::Directory ZipReader::read_zip64_end(uint64_t end_record) const {
  const auto bytes = file_->bytes().first(end_record);
  const auto offset = at<uint64_t>(bytes, end_record - kLocatorBytes + 8);
  if (offset > end_record) {
    fail(file_->path(), ": zip64 end record: offset ", offset, ": lies behind the end record");
  }
  ByteReader reader(bytes, file_->path(), offset);
  expect_signature(reader, kEnd64Signature, "zip64 end record");
  reader.take(28, "zip64 end record");
  Directory found{};
  found.count = reader.read<uint64_t>("zip64 end record");
  found.bytes = reader.read<uint64_t>("zip64 end record");
  found.offset = reader.read<uint64_t>("zip64 end record");
  return found;
}

void ZipReader::read_entry(ByteReader& reader) {
  constexpr std::string_view kField = "zip directory";
  ZipEntry entry;
  expect_signature(reader, kCentralSignature, kField);
  reader.take(4, kField);  // versions
  entry.flags = reader.read<uint16_t>(kField);
  entry.method = reader.read<uint16_t>(kField);
  reader.take(4, kField);  // time
  entry.crc = reader.read<uint32_t>(kField);
  entry.stored = reader.read<uint32_t>(kField);
  entry.size = reader.read<uint32_t>(kField);
  const auto name_bytes = reader.read<uint16_t>(kField);
  const auto extra_bytes = reader.read<uint16_t>(kField);
  const auto comment_bytes = reader.read<uint16_t>(kField);
  reader.take(8, kField);  // disk, attributes
  entry.header = reader.read<uint32_t>(kField);
  entry.name = as_text(reader.take(name_bytes, kField));
  read_zip64_extra(reader.take(extra_bytes, kField), file_->path(), &entry.size, &entry.stored,
                   &entry.header);
  reader.take(comment_bytes, kField);
  const bool expands = entry.method == kDeflated && entry.size / kMaxInflation <= entry.stored;
  if (entry.method == 0 ? entry.size != entry.stored : entry.method == kDeflated && !expands) {
    reader.fail_at(str("zip entry ", quoted(entry.name)), entry.stored, " bytes cannot be the ",
                   entry.size, " that are announced; the archive is damaged");
  }
  entries_.push_back(std::move(entry));
}

void ZipReader::check_layout(uint64_t directory) {
  std::vector<ZipEntry*> sorted;
  sorted.reserve(entries_.size());
  for (ZipEntry& entry : entries_) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->header < b->header; });
  for (size_t i = 0; i < sorted.size(); ++i) {
    ZipEntry& entry = *sorted[i];
    entry.end = i + 1 < sorted.size() ? sorted[i + 1]->header : directory;
    const uint64_t least = kLocalBytes + entry.name.size();
    if (entry.header > entry.end || entry.end - entry.header < least ||
        entry.end - entry.header - least < entry.stored) {
      fail(file_->path(), ": zip entry ", quoted(entry.name), ": offset ", entry.header, ": its ",
           entry.stored, " bytes overlap what follows at ", entry.end);
    }
  }
  index_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!index_.emplace(entries_[i].name, i).second) {
      fail(file_->path(), ": zip entry ", quoted(entries_[i].name), ": offset ", entries_[i].header,
           ": the name occurs twice");
    }
  }
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

uint64_t ZipReader::data_offset(const ZipEntry& entry) const {
  const std::string field = str("zip entry ", quoted(entry.name));
  ByteReader reader(file_->bytes().first(entry.end), file_->path(), entry.header);
  if (entry.flags & kEncrypted) reader.fail_at(field, "is encrypted; save it without a password");
  if (entry.method != 0 && entry.method != kDeflated) {
    reader.fail_at(field, "the compression method ", entry.method,
                   " is not supported, only stored and deflated entries");
  }
  expect_signature(reader, kLocalSignature, field);
  reader.take(22, field);
  const auto name_bytes = reader.read<uint16_t>(field);
  const auto extra_bytes = reader.read<uint16_t>(field);
  reader.take(uint64_t{name_bytes} + extra_bytes, field);
  reader.check_count(entry.stored, 1, field);
  return reader.offset();
}

std::vector<std::byte> ZipReader::beginning(const ZipEntry& entry, uint64_t most) const {
  const uint64_t offset = data_offset(entry);
  std::vector<std::byte> out(std::min(entry.size, most));
  const auto data = file_->bytes().subspan(offset, entry.stored);
  if (is_stored(entry)) {
    std::copy_n(data.begin(), out.size(), out.begin());
  } else {
    inflate_into(data, out,
                 str(file_->path(), ": zip entry ", quoted(entry.name), ": offset ", offset), true);
  }
  return out;
}

std::shared_ptr<Buffer> ZipReader::open(const ZipEntry& entry) const {
  const uint64_t offset = data_offset(entry);
  const auto data = file_->bytes().subspan(offset, entry.stored);
  if (is_stored(entry)) {
    return Buffer::wrap(const_cast<std::byte*>(data.data()), static_cast<int64_t>(entry.size),
                        std::const_pointer_cast<FileBytes>(file_),
                        file_->is_mapped() ? Buffer::Kind::mapped : Buffer::Kind::borrowed);
  }
  auto buffer = Buffer::allocate(static_cast<int64_t>(entry.size));
  const std::span<std::byte> out(buffer->data(), entry.size);
  const std::string what =
      str(file_->path(), ": zip entry ", quoted(entry.name), ": offset ", offset);
  inflate_into(data, out, what);
  if (crc32_of(out) != entry.crc) fail(what, ": the checksum differs; the archive is damaged");
  return buffer;
}

}  // namespace tallow
