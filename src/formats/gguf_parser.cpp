// Reading GGUF: one pass over the header checks everything; values and tensors stay in the mapping.
#include <algorithm>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/gguf_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr int64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMostReserved = 4096;  // entries; more are taken only as they are read

/// The path of part `index` of `count`, where `path` is that of one of them; empty where the path
/// does not end as parts do, in -00001-of-00003.gguf.
std::string part_path(const std::string& path, int64_t index, int64_t count) {
  constexpr size_t kTail = std::string_view("-00001-of-00003.gguf").size();
  if (path.size() < kTail) return "";
  const auto number = [](int64_t n) {
    const std::string digits = std::to_string(n);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
  };
  const std::string_view tail = std::string_view(path).substr(path.size() - kTail);
  if (tail[0] != '-' || tail.substr(6) != "-of-" + number(count) + ".gguf") return "";
  return path.substr(0, path.size() - kTail + 1) + number(index + 1) + std::string(tail.substr(6));
}

}  // namespace

/// Fills a GgufFile from its bytes.
class GgufParser {
 public:
  explicit GgufParser(GgufFile& file) : file_(file), reader_(file.file().bytes(), file.path()) {}

  void run() {
    read_version();
    const uint64_t tensors = read_count("tensor count");
    const uint64_t values = read_count("metadata count");
    reader_.check_count(tensors, old_ ? 16 : 24, "tensor count");
    reader_.check_count(values, old_ ? 9 : 13, "metadata count");
    read_metadata(values);
    read_alignment();
    read_tensors(tensors);
  }

 private:
  void read_version();
  void read_metadata(uint64_t count);
  void read_value(GgufValue& value, const std::string& field);
  void read_strings(GgufValue& value, const std::string& field);
  void read_alignment();
  void read_tensors(uint64_t count);
  TensorInfo read_tensor(uint64_t index);
  void place_tensors(std::vector<TensorInfo>& tensors);
  void check_overlap(const std::vector<TensorInfo>& tensors) const;
  void check_booleans(std::span<const std::byte> values, const std::string& field) const;

  /// Counts and lengths had 32 bits in version 1.
  uint64_t read_count(std::string_view field) {
    return old_ ? reader_.read<uint32_t>(field) : reader_.read<uint64_t>(field);
  }
  std::string_view read_text(std::string_view field) {
    return as_text(reader_.take(read_count(field), field));
  }
  GgufType read_type(const std::string& field) {
    const auto id = reader_.read<uint32_t>(field);
    if (id >= kGgufTypes) reader_.fail_at(field, "unknown value type ", id);
    return static_cast<GgufType>(id);
  }

  GgufFile& file_;
  ByteReader reader_;
  bool old_ = false;  // version 1
};

void GgufParser::read_version() {
  if (reader_.remaining() == 0) fail(file_.path(), ": the file is empty");
  const auto magic = as_text(reader_.take(4, "magic"));
  if (magic != "GGUF") {
    reader_.fail_at("magic", quoted(magic), " instead of \"GGUF\"; this is not a GGUF file");
  }
  auto version = reader_.read<uint32_t>("version");
  if (version != 0 && (version & 0xFFFF) == 0) {  // no version has come so far
    file_.big_endian_ = true;
    reader_.set_big_endian(true);
    version = __builtin_bswap32(version);
  }
  if (version < 1 || version > 3) {
    reader_.fail_at("version", version, " is not supported, only 1 to 3; convert the file again");
  }
  old_ = version == 1;
  file_.version_ = static_cast<int>(version);
}

void GgufParser::read_metadata(uint64_t count) {
  file_.metadata_.reserve(std::min(count, kMostReserved));
  for (uint64_t i = 0; i < count; ++i) {
    GgufValue value;
    value.key = read_text("metadata key");
    const std::string field = str("metadata ", quoted(value.key));
    read_value(value, field);
    if (!file_.keys_.emplace(value.key, file_.metadata_.size()).second) {
      reader_.fail_at(field, "the key occurs twice");
    }
    file_.metadata_.push_back(value);
  }
}

void GgufParser::read_value(GgufValue& value, const std::string& field) {
  value.type = read_type(field);
  if (value.type == GgufType::array) {
    value.is_array = true;
    value.type = read_type(field);
    value.count = read_count(field);
    if (value.type == GgufType::array) {
      reader_.fail_at(field, "an array of arrays is not supported");
    }
  }
  const uint64_t each = bytes_of(value.type);
  if (value.type == GgufType::string) return read_strings(value, field);
  reader_.check_count(value.count, each, field);
  value.data = reader_.take(value.count * each, field);
  if (value.type == GgufType::boolean) check_booleans(value.data, field);
  if (!file_.big_endian_ || each == 1) return;
  std::string& turned = file_.converted_.emplace_back(as_text(value.data));
  for (size_t i = 0; i < turned.size(); i += each) {
    std::reverse(turned.begin() + static_cast<std::ptrdiff_t>(i),
                 turned.begin() + static_cast<std::ptrdiff_t>(i + each));
  }
  value.data = std::as_bytes(std::span(turned));
}

void GgufParser::read_strings(GgufValue& value, const std::string& field) {
  reader_.check_count(value.count, old_ ? 4 : 8, field);
  if (old_ || file_.big_endian_) {
    std::string& texts = file_.converted_.emplace_back();
    for (uint64_t i = 0; i < value.count; ++i) {
      const std::string_view text = read_text(field);
      const uint64_t length = text.size();
      texts.append(reinterpret_cast<const char*>(&length), 8);
      texts += text;
    }
    value.data = std::as_bytes(std::span(texts));
    return;
  }
  const uint64_t begin = reader_.offset();
  for (uint64_t i = 0; i < value.count; ++i) read_text(field);
  value.data = file_.file().bytes().subspan(begin, reader_.offset() - begin);
}

void GgufParser::check_booleans(std::span<const std::byte> values, const std::string& field) const {
  for (const std::byte b : values) {
    if (b > std::byte{1}) {
      reader_.fail_at(field, "the boolean is ", static_cast<int>(b), " instead of 0 or 1");
    }
  }
}

void GgufParser::read_alignment() {
  const GgufValue* value = file_.find_value("general.alignment");
  if (!value) return;
  const char* field = "metadata \"general.alignment\"";
  if (value->is_array || value->type != GgufType::u32) {
    reader_.fail_at(field, "has the type ", to_string(value->type), " instead of u32");
  }
  file_.alignment_ = load<uint32_t>(value->data.data());
  if (!std::has_single_bit(static_cast<uint64_t>(file_.alignment_)) ||
      file_.alignment_ > kMaxAlignment) {
    reader_.fail_at(field, file_.alignment_, " is not a power of two up to ", kMaxAlignment);
  }
}

void GgufParser::read_tensors(uint64_t count) {
  std::vector<TensorInfo> tensors;
  tensors.reserve(std::min(count, kMostReserved));
  for (uint64_t i = 0; i < count; ++i) tensors.push_back(read_tensor(i));
  place_tensors(tensors);
  check_overlap(tensors);
  file_.set_tensors(std::move(tensors));
}

TensorInfo GgufParser::read_tensor(uint64_t index) {
  TensorInfo t;
  t.name = read_text(str("name of tensor ", index));
  const std::string field = str("tensor ", quoted(t.name));
  const auto dims = reader_.read<uint32_t>(field);
  if (dims > Shape::kMaxDims) {
    reader_.fail_at(field, dims, " dimensions, more than ", Shape::kMaxDims);
  }
  t.shape = Shape::filled(static_cast<int>(dims), 0);
  int64_t elements = 1;
  for (int d = static_cast<int>(dims) - 1; d >= 0; --d) {  // GGUF's first dimension is the last
    const int64_t size = old_ ? reader_.read<uint32_t>(field) : reader_.read<int64_t>(field);
    if (size <= 0) reader_.fail_at(field, "the dimension ", size, " is not positive");
    if (__builtin_mul_overflow(elements, size, &elements)) {
      reader_.fail_at(field, "the product of its dimensions overflows 64 bits");
    }
    t.shape[d] = size;
  }
  const auto type = reader_.read<uint32_t>(field);
  t.dtype = dtype_from_gguf(type);
  if (!t.dtype) {
    reader_.fail_at(field, "the type id ", type, " is unknown or was removed from GGUF; ",
                    "convert the file again");
  }
  const DTypeInfo& layout = info(*t.dtype);
  t.type = layout.name;
  const int64_t row = t.shape.empty() ? 1 : t.shape.back();
  if (row % layout.block != 0) {
    reader_.fail_at(field, "its rows of ", row, " elements are not whole ", t.type, " blocks of ",
                    layout.block);
  }
  if (__builtin_mul_overflow(elements / layout.block, layout.bytes, &t.bytes)) {
    reader_.fail_at(field, "its size in bytes overflows 64 bits");
  }
  const auto offset = reader_.read<uint64_t>(field);
  if (offset % static_cast<uint64_t>(file_.alignment_) != 0) {
    reader_.fail_at(field, "its data's offset ", offset, " is not a multiple of ",
                    file_.alignment_);
  }
  if (offset > file_.file().bytes().size()) {
    reader_.fail_at(field, "its data's offset ", offset, " is past the end of the file");
  }
  t.offset = static_cast<int64_t>(offset);
  return t;
}

/// Turns offsets into the data section into offsets into the file, and checks that they are in it,
/// with the padding that ggml writes after each tensor: a file without it was cut.
void GgufParser::place_tensors(std::vector<TensorInfo>& tensors) {
  const auto size = static_cast<int64_t>(file_.file().bytes().size());
  const auto pad = [this](int64_t n) {
    return (n + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
  };
  const int64_t start = pad(static_cast<int64_t>(reader_.offset()));
  for (TensorInfo& t : tensors) {
    t.offset += start;
    if (t.offset > size || t.bytes > size - t.offset || pad(t.offset + t.bytes) > size) {
      reader_.fail_at(str("tensor ", quoted(t.name)), "its ", t.bytes, " bytes at ", t.offset,
                      ", padded to ", file_.alignment_, ", end past the file's ", size,
                      "; the file is truncated or damaged");
    }
  }
}

void GgufParser::check_overlap(const std::vector<TensorInfo>& tensors) const {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const TensorInfo& t : tensors) sorted.push_back(&t);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const TensorInfo& before = *sorted[i - 1];
    if (before.offset + before.bytes > sorted[i]->offset) {
      reader_.fail_at(str("tensor ", quoted(sorted[i]->name)), "its data at ", sorted[i]->offset,
                      " overlaps that of ", quoted(before.name));
    }
  }
}

std::shared_ptr<const GgufFile> GgufFile::parse(std::shared_ptr<const FileBytes> file) {
  std::shared_ptr<GgufFile> result(new GgufFile(std::move(file)));
  GgufParser(*result).run();
  return result;
}

std::shared_ptr<const GgufFile> GgufFile::open(const std::string& path) {
  auto file = parse(FileBytes::open(path));
  const int64_t count = file->integer("split.count").value_or(1);
  return count > 1 ? join(file, count) : file;
}

std::shared_ptr<const GgufFile> GgufFile::join(const std::shared_ptr<const GgufFile>& part,
                                               int64_t count) {
  const std::string& path = part->path();
  constexpr const char* kField = "metadata \"split.count\"";
  if (count > UINT16_MAX) fail(path, ": ", kField, ": ", count, " parts are too many");
  std::vector<std::shared_ptr<const GgufFile>> parts;
  int64_t tensors = 0;
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = part_path(path, i, count);
    if (name.empty()) {
      fail(path, ": ", kField, ": it is one of ", count, " parts, but its name does not end in ",
           "-00001-of-", count, ".gguf as theirs do; give it back its name");
    }
    try {
      parts.push_back(name == path ? part : parse(FileBytes::open(name)));
    } catch (const Error& error) {
      fail(path, ": part ", i + 1, " of ", count, " cannot be opened: ", error.what());
    }
    const GgufFile& file = *parts.back();
    if (file.integer("split.count").value_or(1) != count ||
        file.integer("split.no").value_or(-1) != i) {
      fail(name, ": metadata \"split.no\": it is not part ", i + 1, " of ", count,
           " of the model of ", path);
    }
    tensors += static_cast<int64_t>(file.tensors().size());
  }
  const GgufFile& first = *parts[0];
  if (first.integer("split.tensors.count").value_or(tensors) != tensors) {
    fail(path, ": metadata \"split.tensors.count\": ", *first.integer("split.tensors.count"),
         " tensors are announced, and ", tensors, " are in the ", count, " parts");
  }
  std::shared_ptr<GgufFile> whole(new GgufFile(FileBytes::open(path)));
  whole->version_ = first.version_;
  whole->big_endian_ = first.big_endian_;
  whole->alignment_ = first.alignment_;
  whole->metadata_ = first.metadata_;
  whole->keys_ = first.keys_;
  std::vector<TensorInfo> all;
  for (const auto& file : parts) {
    all.insert(all.end(), file->tensors().begin(), file->tensors().end());
  }
  whole->set_tensors(std::move(all));
  whole->parts_ = std::move(parts);
  return whole;
}

std::shared_ptr<const GgufFile> GgufFile::from_memory(std::span<const std::byte> bytes,
                                                      std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

}  // namespace tallow
