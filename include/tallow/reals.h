// One number or a few, where an argument is a factor for each dimension.
#pragma once

#include <initializer_list>
#include <span>

#include "tallow/scalar.h"

namespace tallow {

/// `2.0`, `{2.0, 1.5}`, or `{}` for none given.
class Reals {
 public:
  static constexpr int kMax = 12;

  Reals() = default;
  template <Arithmetic T>
  Reals(T value) : values_{static_cast<double>(value)}, count_(1) {}  // NOLINT
  Reals(std::initializer_list<double> values) : Reals(std::span(values.begin(), values.size())) {}
  /// Throws Error past 12 values.
  explicit Reals(std::span<const double> values);

  bool given() const { return count_ > 0; }
  int size() const { return count_; }
  double operator[](int i) const { return values_[i]; }

 private:
  double values_[kMax] = {};
  int count_ = 0;
};

}  // namespace tallow
