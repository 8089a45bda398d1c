// Tensors over the mapped bytes of a file.
#include "tallow/tensor_file.h"

#include <cstring>

#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "tallow/error.h"

namespace tallow {
namespace {

/// Block types begin with, or hold, f16 scales; others are read as their C++ type.
size_t alignment_of(DType dtype) {
  return is_block(dtype) ? (info(dtype).bytes % 2 == 0 ? 2 : 1)
                         : static_cast<size_t>(info(dtype).bytes);
}

Tensor make_tensor(const std::shared_ptr<const FileBytes>& file, const TensorInfo& t) {
  std::byte* data = const_cast<std::byte*>(file->bytes().data()) + t.offset;
  std::shared_ptr<Buffer> buffer;
  if (reinterpret_cast<uintptr_t>(data) % alignment_of(*t.dtype) == 0) {
    const auto kind = file->is_mapped() ? Buffer::Kind::mapped : Buffer::Kind::borrowed;
    buffer = Buffer::wrap(data, t.bytes, std::const_pointer_cast<FileBytes>(file), kind);
  } else {
    buffer = Buffer::allocate(t.bytes);
    std::memcpy(buffer->data(), data, static_cast<size_t>(t.bytes));
  }
  return Tensor(std::move(buffer), 0, t.shape, contiguous_strides(t.shape), *t.dtype);
}

}  // namespace

TensorFile::TensorFile(std::shared_ptr<const FileBytes> file) : file_(std::move(file)) {}
TensorFile::~TensorFile() = default;

const std::string& TensorFile::path() const { return file_->path(); }

std::vector<std::string> TensorFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorInfo& t : tensors_) names.push_back(t.name);
  return names;
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

Tensor TensorFile::get(std::string_view name) const {
  const TensorInfo* t = find(name);
  if (!t) fail(path(), ": tensor ", quoted(name), " is not in the file");
  if (!t->dtype) {
    fail(path(), ": tensor ", quoted(name), ": the type ", t->type,
         " is not supported; convert the file to another type");
  }
  const std::lock_guard lock(mutex_);
  Tensor& opened = opened_[static_cast<size_t>(t - tensors_.data())];
  if (!opened) opened = make(*t);
  return opened;
}

Tensor TensorFile::make(const TensorInfo& tensor) const { return make_tensor(file_, tensor); }

void TensorFile::will_need() const { file_->will_need(); }

void TensorFile::set_tensors(std::vector<TensorInfo> tensors) {
  tensors_ = std::move(tensors);
  opened_.resize(tensors_.size());
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) {
      fail(path(), ": tensor ", quoted(tensors_[i].name), ": the name occurs twice");
    }
  }
}

int64_t bytes_of(const PlannedTensor& tensor) {
  int64_t elements = 1;
  for (const int64_t size : tensor.shape) elements *= size;
  return storage_bytes(tensor.dtype, elements);
}

}  // namespace tallow
