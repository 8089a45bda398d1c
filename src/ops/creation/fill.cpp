// Tensors of one value, and the numbers that tensors hold.
#include "ops/creation/fill.h"

#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "ops/shape/move.h"
#include "ops/shape/move_kernels.h"
#include "tallow/autograd.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// The dtype that a number has where none is given.
DType inferred(const Scalar& value) {
  if (value.is_complex()) return to_complex(default_dtype());
  return value.is_real() ? default_dtype() : value.dtype();
}

void check_size(const char* op, const Shape& size) {
  for (int64_t n : size) {
    if (n < 0) fail(op, ": size ", size, " has a negative dimension");
  }
}

constinit Op<> fill_op{"fill",
                       {.infer =
                            [](Inputs in, const NoOptions&) {
                              check_not_block("fill", in[0]);
                              return Specs{{in[0].shape(), in[0].dtype()}};
                            },
                        .vjp =
                            [](const Saved<NoOptions>& saved, Inputs grads) {
                              return Tensors{zeros_like(saved.inputs[0]), sum(grads[0])};
                            },
                        .cpu = [](Inputs in, Outputs out,
                                  const NoOptions&) { fill_elements(out[0], scalar_of(in[1])); },
                        .shapes_only = true}};

}  // namespace

void fill_elements(const Tensor& x, const Scalar& value) {
  alignas(16) std::byte element[16] = {};
  const int64_t bytes = info(x.dtype()).bytes;
  write_scalar(x.dtype(), value, element);
  const bool zero =
      std::all_of(element, element + bytes, [](std::byte b) { return b == std::byte{}; });
  auto* to = static_cast<std::byte*>(x.raw());
  if (x.nbytes() >= kStreamBytes && move_kernels.fill && bytes <= 8) {
    uint64_t pattern = 0;
    for (int64_t i = 0; i < 8; i += bytes) {
      std::memcpy(reinterpret_cast<std::byte*>(&pattern) + i, element, static_cast<size_t>(bytes));
    }
    parallel_for(x.nbytes(), 1 << 20, [&](int64_t begin, int64_t end, int) {
      move_kernels.fill(to + begin, pattern, end - begin);
    });
    return;
  }
  with_bytes(bytes, [&]<class T>(T) {
    T unit;
    std::memcpy(&unit, element, sizeof unit);
    parallel_for(x.numel(), (256 << 10) / bytes, [&](int64_t begin, int64_t end, int) {
      if (zero) {
        std::memset(to + begin * bytes, 0, static_cast<size_t>((end - begin) * bytes));
      } else {
        std::fill(reinterpret_cast<T*>(to) + begin, reinterpret_cast<T*>(to) + end, unit);
      }
    });
  });
}

void write_scalar(DType dtype, const Scalar& value, std::byte* element) {
  const auto buffer = Buffer::wrap(element, 16, nullptr, Buffer::Kind::borrowed);
  const Tensor one(buffer, 0, {}, {}, dtype);
  if (value.is_complex()) {
    const Complex c = value.complex();
    write_elements(one, 0, 1, &c);
  } else if (value.is_integer()) {
    const int64_t i = value.integer();
    write_elements(one, 0, 1, &i);
  } else {
    const double d = value.real();
    write_elements(one, 0, 1, &d);
  }
}

Scalar scalar_of(const Tensor& x) {
  if (x.numel() != 1) fail("item: ", x, " has ", x.numel(), " elements, not 1");
  if (is_complex(x.dtype())) {
    Complex c;
    return *ElementReader<Complex>(x, x.shape()).read(0, 1, &c);
  }
  if (is_integral(x.dtype())) {
    int64_t i;
    const int64_t value = *ElementReader<int64_t>(x, x.shape()).read(0, 1, &i);
    return x.dtype() == DType::boolean ? Scalar(value != 0) : Scalar(value);
  }
  return x.item();
}

Tensor empty(const Shape& size, std::optional<DType> dtype, Device device) {
  check_size("empty", size);
  return Tensor::empty(size, dtype.value_or(default_dtype()), device);
}

Tensor full(const Shape& size, const Scalar& fill_value, std::optional<DType> dtype,
            Device device) {
  check_size("full", size);
  const DType type = dtype.value_or(inferred(fill_value));
  if (is_block(type)) fail("full: ", type, " is a block dtype; make f32 and convert");
  Tensor t = Tensor::empty(size, type, device);
  fill_elements(t, fill_value);
  return t;
}

Tensor zeros(const Shape& size, std::optional<DType> dtype, Device device) {
  check_size("zeros", size);
  const DType type = dtype.value_or(default_dtype());
  if (is_block(type)) return Tensor::zeros(size, type, device);
  return full(size, 0, type, device);
}

Tensor ones(const Shape& size, std::optional<DType> dtype, Device device) {
  return full(size, 1, dtype.value_or(default_dtype()), device);
}

Tensor empty_strided(const Shape& size, const Shape& stride, std::optional<DType> dtype,
                     Device device) {
  check_size("empty_strided", size);
  if (size.size() != stride.size()) {
    fail("empty_strided: ", stride.size(), " strides for ", size.size(), " dimensions");
  }
  int64_t last = 0;
  for (int i = 0; i < size.size(); ++i) {
    if (stride[i] < 0) fail("empty_strided: stride ", stride[i], " is negative");
    int64_t reach = 0;
    if (__builtin_mul_overflow(std::max<int64_t>(size[i] - 1, 0), stride[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      fail("empty_strided: size ", size, " with strides ", stride, " overflows");
    }
  }
  const DType type = dtype.value_or(default_dtype());
  if (is_block(type)) fail("empty_strided: ", type, " is a block dtype, which has no strides");
  const Tensor storage = Tensor::empty({size.numel() == 0 ? 0 : last + 1}, type, device);
  return Tensor(storage.buffer(), 0, size, stride, type);
}

Tensor empty_permuted(const Shape& size, const Dims& physical_layout, std::optional<DType> dtype,
                      Device device) {
  if (physical_layout.size() != size.size()) {
    fail("empty_permuted: ", physical_layout.size(), " dimensions in physical_layout for ",
         size.size());
  }
  dim_bits(physical_layout, size.size(), "empty_permuted");
  Shape strides = size;
  int64_t stride = 1;
  for (int i = size.size() - 1; i >= 0; --i) {
    if (physical_layout[i] < 0) {
      fail("empty_permuted: dimension ", physical_layout[i], " is negative");
    }
    const int d = static_cast<int>(physical_layout[i]);
    strides[d] = stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(size[d], 1), &stride)) {
      fail("empty_permuted: size ", size, " overflows");
    }
  }
  return empty_strided(size, strides, dtype, device);
}

Tensor zeros_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device) {
  return zeros(input.shape(), dtype.value_or(input.dtype()), device.value_or(input.device()));
}
Tensor ones_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device) {
  return ones(input.shape(), dtype.value_or(input.dtype()), device.value_or(input.device()));
}
Tensor full_like(const Tensor& input, const Scalar& fill_value, std::optional<DType> dtype,
                 std::optional<Device> device) {
  return full(input.shape(), fill_value, dtype.value_or(input.dtype()),
              device.value_or(input.device()));
}
Tensor empty_like(const Tensor& input, std::optional<DType> dtype, std::optional<Device> device) {
  return empty(input.shape(), dtype.value_or(input.dtype()), device.value_or(input.device()));
}

Tensor fill(const Tensor& self, const Tensor& value) {
  if (value.dim() != 0) fail("fill: value is ", value, "; it must be a number or 0-dimensional");
  if (is_complex(value.dtype()) && !is_complex(self.dtype())) {
    fail("fill: value is complex, which ", self.dtype(), " cannot hold");
  }
  return apply(fill_op, {self, value});
}

Tensor scalar_tensor(const Scalar& s, std::optional<DType> dtype, Device device) {
  return full({}, s, dtype.value_or(default_dtype()), device);
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  return tallow::full(shape, value, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = Tensor::empty(shape, dtype, device);
  if (is_block(dtype)) {
    std::memset(t.raw(), 0, static_cast<size_t>(t.nbytes()));
  } else {
    fill_elements(t, 0);
  }
  return t;
}

Tensor Tensor::scalar(double value, DType dtype) { return full({}, value, dtype); }

double Tensor::item() const {
  if (numel() != 1) fail("item: ", *this, " has ", numel(), " elements, not 1");
  Tensor x = is_block(dtype()) ? to(DType::f32) : *this;
  double value;
  return *ElementReader<double>(x, x.shape()).read(0, 1, &value);
}

std::vector<float> Tensor::to_vector() const {
  Tensor x = to(DType::f32).contiguous();
  return {x.data<float>(), x.data<float>() + x.numel()};
}

}  // namespace tallow
