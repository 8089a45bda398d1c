// .npy files in and out.
#include "tallow/npy.h"

#include <cstring>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/npy_header.h"
#include "formats/output_file.h"
#include "formats/tensor_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr uint64_t kMaxHeaderBytes = 1 << 16;

Shape fortran_strides(const Shape& shape) {
  Shape strides = Shape::filled(shape.size(), 1);
  for (int d = 1; d < shape.size(); ++d) strides[d] = strides[d - 1] * shape[d - 1];
  return strides;
}

std::string_view read_header_text(ByteReader& reader) {
  if (as_text(reader.take(kMagic.size(), "magic")) != kMagic) {
    reader.fail_at("magic", "this is not a .npy file");
  }
  const auto major = reader.read<uint8_t>("version");
  const auto minor = reader.read<uint8_t>("version");
  if (major < 1 || major > 3 || minor != 0) {
    reader.fail_at("version", major, ".", minor, " is not supported, only 1.0, 2.0 and 3.0");
  }
  const uint64_t length = major == 1 ? uint64_t{reader.read<uint16_t>("header length")}
                                     : uint64_t{reader.read<uint32_t>("header length")};
  if (length > kMaxHeaderBytes) {
    reader.fail_at("header length", length, " bytes, more than ", kMaxHeaderBytes);
  }
  return as_text(reader.take(length, "header"));
}

int64_t checked_bytes(const ByteReader& reader, const NpyHeader& header) {
  int64_t bytes = info(header.dtype).bytes;
  bool overflow = false;
  bool empty = false;
  for (const int64_t size : header.shape) {
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(bytes, size, &bytes);
  }
  if (overflow && !empty) reader.fail_at("shape", "the product of its sizes overflows 64 bits");
  if (empty) return 0;
  return bytes;
}

std::shared_ptr<Buffer> whole(std::shared_ptr<const FileBytes> file) {
  const auto bytes = file->bytes();
  const auto kind = file->is_mapped() ? Buffer::Kind::mapped : Buffer::Kind::borrowed;
  return Buffer::wrap(const_cast<std::byte*>(bytes.data()), static_cast<int64_t>(bytes.size()),
                      std::const_pointer_cast<FileBytes>(std::move(file)), kind);
}

}  // namespace

NpyHeader read_npy_header(ByteReader& reader, uint64_t size, const std::string& what) {
  if (size == 0) fail(what, ": the file is empty");
  const std::string_view text = read_header_text(reader);
  NpyHeader header = parse_npy_header(text, str(what, ": header: "));
  header.bytes = checked_bytes(reader, header);
  const uint64_t left = size - reader.offset();
  if (static_cast<uint64_t>(header.bytes) != left) {
    reader.fail_at("data", info(header.dtype).name, " ", header.shape, " takes ", header.bytes,
                   " bytes, but ", left, " are left; the file is damaged");
  }
  return header;
}

Tensor parse_npy(std::shared_ptr<Buffer> buffer, const std::string& what) {
  const auto size = static_cast<size_t>(buffer->bytes());
  ByteReader reader({buffer->data(), size}, what);
  const NpyHeader header = read_npy_header(reader, size, what);
  auto offset = static_cast<int64_t>(reader.offset());
  const std::byte* data = buffer->data() + offset;
  const int width = number_bytes(header.dtype);
  const bool swap = header.swapped && width > 1;
  if (swap || reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(width) != 0) {
    auto copy = Buffer::allocate(header.bytes);
    if (header.bytes > 0) std::memcpy(copy->data(), data, static_cast<size_t>(header.bytes));
    if (swap) swap_bytes({copy->data(), static_cast<size_t>(header.bytes)}, width);
    buffer = std::move(copy);
    offset = 0;
  }
  const bool fortran = header.fortran_order && header.bytes > 0;
  const Shape strides = fortran ? fortran_strides(header.shape) : contiguous_strides(header.shape);
  return Tensor(std::move(buffer), offset, header.shape, strides, header.dtype);
}

std::string make_npy_header(const Tensor& tensor, const std::string& what) {
  const char* descr = npy_descr(tensor.dtype());
  if (!descr) fail(what, ": NumPy has no ", tensor.dtype(), "; call .to(DType::f32) first");
  const Shape& shape = tensor.shape();
  std::string dict = str("{'descr': '", descr, "', 'fortran_order': False, 'shape': (");
  for (const int64_t size : shape) dict += str(size, ", ");
  if (shape.size() > 1) dict.resize(dict.size() - 2);
  if (shape.size() == 1) dict.resize(dict.size() - 1);
  dict += "), }";
  constexpr size_t kPrefix = kMagic.size() + 4;
  constexpr size_t kAlignment = 64;
  const size_t used = kPrefix + dict.size() + 1;
  dict.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  dict += '\n';
  std::string header(kMagic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(dict.size() & 0xFF);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

void save_npy(const std::string& path, const Tensor& tensor) {
  const std::string header = make_npy_header(tensor, path);
  OutputFile file(path);
  file.write(header.data(), header.size());
  give_bytes(tensor, [&](ByteSpan bytes) { file.write(bytes.data(), bytes.size()); });
  file.commit();
}

Tensor load_npy(const std::string& path) { return parse_npy(whole(FileBytes::open(path)), path); }

Tensor load_npy(std::span<const std::byte> bytes, std::string what) {
  return parse_npy(whole(FileBytes::copy(bytes, what)), what);
}

}  // namespace tallow
