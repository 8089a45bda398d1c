// Functions that values of the tables share, composed of those of math.h or vector_math.h: included
// inside a namespace that has them.

template <class T>
TALLOW_ROW_FUNCTION T max_of(T a, T b) {
  const T top = a > b ? a : b;  // b where it is NaN
  return is_nan(a) ? a : top;
}
template <class T>
TALLOW_ROW_FUNCTION T min_of(T a, T b) {
  const T low = a < b ? a : b;
  return is_nan(a) ? a : low;
}

/// 1 / (1 + e^-x).
template <class T>
TALLOW_ROW_FUNCTION T logistic(T x) {
  return T(1) / (T(1) + exp(-x));
}
/// log(e^a + e^b) without overflow.
template <class T>
TALLOW_ROW_FUNCTION T log_add_exp(T a, T b) {
  const T top = max_of(a, b), gap = a == b ? T(0) : -magnitude(a - b);
  return top + log1p(exp(gap));
}
template <class T>
TALLOW_ROW_FUNCTION T log_add_exp2(T a, T b) {
  const T top = max_of(a, b), gap = a == b ? T(0) : -magnitude(a - b);
  return top + log1p(exp2(gap)) * T(1.4426950408889634);
}

/// The derivative of gelu's tanh form.
template <class T>
TALLOW_ROW_FUNCTION T gelu_tanh_slope(T x) {
  const T k = T(0.79788456080286536), c = T(0.044715);
  const T t = tanh(k * (x + c * x * x * x));
  return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * k * (T(1) + T(3) * c * x * x);
}
/// tanh(log(1 + e^x)).
template <class T>
TALLOW_ROW_FUNCTION T tanh_of_softplus(T x) {
  const T e = exp(x > T(20) ? T(20) : x), n = e * (e + T(2));
  return x > T(20) ? T(1) : n / (n + T(2));
}
