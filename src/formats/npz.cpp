// .npz files: zip archives of .npy files.
#include "formats/byte_reader.h"
#include "formats/npy_header.h"
#include "formats/tensor_bytes.h"
#include "formats/zip/zip_reader.h"
#include "formats/zip/zip_writer.h"
#include "tallow/error.h"
#include "tallow/npy.h"

namespace tallow {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr uint64_t kLongestBeginning = (1 << 16) + 16;  // an array's header, with what precedes it

std::string entry_path(const std::string& path, const ZipEntry& entry) {
  return str(path, ": zip entry ", quoted(entry.name));
}

/// What an entry's header says, without its data.
TensorInfo entry_info(const ZipReader& zip, const ZipEntry& entry) {
  const std::vector<std::byte> bytes = zip.beginning(entry, kLongestBeginning);
  const std::string what = entry_path(zip.file().path(), entry);
  ByteReader reader(bytes, what);
  const NpyHeader header = read_npy_header(reader, entry.size, what);
  TensorInfo t;
  t.name = entry.name.substr(0, entry.name.size() - kSuffix.size());
  t.shape = header.shape;
  t.dtype = header.dtype;
  t.type = to_string(header.dtype);
  t.bytes = header.bytes;
  if (zip.is_stored(entry)) {
    t.offset = static_cast<int64_t>(zip.data_offset(entry) + reader.offset());
  }
  return t;
}

}  // namespace

NpzFile::NpzFile(std::shared_ptr<const FileBytes> file)
    : TensorFile(file), zip_(std::make_unique<const ZipReader>(std::move(file))) {
  std::vector<TensorInfo> tensors;
  for (const ZipEntry& entry : zip_->entries()) {
    if (entry.name.ends_with(kSuffix)) tensors.push_back(entry_info(*zip_, entry));
  }
  set_tensors(std::move(tensors));
}

NpzFile::~NpzFile() = default;

std::shared_ptr<const NpzFile> NpzFile::open(const std::string& path) {
  return std::shared_ptr<const NpzFile>(new NpzFile(FileBytes::open(path)));
}

std::shared_ptr<const NpzFile> NpzFile::from_memory(std::span<const std::byte> bytes,
                                                    std::string what) {
  return std::shared_ptr<const NpzFile>(new NpzFile(FileBytes::copy(bytes, std::move(what))));
}

Tensor NpzFile::make(const TensorInfo& tensor) const {
  const ZipEntry& entry = *zip_->find(tensor.name + std::string(kSuffix));
  return parse_npy(zip_->open(entry), entry_path(path(), entry));
}

void add_npy(ZipWriter& zip, const std::string& name, const Tensor& tensor, const std::string& path,
             bool compressed) {
  const std::string header = make_npy_header(tensor, str(path, ": tensor ", quoted(name)));
  const auto give = [&](const ByteSink& sink) {
    sink(std::as_bytes(std::span(header)));
    give_bytes(tensor, sink);
  };
  zip.add(name + std::string(kSuffix), give, compressed);
}

}  // namespace tallow
