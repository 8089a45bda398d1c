// Tensors from values.
#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  if (is_block(dtype)) fail("full: ", dtype, " is a block dtype; make f32 and convert");
  Tensor t = Tensor::empty(shape, dtype);
  double chunk[kChunk];
  std::fill_n(chunk, kChunk, value);
  for (int64_t i = 0, n = t.numel(); i < n; i += kChunk) {
    write_elements(t, i, std::min(kChunk, n - i), chunk);
  }
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = Tensor::empty(shape, dtype, device);
  std::memset(t.raw(), 0, static_cast<size_t>(t.nbytes()));
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
