// Reads any tensor as f32, f64 or i64 in chunks, and writes such chunks into any dtype: kernels
// compute in three types and convert at the edges.
#pragma once

#include <complex>
#include <cstdint>

#include "tallow/error.h"
#include "tallow/op.h"

namespace tallow {

inline constexpr int64_t kChunk = 512;

/// The type that values of a dtype are computed in: f64, i64 (integers and bool), c128 (complex),
/// else f32.
enum class ComputeType { f32, f64, i64, c128 };
ComputeType compute_type(DType dtype);
using Complex = std::complex<double>;

/// Elements of `bytes` bytes each, laid out by strides (0 where they repeat).
struct StridedElements {
  const std::byte* base;
  int64_t bytes;
  Shape shape, strides;
};
/// Copies elements [begin, begin + n), in row-major order of the shape, next to each other.
void gather_elements(const StridedElements& from, int64_t begin, int64_t n, void* to);

/// n neighbouring elements of one dtype as another; neither is a block dtype. A real value that an
/// integer cannot hold becomes some integer; a complex one is its real part where it must be real.
void convert_elements(DType from, const void* source, DType to, void* target, int64_t n);

/// Loops that backends give: [from][to] for n neighbouring elements; null where there is none.
namespace elementwise {
using ConvertLoop = void (*)(const void* from, void* to, int64_t n);
using ConvertTable = ConvertLoop[kDTypeCount][kDTypeCount];
extern ConvertTable convert_loops;
}  // namespace elementwise

/// Elements [begin, begin + n) of x broadcast to `shape`, in row-major order: a pointer into the
/// tensor where it holds T without gaps, else `scratch` (room for n). T is float, double,
/// int64_t or Complex; a complex element read as another type is its real part.
template <class T>
class ElementReader {
 public:
  ElementReader(const Tensor& x, const Shape& shape);
  const T* read(int64_t begin, int64_t n, T* scratch) const;

 private:
  StridedElements view_;
  DType dtype_;
  bool direct_, dense_;  // of type T without gaps; without gaps
};

/// Writes n values to elements [begin, begin + n) of a contiguous tensor of a non-block dtype.
template <class T>
void write_elements(const Tensor& x, int64_t begin, int64_t n, const T* values);

/// Where to write: the tensor's own memory when it is of type T, else `scratch`.
template <class T>
T* element_target(const Tensor& x, int64_t begin, T* scratch);

/// Calls f(T{}) with T the compute type's C++ type, complex ones left out: `infer` refuses them.
template <class F>
void with_compute_type(ComputeType type, const F& f) {
  switch (type) {
    case ComputeType::f32: return f(float{});
    case ComputeType::f64: return f(double{});
    case ComputeType::i64: return f(int64_t{});
    case ComputeType::c128: fail("complex elements reached a kernel of real ones");
  }
}
/// The same for kernels that also work on complex elements.
template <class F>
void with_any_compute_type(ComputeType type, const F& f) {
  if (type == ComputeType::c128) return f(Complex{});
  with_compute_type(type, f);
}

/// The strides of x when seen as `shape`, to which it broadcasts (0 where it repeats).
Shape broadcast_strides(const Tensor& x, const Shape& shape);

/// PyTorch's result type: tensors with dimensions count before 0-dimensional ones, and those before
/// plain numbers, each only where it is of a higher category (bool, integer, real, complex).
/// Undefined tensors are skipped. Throws Error for block dtypes, naming the op.
DType promote(Inputs tensors, const char* op);
DType promote(const Tensor& a, const Tensor& b, const char* op);
/// The smallest dtype that holds the values of both.
DType promote_types(DType a, DType b);
/// The dtype, or the default one where it is an integer's: what functions with fractions yield.
inline DType real_result(DType dtype) { return is_integral(dtype) ? default_dtype() : dtype; }

/// g summed over the dimensions along which `shape` was broadcast.
Tensor sum_to(const Tensor& g, const Shape& shape);

/// Throws Error, "op: q4_k is a block dtype; call .to(f32) first", for quantized tensors.
void check_not_block(const char* op, const Tensor& x);
/// The same for complex tensors.
void check_not_complex(const char* op, const Tensor& x);

}  // namespace tallow
