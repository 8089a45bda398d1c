#include "formats/zip/zip_writer.h"

#include <cstring>

#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kLargest32 = 0xFFFFFFFE;
constexpr uint16_t kZip64Field = 1, kPaddingField = 0x4246;  // "FB", as PyTorch pads
constexpr uint16_t kUtf8 = 1 << 11;
constexpr uint16_t kFirstDate = 1 << 5 | 1;  // 1 January 1980: the same input gives the same file

class Record {
 public:
  template <class T>
  Record& put(std::type_identity_t<T> value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof raw);
    text.append(raw, sizeof raw);
    return *this;
  }
  Record& u16(uint64_t value) { return put<uint16_t>(static_cast<uint16_t>(value)); }
  Record& u32(uint64_t value) { return put<uint32_t>(static_cast<uint32_t>(value)); }
  Record& u64(uint64_t value) { return put<uint64_t>(value); }
  std::string text;
};

uint64_t in_32(uint64_t value) { return value > kLargest32 ? 0xFFFFFFFF : value; }

}  // namespace

void ZipWriter::write(ByteSpan bytes) {
  file_.write(bytes.data(), bytes.size());
  at_ += bytes.size();
}

void ZipWriter::write(const std::string& text) { write(std::as_bytes(std::span(text))); }

/// The entry's own header, padded so that its data is aligned.
void ZipWriter::begin(const Entry& entry) {
  constexpr uint64_t kHeaderBytes = 30, kFieldBytes = 4;
  Record extra;
  const bool large = entry.size > kLargest32 || entry.stored > kLargest32;
  if (large) extra.u16(kZip64Field).u16(16).u64(entry.size).u64(entry.stored);
  const uint64_t used = at_ + kHeaderBytes + entry.name.size() + extra.text.size() + kFieldBytes;
  const uint64_t padding = (kAlignment - used % kAlignment) % kAlignment;
  extra.u16(kPaddingField).u16(padding).text.append(padding, 'Z');
  Record header;
  header.u32(0x04034b50).u16(large ? 45 : 20).u16(kUtf8).u16(entry.method);
  header.u16(0).u16(kFirstDate).u32(entry.crc);
  header.u32(large ? 0xFFFFFFFF : entry.stored).u32(large ? 0xFFFFFFFF : entry.size);
  header.u16(entry.name.size()).u16(extra.text.size());
  write(header.text + entry.name + extra.text);
}

void ZipWriter::add(const std::string& name, const ByteSource& source, bool compressed) {
  Entry entry{name, 0, static_cast<uint16_t>(compressed ? 8 : 0), 0, 0, at_};
  if (name.size() > 0xFFFF) fail(name.substr(0, 80), "...: the name is too long for a zip archive");
  Deflater deflater;
  source([&](ByteSpan bytes) {
    entry.crc = crc32_of(bytes, entry.crc);
    entry.size += bytes.size();
    if (compressed) deflater.add(bytes);
  });
  if (compressed) {
    const std::vector<std::byte> data = deflater.finish();
    entry.stored = data.size();
    begin(entry);
    write(ByteSpan(data));
  } else {
    entry.stored = entry.size;
    begin(entry);
    source([&](ByteSpan bytes) { write(bytes); });
  }
  entries_.push_back(std::move(entry));
}

void ZipWriter::add(const std::string& name, std::string_view text) {
  add(name, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
}

void ZipWriter::finish() {
  const uint64_t start = at_;
  for (const Entry& entry : entries_) {
    Record extra;
    for (const uint64_t value : {entry.size, entry.stored, entry.header}) {
      if (value > kLargest32) extra.u64(value);
    }
    Record field;
    if (!extra.text.empty()) field.u16(kZip64Field).u16(extra.text.size());
    const uint16_t version = extra.text.empty() ? 20 : 45;
    Record row;
    row.u32(0x02014b50).u16(version).u16(version).u16(kUtf8).u16(entry.method);
    row.u16(0).u16(kFirstDate).u32(entry.crc).u32(in_32(entry.stored)).u32(in_32(entry.size));
    row.u16(entry.name.size()).u16(field.text.size() + extra.text.size()).u16(0);
    row.u16(0).u16(0).u32(0).u32(in_32(entry.header));
    write(row.text + entry.name + field.text + extra.text);
  }
  const uint64_t bytes = at_ - start;
  const uint64_t count = entries_.size();
  Record end;
  if (count >= 0xFFFF || start > kLargest32 || bytes > kLargest32) {
    end.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count);
    end.u64(bytes).u64(start);
    end.u32(0x07064b50).u32(0).u64(at_).u32(1);
  }
  const uint64_t short_count = count >= 0xFFFF ? 0xFFFF : count;
  end.u32(0x06054b50).u16(0).u16(0).u16(short_count).u16(short_count);
  end.u32(in_32(bytes)).u32(in_32(start)).u16(0);
  write(end.text);
  file_.commit();
}

}  // namespace tallow
