// The handle: construction, properties and access. Views and conversions are ops (src/ops).
#include "tallow/tensor.h"

#include <cstring>

#include "core/recycle.h"
#include "core/tensor_impl.h"
#include "tallow/error.h"

namespace tallow {
namespace {

const TensorImpl& checked(const std::shared_ptr<TensorImpl>& impl) {
  if (!impl) fail("tensor: used before it was given a value");
  return *impl;
}

int64_t bytes_of(const Shape& shape, DType dtype) {
  if (shape.empty()) return storage_bytes(dtype, 1);
  Shape rows = shape;
  rows.erase(rows.size() - 1);
  int64_t total = 0;
  if (__builtin_mul_overflow(rows.numel(), storage_bytes(dtype, shape.back()), &total)) {
    fail("tensor: ", to_string(shape), " of ", dtype, " has more than 2^63 bytes");
  }
  return total;
}

template <class T>
Tensor copy_of(std::span<const T> values, const Shape& shape, DType dtype) {
  if (shape.numel() != static_cast<int64_t>(values.size())) {
    fail("from: ", values.size(), " values do not fill shape ", shape);
  }
  Tensor t = Tensor::empty(shape, dtype);
  if (!values.empty()) std::memcpy(t.raw(), values.data(), values.size_bytes());
  return t;
}

}  // namespace

Tensor::Tensor(const Tensor& other) = default;
Tensor& Tensor::operator=(const Tensor& other) = default;
Tensor& Tensor::operator=(Tensor&& other) noexcept = default;
Tensor::~Tensor() = default;

Tensor::Tensor(std::shared_ptr<Buffer> buffer, int64_t offset, Shape shape, Shape strides,
               DType dtype)
    : impl_(std::allocate_shared<TensorImpl>(Recycler<TensorImpl>())) {
  impl_->buffer = std::move(buffer);
  impl_->offset = offset;
  impl_->shape = shape;
  impl_->strides = strides;
  impl_->dtype = dtype;
  impl_->is_inference = inference_mode_enabled();
}

Tensor::Tensor(const Scalar& number) : Tensor(empty({}, number.dtype())) {
  impl_->is_number = true;
  switch (number.kind()) {
    case Scalar::Kind::boolean: *static_cast<bool*>(raw()) = number.integer() != 0; break;
    case Scalar::Kind::integer: *static_cast<int64_t*>(raw()) = number.integer(); break;
    case Scalar::Kind::real: *static_cast<double*>(raw()) = number.real(); break;
    case Scalar::Kind::complex:
      *static_cast<std::complex<double>*>(raw()) = number.complex();
      break;
  }
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  return Tensor(Buffer::allocate(bytes_of(shape, dtype), device), 0, shape,
                contiguous_strides(shape), dtype);
}

Tensor Tensor::from(std::span<const float> values, const Shape& shape) {
  return copy_of(values, shape, DType::f32);
}
Tensor Tensor::from(std::span<const int32_t> values, const Shape& shape) {
  return copy_of(values, shape, DType::i32);
}
Tensor Tensor::from(std::span<const int64_t> values, const Shape& shape) {
  return copy_of(values, shape, DType::i64);
}

const Shape& Tensor::shape() const { return checked(impl_).shape; }
const Shape& Tensor::strides() const { return checked(impl_).strides; }
int Tensor::dim() const { return shape().size(); }
int64_t Tensor::size(int64_t d) const { return shape()[normalize_dim(d, dim(), "size")]; }
int64_t Tensor::numel() const { return shape().numel(); }
DType Tensor::dtype() const { return checked(impl_).dtype; }
Device Tensor::device() const { return checked(impl_).buffer->device(); }
int64_t Tensor::nbytes() const { return bytes_of(shape(), dtype()); }
const std::shared_ptr<Buffer>& Tensor::buffer() const { return checked(impl_).buffer; }
int64_t Tensor::offset() const { return checked(impl_).offset; }
void* Tensor::raw() const { return checked(impl_).buffer->data() + impl_->offset; }

bool Tensor::is_number() const { return checked(impl_).is_number; }

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = dim() - 1; i >= 0; --i) {
    if (shape()[i] == 0) return true;
    if (shape()[i] != 1 && strides()[i] != expected) return false;
    expected *= shape()[i];
  }
  return true;
}

void Tensor::check_type(size_t bytes) const {
  const DTypeInfo& row = info(dtype());
  if (row.kind == DTypeKind::block || row.bytes != static_cast<int>(bytes)) {
    fail("data: elements of ", dtype(), " are not ", bytes, " bytes wide; call .to(f32) first");
  }
}

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "(undefined)";
  return str(tensor.dtype(), " ", tensor.shape());
}

}  // namespace tallow
