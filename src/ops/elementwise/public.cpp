// The elementwise functions that are more than a row: those with scalars, aliases, and composites.
#include <limits>

#include "core/half.h"
#include "ops/elements.h"
#include "ops/elementwise/rows.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

// Numbers as tensors have their kind; a plain one of another kind is a mistake of the caller.
void check_alpha(const char* op, const Tensor& a, const Tensor& b, const Scalar& alpha) {
  DType common = promote(a, b, op);
  if (alpha.is_complex() && !is_complex(common)) {
    fail(op, ": alpha is complex and the tensors are ", common, "; convert them first");
  }
  if (alpha.is_real() && is_integral(common)) {
    fail(op, ": alpha is ", alpha.real(), " and the tensors are integers; convert them first");
  }
  if (alpha.kind() == Scalar::Kind::boolean && common != DType::boolean) {
    fail(op, ": alpha is bool and the tensors are ", common, "; use a number");
  }
}

void check_numbers(const char* op, const Tensor& a, const Tensor& b) {
  if (a.is_number() && b.is_number()) fail(op, ": both are numbers; one must be a tensor");
}

void check_divisor(const char* op, const Tensor& a, const Tensor& b) {
  const DType common = promote(a, b, op);
  if (!is_integral(common)) return;
  const Tensor divisor = b.to(common);  // a number may wrap around to zero
  ElementReader<int64_t> reader(divisor, divisor.shape());
  int64_t chunk[kChunk];
  for (int64_t i = 0, n = b.numel(); i < n; i += kChunk) {
    int64_t count = std::min(kChunk, n - i);
    const int64_t* values = reader.read(i, count, chunk);
    for (int64_t j = 0; j < count; ++j) {
      if (values[j] == 0) fail(op, ": ZeroDivisionError: an integer is divided by zero");
    }
  }
}

}  // namespace

Tensor add(const Tensor& self, const Tensor& other, const Scalar& alpha) {
  if (alpha.real() == 1 && !alpha.is_complex()) return rows::add(self, other, 1);
  check_alpha("add", self, other, alpha);
  if (alpha.is_complex()) return rows::add(self, other * alpha, 1);
  const bool truth = self.dtype() == DType::boolean && other.dtype() == DType::boolean;
  return rows::add(self, other, truth ? double(alpha.real() != 0) : alpha.real());
}

Tensor sub(const Tensor& self, const Tensor& other, const Scalar& alpha) {
  if (self.dtype() == DType::boolean && other.dtype() == DType::boolean) {
    fail("sub: ", self, " and ", other, " are bool; use logical_xor");
  }
  if (alpha.real() == 1 && !alpha.is_complex()) return rows::sub(self, other, 1);
  check_alpha("sub", self, other, alpha);
  if (alpha.is_complex()) return rows::sub(self, other * alpha, 1);
  return rows::sub(self, other, alpha.real());
}
Tensor subtract(const Tensor& self, const Tensor& other, const Scalar& alpha) {
  return sub(self, other, alpha);
}
Tensor rsub(const Tensor& self, const Tensor& other, const Scalar& alpha) {
  if (self.is_number()) fail("rsub: input is a number; it must be a tensor");
  return sub(other, self, alpha);
}
Tensor multiply(const Tensor& self, const Tensor& other) { return mul(self, other); }

Tensor div(const Tensor& self, const Tensor& other, std::string_view rounding_mode) {
  if (rounding_mode.empty()) return rows::div(self, other);
  if (rounding_mode != "trunc" && rounding_mode != "floor") {
    fail("div: rounding_mode '", rounding_mode, "' is none of None, 'trunc', 'floor'");
  }
  check_divisor("div", self, other);
  // PyTorch rounds the quotient to the narrow dtype first.
  const DType dtype = promote(self, other, "div");
  if (rounding_mode == "trunc" && is_real(dtype) && info(dtype).bytes == 2) {
    return trunc(rows::div(self, other));
  }
  return rounding_mode == "trunc" ? rows::div_trunc(self, other) : rows::div_floor(self, other);
}
Tensor divide(const Tensor& self, const Tensor& other, std::string_view rounding_mode) {
  return div(self, other, rounding_mode);
}
Tensor true_divide(const Tensor& self, const Tensor& other) { return rows::div(self, other); }
Tensor floor_divide(const Tensor& self, const Tensor& other) {
  check_divisor("floor_divide", self, other);
  return rows::div_floor(self, other);
}
Tensor remainder(const Tensor& self, const Tensor& other) {
  check_numbers("remainder", self, other);
  check_divisor("remainder", self, other);
  return rows::remainder(self, other);
}
Tensor fmod(const Tensor& self, const Tensor& other) {
  check_divisor("fmod", self, other);
  return rows::fmod(self, other);
}

Tensor pow(const Tensor& self, const Tensor& exponent) {
  check_numbers("pow", self, exponent);
  if (exponent.is_number() && !self.is_number() && !is_complex(exponent.dtype())) {
    DType common = promote(self, exponent, "pow");
    double p = exponent.item();
    if (is_integral(common) && p < 0) {
      fail("pow: an integer to the power of ", p, " is no integer; call .to(f32) first");
    }
    bool keeps = common == self.dtype();
    if (common == DType::boolean) return p == 0 ? ones_like(self) : self.clone();
    if (keeps && p == 2) return rows::square(self);
    if (keeps && p == 3) return rows::cube(self);
    if (keeps && p == 0.5) return sqrt(self);
    if (keeps && p == -0.5) return rsqrt(self);
    if (keeps && p == -1) return reciprocal(self);
  }
  return rows::pow(self, exponent);
}

Tensor float_power(const Tensor& self, const Tensor& exponent) {
  check_numbers("float_power", self, exponent);
  bool complex = tallow::is_complex(self.dtype()) || tallow::is_complex(exponent.dtype());
  DType wide = complex ? DType::c128 : DType::f64;
  return pow(self.to(wide), exponent.to(wide));
}

Tensor square(const Tensor& self) {
  return rows::square(self.dtype() == DType::boolean ? self.to(DType::i64) : self);
}
Tensor negative(const Tensor& self) { return neg(self); }
Tensor positive(const Tensor& self) {
  if (self.dtype() == DType::boolean) fail("positive: ", self, " is bool; it has no sign");
  return self;
}
Tensor absolute(const Tensor& self) { return abs(self); }

Tensor addcmul(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
               const Scalar& value) {
  if (value.is_complex()) return self + tensor1 * tensor2 * value;
  const Tensor all[] = {self, tensor1, tensor2};
  if (value.is_real() && is_integral(promote(all, "addcmul"))) {
    fail("addcmul: value is ", value.real(), " and the tensors are integers; convert them first");
  }
  return rows::addcmul(self, tensor1, tensor2, value.real());
}
Tensor addcdiv(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
               const Scalar& value) {
  if (value.is_complex()) return self + tensor1 / tensor2 * value;
  if (is_integral(tensor1.dtype()) && is_integral(tensor2.dtype())) {
    fail("addcdiv: tensor1 ", tensor1, " and tensor2 ", tensor2, " are of integers; use div");
  }
  return rows::addcdiv(self, tensor1, tensor2, value.real());
}

Tensor lerp(const Tensor& self, const Tensor& end, const Tensor& weight) {
  if (self.dtype() != end.dtype() && !end.is_number()) {
    fail("lerp: self is ", self, " and end is ", end, "; they must be of one dtype");
  }
  if (!weight.is_number() && weight.dtype() != self.dtype()) {
    fail("lerp: self is ", self, " and weight is ", weight, "; they must be of one dtype");
  }
  return rows::lerp(self, end, weight);
}

Tensor fix(const Tensor& self) { return trunc(self); }
Tensor round(const Tensor& self, int64_t decimals) {
  if (decimals == 0) return rows::round(self);
  double scale = std::pow(10.0, static_cast<double>(std::abs(decimals)));
  return rows::round_decimals(self, scale, decimals < 0 ? 1 : 0);
}

Tensor clamp(const Tensor& self, const Tensor& min, const Tensor& max) {
  if (!min.defined() && !max.defined()) fail("clamp: at least one of min and max must be given");
  if (!max.defined()) return rows::clamp_min(self, min);
  return min.defined() ? rows::clamp(self, min, max) : rows::clamp_max(self, max);
}
Tensor clip(const Tensor& self, const Tensor& min, const Tensor& max) {
  return clamp(self, min, max);
}
Tensor clamp_min(const Tensor& self, const Tensor& min) { return rows::clamp_min(self, min); }
Tensor clamp_max(const Tensor& self, const Tensor& max) { return rows::clamp_max(self, max); }

Tensor maximum(const Tensor& self, const Tensor& other) { return rows::maximum(self, other); }
Tensor minimum(const Tensor& self, const Tensor& other) { return rows::minimum(self, other); }

Tensor heaviside(const Tensor& self, const Tensor& values) {
  if (self.dtype() != values.dtype()) {
    fail("heaviside: self is ", self, " and values is ", values, "; they must be of one dtype");
  }
  return rows::heaviside(self, values);
}

namespace {
// The largest finite value.
double largest(DType dtype) {
  switch (dtype) {
    case DType::f64: return std::numeric_limits<double>::max();
    case DType::f16: return 65504;
    case DType::bf16: return bf16_to_f32(0x7f7f);
    case DType::f8_e4m3: return 448;
    case DType::f8_e4m3fnuz: return 240;
    case DType::f8_e5m2:
    case DType::f8_e5m2fnuz: return 57344;
    case DType::f8_e8m0: return 0x1p127;
    default: return std::numeric_limits<float>::max();
  }
}
}  // namespace

Tensor nan_to_num(const Tensor& self, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf) {
  if (is_integral(self.dtype())) return self.clone();
  if (is_complex(self)) {
    return view_as_complex(nan_to_num(view_as_real(self), nan, posinf, neginf));
  }
  double top = largest(self.dtype());
  return rows::nan_to_num(self, nan.value_or(0), posinf.value_or(top), neginf.value_or(-top));
}

Tensor not_equal(const Tensor& self, const Tensor& other) { return ne(self, other); }
Tensor less(const Tensor& self, const Tensor& other) { return lt(self, other); }
Tensor less_equal(const Tensor& self, const Tensor& other) { return le(self, other); }
Tensor greater(const Tensor& self, const Tensor& other) { return gt(self, other); }
Tensor greater_equal(const Tensor& self, const Tensor& other) { return ge(self, other); }

Tensor isclose(const Tensor& self, const Tensor& other, double rtol, double atol, bool equal_nan) {
  if (other.is_number()) fail("isclose: other is a number; it must be a tensor");
  if (self.dtype() != other.dtype()) {
    fail("isclose: ", self, " and ", other, " are not of one dtype; convert one");
  }
  if (rtol < 0) fail("isclose: rtol is ", rtol, ", below 0");
  if (atol < 0) fail("isclose: atol is ", atol, ", below 0");
  Tensor close = eq(self, other);
  if (equal_nan && !is_integral(self.dtype())) {
    close = logical_or(close, logical_and(isnan(self), isnan(other)));
  }
  if (rtol == 0 && atol == 0) return close;
  auto number = [](const Tensor& t) { return is_integral(t.dtype()) ? t.to(default_dtype()) : t; };
  Tensor a = number(self), b = number(other);
  Tensor error = abs(a - b), allowed = abs(b * rtol) + atol;
  return logical_or(close, logical_and(isfinite(error), le(error, allowed)));
}

bool allclose(const Tensor& self, const Tensor& other, double rtol, double atol, bool equal_nan) {
  Tensor close = isclose(self, other, rtol, atol, equal_nan);
  return sum(logical_not(close).to(DType::i64)).item() == 0;
}

bool equal(const Tensor& self, const Tensor& other) {
  if (self.shape() != other.shape()) return false;
  return sum(ne(self, other).to(DType::i64)).item() == 0;
}

Tensor bitwise_not(const Tensor& self) {
  return self.dtype() == DType::boolean ? logical_not(self) : rows::bitwise_not(self);
}

Tensor logaddexp(const Tensor& self, const Tensor& other) { return rows::logaddexp(self, other); }

Tensor ldexp(const Tensor& self, const Tensor& other) {
  if (other.is_number()) fail("ldexp: other is a number; it must be a tensor");
  return self * pow(2.0, other);
}

Tensor arcsin(const Tensor& self) { return asin(self); }
Tensor arccos(const Tensor& self) { return acos(self); }
Tensor arctan(const Tensor& self) { return atan(self); }
Tensor arcsinh(const Tensor& self) { return asinh(self); }
Tensor arccosh(const Tensor& self) { return acosh(self); }
Tensor arctanh(const Tensor& self) { return atanh(self); }
Tensor arctan2(const Tensor& self, const Tensor& other) { return atan2(self, other); }

Tensor logit(const Tensor& self, std::optional<double> eps) {
  return rows::logit(self, eps.value_or(0), eps ? 1 : 0);
}
Tensor polygamma(int64_t n, const Tensor& input) {
  if (n < 0) fail("polygamma: n is ", n, ", below 0");
  return rows::polygamma(input, static_cast<double>(n));
}
Tensor polygamma(const Tensor& self, int64_t n) { return polygamma(n, self); }
Tensor mvlgamma(const Tensor& self, int64_t p) {
  if (p < 1 || p > 4096) fail("mvlgamma: p is ", p, ", outside 1..4096");
  double half = static_cast<double>(p) / 2;
  Tensor total = lgamma(self);
  for (int64_t j = 1; j < p; ++j) total = total + lgamma(self - static_cast<double>(j) / 2);
  return total + half * (half - 0.5) * 1.1447298858494002;  // log(pi)
}

Tensor special_modified_bessel_i0(const Tensor& input) { return i0(input); }
Tensor special_modified_bessel_i1(const Tensor& input) { return special_i1(input); }
Tensor special_expit(const Tensor& input) { return sigmoid(input); }
Tensor special_psi(const Tensor& input) { return digamma(input); }
Tensor special_gammaln(const Tensor& input) { return lgamma(input); }
Tensor special_multigammaln(const Tensor& input, int64_t p) { return mvlgamma(input, p); }
Tensor special_gammainc(const Tensor& input, const Tensor& other) { return igamma(input, other); }
Tensor special_gammaincc(const Tensor& input, const Tensor& other) { return igammac(input, other); }

}  // namespace tallow
