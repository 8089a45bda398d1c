// NumPy's indexing in C++: x[{1, Slice(0, 5, 2), None, Ellipsis, mask}], and writing at such places
// with put(x, {...}, values).
#pragma once

#include <initializer_list>
#include <optional>
#include <span>

#include "tallow/tensor.h"

namespace tallow {

struct NoneType {};
struct EllipsisType {};
/// A new dimension of size 1.
inline constexpr NoneType None;
/// All dimensions that no other part of the index names.
inline constexpr EllipsisType Ellipsis;

/// start, start + step, ... before stop, as Python's; the step is positive.
struct Slice {
  Slice() = default;
  Slice(std::optional<int64_t> first, std::optional<int64_t> last, int64_t by = 1)
      : start(first), stop(last), step(by) {}
  std::optional<int64_t> start, stop;
  int64_t step = 1;
};

/// One part of an index: a number, a slice, None, Ellipsis, a truth value, a mask or a tensor of
/// integers.
class TensorIndex {
 public:
  enum class Kind : uint8_t { number, slice, none, ellipsis, tensor };

  template <Arithmetic T>
  TensorIndex(T value) {  // NOLINT(google-explicit-constructor): parts are written plainly
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::tensor;
      tensor_ = Tensor(Scalar(value));
    } else {
      static_assert(std::is_integral_v<T>, "an index is an integer");
      number_ = static_cast<int64_t>(value);
    }
  }
  TensorIndex(Slice slice) : kind_(Kind::slice), slice_(slice) {}        // NOLINT
  TensorIndex(NoneType) : kind_(Kind::none) {}                           // NOLINT
  TensorIndex(EllipsisType) : kind_(Kind::ellipsis) {}                   // NOLINT
  TensorIndex(Tensor t) : kind_(Kind::tensor), tensor_(std::move(t)) {}  // NOLINT

  Kind kind() const { return kind_; }
  int64_t number() const { return number_; }
  const Slice& slice() const { return slice_; }
  const Tensor& tensor() const { return tensor_; }

 private:
  Kind kind_ = Kind::number;
  int64_t number_ = 0;
  Slice slice_;
  Tensor tensor_;
};

/// What an index names: a view by its plain parts, and of that the elements at `indices`, where it
/// has tensors.
struct Selection {
  Tensor view;
  Tensors indices;  ///< as index() takes them; empty where the view is all
};
/// Throws IndexError for an index that does not fit.
Selection resolve(const Tensor& x, std::span<const TensorIndex> parts);

/// Writes `values`, which broadcast, into x in place: x[parts] = values.
void put(Tensor& x, std::initializer_list<TensorIndex> parts, const Tensor& values);

}  // namespace tallow
