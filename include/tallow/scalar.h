// A number that stands beside tensors: bool, integer, real or complex, decided at run time.
#pragma once

#include <complex>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tallow/dtype.h"

namespace tallow {

template <class T>
concept Arithmetic = std::is_arithmetic_v<T>;

/// A number with its kind. It takes part in type promotion by its kind only: an integer tensor
/// times 2 stays an integer tensor, times 2.0 becomes real.
class Scalar {
 public:
  enum class Kind : uint8_t { boolean, integer, real, complex };

  constexpr Scalar() : Scalar(int64_t{0}) {}
  template <Arithmetic T>
  constexpr Scalar(T value) {  // NOLINT(google-explicit-constructor): numbers are scalars
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::boolean;
    } else if constexpr (std::is_integral_v<T>) {
      kind_ = Kind::integer;
    } else {
      kind_ = Kind::real;
    }
    real_ = static_cast<double>(value);
    integer_ = kind_ == Kind::real ? 0 : static_cast<int64_t>(value);
  }
  template <class T>
  constexpr Scalar(std::complex<T> value)  // NOLINT(google-explicit-constructor)
      : kind_(Kind::complex), real_(value.real()), imag_(value.imag()) {}

  Kind kind() const { return kind_; }
  bool is_complex() const { return kind_ == Kind::complex; }
  bool is_real() const { return kind_ == Kind::real; }
  bool is_integer() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  /// The value; of a complex number its real part.
  double real() const { return real_; }
  double imag() const { return imag_; }
  std::complex<double> complex() const { return {real_, imag_}; }
  /// The value, truncated towards zero.
  int64_t integer() const { return is_integer() ? integer_ : static_cast<int64_t>(real_); }
  /// i64, f64, c128 or bool: what holds the number without loss.
  DType dtype() const;

 private:
  Kind kind_ = Kind::integer;
  double real_ = 0, imag_ = 0;
  int64_t integer_ = 0;
};

std::string to_string(const Scalar& scalar);

}  // namespace tallow
