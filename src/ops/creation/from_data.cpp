// Tensors of lists and of foreign memory.
#include "tallow/from_data.h"

#include "ops/elements.h"
#include "tallow/error.h"

namespace tallow {
namespace {

Shape shape_of(const Values& values) {
  Shape shape;
  for (const Values* v = &values; v->is_list(); v = &v->items()[0]) {
    shape.push_back(static_cast<int64_t>(v->items().size()));
    if (v->items().empty()) break;
  }
  return shape;
}

void flatten_into(const Values& values, const Shape& shape, int depth,
                  std::vector<Scalar>& numbers) {
  if (!values.is_list()) {
    if (depth != shape.size()) fail("tensor: a number stands where a list was before");
    numbers.push_back(values.number());
    return;
  }
  if (depth == shape.size() || static_cast<int64_t>(values.items().size()) != shape[depth]) {
    fail("tensor: the lists do not make up shape ", shape, " at depth ", depth);
  }
  for (const Values& item : values.items()) flatten_into(item, shape, depth + 1, numbers);
}

DType dtype_of(const std::vector<Scalar>& numbers) {
  if (numbers.empty()) return default_dtype();
  auto kind = Scalar::Kind::boolean;
  for (const Scalar& s : numbers) kind = std::max(kind, s.kind());
  switch (kind) {
    case Scalar::Kind::boolean: return DType::boolean;
    case Scalar::Kind::integer: return DType::i64;
    case Scalar::Kind::real: return default_dtype();
    case Scalar::Kind::complex: break;
  }
  return to_complex(default_dtype());
}

// Calls the deleter once, when the last owner goes.
std::shared_ptr<void> owner_of(void* data, std::function<void(void*)> deleter) {
  if (!deleter) return nullptr;
  return std::shared_ptr<void>(data, std::move(deleter));
}

}  // namespace

Tensor tensor(const Values& values, std::optional<DType> dtype) {
  const Shape shape = shape_of(values);
  std::vector<Scalar> numbers;
  flatten_into(values, shape, 0, numbers);
  const DType type = dtype.value_or(dtype_of(numbers));
  if (is_block(type)) fail("tensor: ", type, " is a block dtype; make f32 and convert");
  const Tensor result = Tensor::empty(shape, type);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    if (is_complex(type)) {
      const Complex value = numbers[i].complex();
      write_elements(result, at, 1, &value);
    } else if (is_integral(type)) {
      const int64_t value = type == DType::boolean ? numbers[i].real() != 0 : numbers[i].integer();
      write_elements(result, at, 1, &value);
    } else {
      const double value = numbers[i].real();
      write_elements(result, at, 1, &value);
    }
  }
  return result;
}

Tensor from_blob(void* data, const Shape& size, const Shape& strides, DType dtype,
                 std::function<void(void*)> deleter) {
  if (is_block(dtype) && !(strides == contiguous_strides(size))) {
    fail("from_blob: ", dtype, " is a block dtype, which has no strides");
  }
  if (size.size() != strides.size()) {
    fail("from_blob: ", strides.size(), " strides for ", size.size(), " dimensions");
  }
  int64_t last = 0;
  for (int i = 0; i < size.size(); ++i) {
    int64_t reach = 0;
    if (size[i] < 0 || strides[i] < 0 ||
        __builtin_mul_overflow(std::max<int64_t>(size[i] - 1, 0), strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      fail("from_blob: size ", size, " with strides ", strides, " is negative or overflows");
    }
  }
  const int64_t bytes = size.numel() == 0 ? 0 : storage_bytes(dtype, last + 1);
  const auto buffer =
      Buffer::wrap(data, bytes, owner_of(data, std::move(deleter)), Buffer::Kind::borrowed);
  return Tensor(buffer, 0, size, strides, dtype);
}

Tensor from_blob(void* data, const Shape& size, DType dtype, std::function<void(void*)> deleter) {
  return from_blob(data, size, contiguous_strides(size), dtype, std::move(deleter));
}

}  // namespace tallow
