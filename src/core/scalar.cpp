// Numbers beside tensors.
#include "tallow/scalar.h"

#include <algorithm>

#include "tallow/error.h"
#include "tallow/reals.h"

namespace tallow {

DType Scalar::dtype() const {
  switch (kind_) {
    case Kind::boolean: return DType::boolean;
    case Kind::integer: return DType::i64;
    case Kind::real: return DType::f64;
    case Kind::complex: break;
  }
  return DType::c128;
}

std::string to_string(const Scalar& scalar) {
  switch (scalar.kind()) {
    case Scalar::Kind::boolean: return str(scalar.integer() != 0);
    case Scalar::Kind::integer: return str(scalar.integer());
    case Scalar::Kind::real: return str(scalar.real());
    case Scalar::Kind::complex: break;
  }
  return str(scalar.real(), scalar.imag() < 0 ? "-" : "+", std::abs(scalar.imag()), "j");
}

Reals::Reals(std::span<const double> values) : count_(static_cast<int>(values.size())) {
  if (values.size() > kMax) fail("a list of ", values.size(), " numbers; ", kMax, " are the most");
  std::copy(values.begin(), values.end(), values_);
}

}  // namespace tallow
