// .npy files in and out.
#include "tallow/npy.h"

#include <vector>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/npy_header.h"
#include "formats/output_file.h"
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

Tensor parse(const std::shared_ptr<const FileBytes>& file) {
  if (file->bytes().empty()) fail(file->path(), ": the file is empty");
  ByteReader reader(file->bytes(), file->path());
  const std::string_view text = read_header_text(reader);
  const NpyHeader header = parse_npy_header(text, str(file->path(), ": header: "));
  const int64_t bytes = checked_bytes(reader, header);
  if (static_cast<uint64_t>(bytes) != reader.remaining()) {
    reader.fail_at("data", info(header.dtype).name, " ", header.shape, " takes ", bytes,
                   " bytes, but ", reader.remaining(), " are left; the file is damaged");
  }
  std::byte* data = const_cast<std::byte*>(file->bytes().data()) + reader.offset();
  std::shared_ptr<Buffer> buffer;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<size_t>(info(header.dtype).bytes) == 0) {
    const auto kind = file->is_mapped() ? Buffer::Kind::mapped : Buffer::Kind::borrowed;
    buffer = Buffer::wrap(data, bytes, std::const_pointer_cast<FileBytes>(file), kind);
  } else {
    buffer = Buffer::allocate(bytes);
    std::memcpy(buffer->data(), data, static_cast<size_t>(bytes));
  }
  const bool fortran = header.fortran_order && bytes > 0;
  const Shape strides = fortran ? fortran_strides(header.shape) : contiguous_strides(header.shape);
  return Tensor(std::move(buffer), 0, header.shape, strides, header.dtype);
}

std::string make_header(const char* descr, const Shape& shape) {
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

/// The bytes of a tensor in row-major order, wherever its strides lead.
std::vector<std::byte> gathered(const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  const Shape& strides = tensor.strides();
  const int64_t each = info(tensor.dtype()).bytes;
  std::vector<std::byte> out(static_cast<size_t>(tensor.nbytes()));
  const std::byte* source = static_cast<const std::byte*>(tensor.raw());
  Shape index = Shape::filled(shape.size(), 0);
  int64_t at = 0;  // in elements of the source
  for (size_t done = 0; done < out.size(); done += static_cast<size_t>(each)) {
    std::memcpy(&out[done], source + at * each, static_cast<size_t>(each));
    for (int d = shape.size() - 1; d >= 0; --d) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace

void save_npy(const std::string& path, const Tensor& tensor) {
  const char* descr = npy_descr(tensor.dtype());
  if (!descr) {
    fail(path, ": NumPy has no ", to_string(tensor.dtype()), "; call .to(DType::f32) first");
  }
  OutputFile file(path);
  const std::string header = make_header(descr, tensor.shape());
  file.write(header.data(), header.size());
  if (tensor.is_contiguous()) {
    file.write(tensor.raw(), static_cast<size_t>(tensor.nbytes()));
  } else {
    const std::vector<std::byte> rows = gathered(tensor);
    file.write(rows.data(), rows.size());
  }
  file.commit();
}

Tensor load_npy(const std::string& path) { return parse(FileBytes::open(path)); }

Tensor load_npy(std::span<const std::byte> bytes, std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

}  // namespace tallow
