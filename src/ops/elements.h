// Reads any tensor as f32, f64 or i64 in chunks, and writes such chunks into any dtype: kernels
// compute in three types and convert at the edges.
#pragma once

#include <cstdint>

#include "tallow/tensor.h"

namespace tallow {

inline constexpr int64_t kChunk = 512;

/// The type that values of a dtype are computed in: f64, i64 (integers and bool), else f32.
enum class ComputeType { f32, f64, i64 };
ComputeType compute_type(DType dtype);

/// Elements [begin, begin + n) of x broadcast to `shape`, in row-major order: a pointer into the
/// tensor where it holds T without gaps, else `scratch` (room for n). T is float, double or
/// int64_t.
template <class T>
class ElementReader {
 public:
  ElementReader(const Tensor& x, const Shape& shape);
  const T* read(int64_t begin, int64_t n, T* scratch) const;

 private:
  const std::byte* base_;
  DType dtype_;
  Shape shape_, strides_;  // of the broadcast view
  bool direct_;
};

/// Writes n values to elements [begin, begin + n) of a contiguous tensor of a non-block dtype.
template <class T>
void write_elements(const Tensor& x, int64_t begin, int64_t n, const T* values);

/// Where to write: the tensor's own memory when it is of type T, else `scratch`.
template <class T>
T* element_target(const Tensor& x, int64_t begin, T* scratch);

/// Calls f(T{}) with T the compute type's C++ type.
template <class F>
void with_compute_type(ComputeType type, const F& f) {
  switch (type) {
    case ComputeType::f32: return f(float{});
    case ComputeType::f64: return f(double{});
    case ComputeType::i64: return f(int64_t{});
  }
}

/// The strides of x when seen as `shape`, to which it broadcasts (0 where it repeats).
Shape broadcast_strides(const Tensor& x, const Shape& shape);

/// PyTorch's result type of two tensors. Throws Error for block dtypes, naming the op.
DType promote(const Tensor& a, const Tensor& b, const char* op);

/// g summed over the dimensions along which `shape` was broadcast.
Tensor sum_to(const Tensor& g, const Shape& shape);

}  // namespace tallow
