// Tensor: a cheap handle on {Buffer, layout, dtype, autograd node}, with PyTorch's names.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tallow/buffer.h"
#include "tallow/device.h"
#include "tallow/dtype.h"
#include "tallow/scalar.h"
#include "tallow/shape.h"

namespace tallow {

class Tensor;
using Tensors = std::vector<Tensor>;
struct TensorImpl;
struct Node;
class TensorIndex;

/// A strided view of a buffer. Copies share the elements. Block dtypes run along the last
/// dimension, whose stride is then 1; strides count elements.
class Tensor {
 public:
  Tensor() = default;
  // Out of line: inlined, they were a quarter of the code of the ops.
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();
  /// A tensor over existing memory; `offset` is in bytes from the buffer's start.
  Tensor(std::shared_ptr<Buffer> buffer, int64_t offset, Shape shape, Shape strides, DType dtype);
  /// A number where a tensor is expected, as in `x + 1` or `where(mask, x, 0.0)`: 0-dimensional,
  /// and marked, so that it takes part in type promotion by its kind only.
  Tensor(const Scalar& number);  // NOLINT(google-explicit-constructor)
  template <Arithmetic T>
  Tensor(T number) : Tensor(Scalar(number)) {}  // NOLINT

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = cpu_device);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = cpu_device);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
  /// A copy of `values`, shaped.
  static Tensor from(std::span<const float> values, const Shape& shape);
  static Tensor from(std::span<const int32_t> values, const Shape& shape);
  static Tensor from(std::span<const int64_t> values, const Shape& shape);
  /// A 0-dimensional tensor.
  static Tensor scalar(double value, DType dtype = DType::f32);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const;
  const Shape& strides() const;
  int dim() const;
  int64_t size(int64_t dim) const;
  int64_t numel() const;
  DType dtype() const;
  Device device() const;
  /// Bytes of the elements (not of the buffer).
  int64_t nbytes() const;
  bool is_contiguous() const;
  /// Whether it was made of a plain number.
  bool is_number() const;
  const std::shared_ptr<Buffer>& buffer() const;
  /// Bytes from the buffer's start to the first element.
  int64_t offset() const;

  void* raw() const;
  /// The elements. Throws Error when T is not the dtype's C++ type (bf16 and f16 are uint16_t).
  template <class T>
  T* data() const {
    check_type(sizeof(T));
    return static_cast<T*>(raw());
  }
  /// The only element, as a double. Throws Error when there is not exactly one.
  double item() const;
  /// All elements as f32, in row-major order.
  std::vector<float> to_vector() const;

  // Views: no elements move.
  Tensor reshape(const Shape& shape) const;  ///< one dimension may be -1; copies when it must
  Tensor view(const Shape& shape) const;     ///< as reshape, but throws where it would copy
  Tensor permute(const Dims& dims) const;
  Tensor transpose(int64_t a, int64_t b) const;
  Tensor narrow(int64_t dim, int64_t start, int64_t length) const;
  Tensor select(int64_t dim, int64_t index) const;
  Tensor slice(int64_t dim, int64_t start, int64_t end, int64_t step = 1) const;
  Tensor unsqueeze(int64_t dim) const;
  Tensor squeeze(int64_t dim) const;
  Tensor expand(const Shape& shape) const;  ///< -1 keeps a size

  /// x[{1, Slice(0, 5, 2), None, Ellipsis, mask}], as NumPy's: see indexing.h.
  Tensor operator[](std::initializer_list<TensorIndex> parts) const;
  /// The slice at an index of the first dimension.
  Tensor operator[](int64_t index) const;

  Tensor contiguous() const;
  Tensor to(DType dtype) const;  ///< dequantizes block dtypes
  Tensor clone() const;

  // Autograd.
  bool requires_grad() const;
  Tensor& requires_grad_(bool value = true);
  /// Whether it is not the result of an op with history.
  bool is_leaf() const;
  /// The name of the op that made it, or "" for a leaf.
  std::string grad_fn() const;
  /// The gradient that backward() accumulated, or an undefined tensor.
  Tensor grad() const;
  void set_grad(Tensor grad) const;
  /// Makes backward() keep the gradient of a tensor that is not a leaf.
  void retain_grad() const;
  /// Calls `hook` with the tensor's gradient in each backward pass. Returns its number, by which
  /// remove_hook takes it away.
  int64_t register_hook(std::function<Tensor(const Tensor& gradient)> hook) const;
  void remove_hook(int64_t id) const;
  /// The same elements without history.
  Tensor detach() const;
  Tensor& detach_();
  /// How often the elements were changed in place.
  int64_t version() const;
  /// Whether the elements belong to another tensor, of which this is a view.
  bool is_view() const;
  /// Accumulates d(this)/d(leaf) into each leaf's grad; `gradient` defaults to 1 for one element.
  void backward(const Tensor& gradient = {}, bool retain_graph = false,
                bool create_graph = false) const;
  /// Copies the elements of `source`, broadcast and converted, into this tensor.
  Tensor& copy_(const Tensor& source);

  // clang-format off
#include "tallow/tensor_methods.inc"
  // clang-format on

  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  void check_type(size_t bytes) const;
  std::shared_ptr<TensorImpl> impl_;
};

/// "f32 [4, 768]", for messages.
std::string to_string(const Tensor& tensor);

}  // namespace tallow
