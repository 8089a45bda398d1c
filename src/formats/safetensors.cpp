// safetensors: the header against the data.
#include "tallow/safetensors.h"

#include <algorithm>

#include "core/half.h"
#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/safetensors_header.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as the safetensors library has it

TensorInfo checked_entry(const SafetensorsEntry& entry, uint64_t data_start, uint64_t data_bytes,
                         const std::string& path) {
  const auto bad = [&](const auto&... reason) {
    fail(path, ": tensor ", quoted(entry.name), ": offset ", data_start + entry.begin, ": ",
         reason...);
  };
  TensorInfo t;
  t.name = entry.name;
  t.shape = entry.shape;
  t.dtype = dtype_from_safetensors(entry.dtype);
  t.type = t.dtype ? info(*t.dtype).name : quoted(entry.dtype);
  if (entry.end > data_bytes) {
    bad("its data ends at ", entry.end, " of ", data_bytes,
        " bytes; the file is truncated or damaged");
  }
  t.offset = static_cast<int64_t>(data_start + entry.begin);
  t.bytes = static_cast<int64_t>(entry.end - entry.begin);
  if (!t.dtype) return t;
  const DTypeInfo& row = info(*t.dtype);
  int64_t elements = 1;
  for (const int64_t size : t.shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) {
      bad("the product of its shape ", t.shape, " overflows 64 bits");
    }
  }
  int64_t bytes = 0;
  if (elements % row.block != 0) {
    bad(t.type, " ", t.shape, " ends inside a byte; ", row.block, " elements fill whole ones");
  }
  if (__builtin_mul_overflow(elements / row.block, int64_t{row.bytes}, &bytes)) {
    bad("the bytes of its shape ", t.shape, " overflow 64 bits");
  }
  if (bytes != t.bytes) {
    bad(t.type, " ", t.shape, " takes ", bytes, " bytes, but data_offsets span ", t.bytes);
  }
  const bool whole_rows = row.block == 1 || t.shape.empty() || t.shape.back() % row.block == 0;
  if (!whole_rows) {
    // Elements that share a byte with another row: they become the smallest of whole bytes that
    // has all of their values.
    t.type += str(" with rows of ", t.shape.back());
    t.dtype = DType::f8_e4m3;
  }
  return t;
}

/// The data must be one run without gaps or overlaps, from the header to the end of the file.
void check_coverage(const std::vector<TensorInfo>& tensors, uint64_t data_start, uint64_t file_size,
                    const std::string& path) {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const TensorInfo& t : tensors) sorted.push_back(&t);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  auto next = static_cast<int64_t>(data_start);
  for (const TensorInfo* t : sorted) {
    if (t->offset != next) {
      fail(path, ": tensor ", quoted(t->name), ": offset ", t->offset, ": its data ",
           t->offset < next ? "overlaps other data" : "leaves a gap",
           "; the data before it ends at ", next);
    }
    next += t->bytes;
  }
  if (static_cast<uint64_t>(next) != file_size) {
    fail(path, ": data: offset ", next, ": ", file_size - static_cast<uint64_t>(next),
         " bytes belong to no tensor; the file is damaged");
  }
}

}  // namespace

std::shared_ptr<const SafetensorsFile> SafetensorsFile::parse(
    std::shared_ptr<const FileBytes> file) {
  const std::string& path = file->path();
  const uint64_t size = file->bytes().size();
  if (size == 0) fail(path, ": the file is empty");
  ByteReader reader(file->bytes(), path);
  const auto header_bytes = reader.read<uint64_t>("header length");
  if (header_bytes > kMaxHeaderBytes) {
    reader.fail_at("header length", header_bytes, " bytes, more than the format's limit of ",
                   kMaxHeaderBytes, "; this is not a safetensors file, or it is damaged");
  }
  const auto text = as_text(reader.take(header_bytes, "header"));
  SafetensorsHeader header = parse_safetensors_header(text, path);
  std::vector<TensorInfo> tensors;
  tensors.reserve(header.tensors.size());
  for (const SafetensorsEntry& entry : header.tensors) {
    tensors.push_back(checked_entry(entry, reader.offset(), reader.remaining(), path));
  }
  std::shared_ptr<SafetensorsFile> result(new SafetensorsFile(std::move(file)));
  result->metadata_ = std::move(header.metadata);
  result->set_tensors(std::move(tensors));
  check_coverage(result->tensors(), reader.offset(), size, result->path());
  return result;
}

Tensor SafetensorsFile::make(const TensorInfo& tensor) const {
  if (tensor.bytes == storage_bytes(*tensor.dtype, tensor.shape.numel())) {
    return TensorFile::make(tensor);
  }
  const size_t space = tensor.type.find(' ');
  TensorInfo flat = tensor;
  flat.dtype = dtype_from_name(tensor.type.substr(0, space));
  flat.shape = {tensor.shape.numel()};
  const std::vector<float> values = TensorFile::make(flat).to_vector();
  const Tensor out = Tensor::empty(tensor.shape, *tensor.dtype);
  std::ranges::transform(values, static_cast<uint8_t*>(out.raw()), f32_to_f8_e4m3);
  return out;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  return parse(FileBytes::open(path));
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::from_memory(
    std::span<const std::byte> bytes, std::string what) {
  return parse(FileBytes::copy(bytes, std::move(what)));
}

}  // namespace tallow
