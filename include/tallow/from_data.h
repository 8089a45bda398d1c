// Tensors of values that the program has: lists, arrays, memory of its own.
#pragma once

#include <complex>
#include <functional>
#include <initializer_list>
#include <optional>
#include <vector>

#include "tallow/tensor.h"

namespace tallow {

/// A number, or a list of such, all of one shape: what tensor() is written with.
class Values {
 public:
  template <Arithmetic T>
  Values(T value) : number_(value) {}  // NOLINT(google-explicit-constructor): values are plain
  template <class T>
  Values(std::complex<T> value) : number_(value) {}                             // NOLINT
  Values(std::initializer_list<Values> list) : is_list_(true), items_(list) {}  // NOLINT

  bool is_list() const { return is_list_; }
  const Scalar& number() const { return number_; }
  const std::vector<Values>& items() const { return items_; }

 private:
  bool is_list_ = false;
  Scalar number_;
  std::vector<Values> items_;
};

/// tensor(1.5), tensor({1, 2, 3}), tensor({{1, 2}, {3, 4}}). The dtype, where none is given, is
/// what PyTorch infers: bool, i64, the default one for numbers with a fraction, or complex.
Tensor tensor(const Values& values, std::optional<DType> dtype = {});

/// A tensor over memory of the caller's, row-major without gaps; nothing is copied. `deleter` is
/// called with `data` when no tensor uses it any more.
Tensor from_blob(void* data, const Shape& size, DType dtype = DType::f32,
                 std::function<void(void*)> deleter = {});
/// The same with strides, counted in elements and not negative.
Tensor from_blob(void* data, const Shape& size, const Shape& strides, DType dtype = DType::f32,
                 std::function<void(void*)> deleter = {});

}  // namespace tallow
