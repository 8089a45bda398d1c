// Functions of one number, without branches, so that the compiler turns loops over them into vector
// instructions: f32 to 1 or 2 ulp. Included inside the namespace of an instruction set; everything
// has internal linkage. Polynomials are Moshier's (Cephes) unless it says otherwise.

TALLOW_INLINE int32_t bits_of(float x) { return __builtin_bit_cast(int32_t, x); }
TALLOW_INLINE float from_bits(int32_t b) { return __builtin_bit_cast(float, b); }
TALLOW_INLINE float with_sign(float magnitude, float sign) {
  return from_bits((bits_of(magnitude) & 0x7fffffff) |
                   (bits_of(sign) & static_cast<int32_t>(0x80000000u)));
}
TALLOW_INLINE float absolute(float x) { return from_bits(bits_of(x) & 0x7fffffff); }

constexpr float kInfinity = __builtin_inff();
constexpr float kNotANumber = __builtin_nanf("");
constexpr float kRoundToInt = 12582912.f;  // 1.5 * 2^23: the sum's low bits are the integer

TALLOW_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
TALLOW_INLINE float ceil(float x) { return __builtin_ceilf(x); }
TALLOW_INLINE float floor(float x) { return __builtin_floorf(x); }
TALLOW_INLINE float trunc(float x) { return __builtin_truncf(x); }
TALLOW_INLINE float rint(float x) { return __builtin_rintf(x); }
TALLOW_INLINE float copysign(float x, float sign) { return with_sign(x, sign); }

/// p * 2^n, in two steps, so that n may be beyond the exponents of normal numbers.
TALLOW_INLINE float scaled(float p, int32_t n) {
  const int32_t half = n >> 1;
  return p * from_bits((half + 127) << 23) * from_bits((n - half + 127) << 23);
}

/// e^r - 1 - r over r^2, for |r| < 0.35.
TALLOW_INLINE float exp_tail(float r) {
  float p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  return p * r + 5.0000001201e-1f;
}

TALLOW_INLINE float exp(float x) {
  float inside = x > 89.f ? 89.f : x;
  inside = inside < -104.f ? -104.f : inside;
  const float shifted = inside * 1.44269504f + kRoundToInt;
  const float n = shifted - kRoundToInt;
  const float r = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
  return scaled(exp_tail(r) * (r * r) + r + 1.f, bits_of(shifted) - bits_of(kRoundToInt));
}

/// e^x for x from -87 to 88.
TALLOW_INLINE float exp_inside(float x) {
  const float shifted = x * 1.44269504f + kRoundToInt;
  const float n = shifted - kRoundToInt;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  return from_bits(bits_of(exp_tail(r) * (r * r) + r + 1.f) + (bits_of(shifted) << 23));
}

TALLOW_INLINE float expm1(float x) {
  float inside = x > 89.f ? 89.f : x;
  inside = inside < -40.f ? -40.f : inside;
  const float shifted = inside * 1.44269504f + kRoundToInt;
  const float n = shifted - kRoundToInt;
  const float r = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
  const float minus_one = exp_tail(r) * (r * r) + r;
  // Halves, so that 2^128 does not overflow early.
  const float s = from_bits((bits_of(shifted) - bits_of(kRoundToInt) + 126) << 23);
  const float y = 2.f * (s * minus_one + (s - 0.5f));
  return x == 0.f ? x : y;
}

/// 2^f for f from -1/2 to 1/2.
TALLOW_INLINE float exp2_near_0(float f) {
  float p = f * 1.535336188e-4f + 1.339887440e-3f;
  p = p * f + 9.618437358e-3f;
  p = p * f + 5.550332471e-2f;
  p = p * f + 2.402264791e-1f;
  p = p * f + 6.931472029e-1f;
  return p * f + 1.f;
}

TALLOW_INLINE float exp2(float x) {
  float inside = x > 129.f ? 129.f : x;
  inside = inside < -151.f ? -151.f : inside;
  const float shifted = inside + kRoundToInt;
  const float f = inside - (shifted - kRoundToInt);
  return scaled(exp2_near_0(f), bits_of(shifted) - bits_of(kRoundToInt));
}

/// x = (1 + f) * 2^e with 1 + f from sqrt(1/2) to sqrt(2), and log(1 + f) - f.
struct LogParts {
  float f, tail, e;
};
TALLOW_INLINE LogParts log_parts(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const int32_t bits = bits_of(tiny ? x * 8388608.f : x);
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const float f = from_bits(bits - exponent * 8388608) - 1.f;
  float p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float z = f * f;
  return {f, p * f * z - 0.5f * z, static_cast<float>(exponent) - (tiny ? 23.f : 0.f)};
}
/// y where it is the logarithm of a positive finite x; the limits elsewhere.
TALLOW_INLINE float log_limits(float x, float y) {
  y = x == kInfinity ? x : y;
  y = x == 0.f ? -kInfinity : y;
  return x >= 0.f ? y : kNotANumber;
}
TALLOW_INLINE float log(float x) {
  const LogParts l = log_parts(x);
  return log_limits(x, l.f + (l.tail + l.e * -2.12194440e-4f) + l.e * 0.693359375f);
}
TALLOW_INLINE float log2(float x) {
  const LogParts l = log_parts(x);
  constexpr float k = 0.44269504088896341f;  // log2(e) - 1
  return log_limits(x, ((l.tail * k + l.f * k) + l.tail) + l.f + l.e);
}
TALLOW_INLINE float log10(float x) {
  const LogParts l = log_parts(x);
  float y = (l.tail + l.f) * 7.00731903251827651129e-4f + l.e * 2.48745663981195213739e-4f;
  y += l.tail * 4.3359375e-1f;
  y += l.f * 4.3359375e-1f;
  return log_limits(x, y + l.e * 3.0078125e-1f);
}
TALLOW_INLINE float log1p(float x) {
  const float u = 1.f + x;
  float lost = (x - (u - 1.f)) / u;
  lost = u == kInfinity ? 0.f : lost;
  lost = u == 0.f ? 0.f : lost;
  return log(u) + lost;
}

/// The angle less the nearest multiple of pi / 2, and that multiple, by f64: exact to f32's
/// precision for angles below 2^50.
struct Angle {
  float rest;
  int32_t quadrant;
};
TALLOW_INLINE Angle reduced(float x) {
  constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  const double d = x, shifted = d * 0.63661977236758134 + round, n = shifted - round;
  const double r = (d - n * 1.5707963267948966) - n * 6.123233995736766e-17;
  return {static_cast<float>(r), static_cast<int32_t>(__builtin_bit_cast(int64_t, shifted))};
}
TALLOW_INLINE float sine_of_rest(float r) {
  const float z = r * r;
  float s = z * -1.9515295891e-4f + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  return s * z * r + r;
}
TALLOW_INLINE float cosine_of_rest(float r) {
  const float z = r * r;
  float c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  return c * z * z - 0.5f * z + 1.f;
}
TALLOW_INLINE float sin(float x) {
  const Angle a = reduced(x);
  const float y = (a.quadrant & 1) != 0 ? cosine_of_rest(a.rest) : sine_of_rest(a.rest);
  return from_bits(bits_of(y) ^ ((a.quadrant & 2) << 30));
}
TALLOW_INLINE float cos(float x) {
  const Angle a = reduced(x);
  const float y = (a.quadrant & 1) != 0 ? sine_of_rest(a.rest) : cosine_of_rest(a.rest);
  return from_bits(bits_of(y) ^ (((a.quadrant + 1) & 2) << 30));
}
TALLOW_INLINE float tan(float x) {
  const Angle a = reduced(x);
  const float s = sine_of_rest(a.rest), c = cosine_of_rest(a.rest);
  const bool odd = (a.quadrant & 1) != 0;
  return (odd ? -c : s) / (odd ? s : c);
}

/// asin for 0 <= a <= 0.5, given a^2.
TALLOW_INLINE float asin_near(float a, float z) {
  float p = z * 4.2163199048e-2f + 2.4181311049e-2f;
  p = p * z + 4.5470025998e-2f;
  p = p * z + 7.4953002686e-2f;
  p = p * z + 1.6666752422e-1f;
  return p * z * a + a;
}
TALLOW_INLINE float asin(float x) {
  const float a = absolute(x), z = 0.5f * (1.f - a);
  const bool far = a > 0.5f;
  const float y = asin_near(far ? sqrt(z) : a, far ? z : a * a);
  return with_sign(far ? 1.57079632679f - 2.f * y : y, x);
}
TALLOW_INLINE float acos(float x) {
  const float a = absolute(x), z = 0.5f * (1.f - a);
  const bool far = a > 0.5f;
  const float y = asin_near(far ? sqrt(z) : a, far ? z : a * a);
  const float near = 1.57079632679f - with_sign(y, x);
  return far ? (x < 0.f ? 3.14159265359f - 2.f * y : 2.f * y) : near;
}
/// atan for |x| <= tan(pi / 8).
TALLOW_INLINE float atan_near(float x) {
  const float z = x * x;
  float p = z * 8.05374449538e-2f - 1.38776856032e-1f;
  p = p * z + 1.99777106478e-1f;
  p = p * z - 3.33329491539e-1f;
  return p * z * x + x;
}
TALLOW_INLINE float atan(float x) {
  const float a = absolute(x);
  const bool far = a > 2.414213562373095f, middle = a > 0.4142135623730950f;
  const float t = far ? -1.f / a : middle ? (a - 1.f) / (a + 1.f) : a;
  const float base = far ? 1.57079632679f : middle ? 0.785398163397f : 0.f;
  return with_sign(base + atan_near(t), x);
}
TALLOW_INLINE float atan2(float y, float x) {
  const float a = absolute(y), b = absolute(x);
  const bool steep = a > b;
  const float low = steep ? b : a, high = steep ? a : b;
  float t = low / high;
  t = high == 0.f ? 0.f : t;
  t = (low == kInfinity) ? 1.f : t;
  const bool middle = t > 0.4142135623730950f;
  float r = atan_near(middle ? (t - 1.f) / (t + 1.f) : t) + (middle ? 0.785398163397f : 0.f);
  r = steep ? 1.57079632679f - r : r;
  r = bits_of(x) < 0 ? 3.14159265359f - r : r;
  r = with_sign(r, y);
  return (x != x) | (y != y) ? x + y : r;
}

TALLOW_INLINE float tanh(float x) {
  const float a = absolute(x), e = expm1(2.f * (a > 10.f ? 10.f : a));
  return with_sign(e / (e + 2.f), x);
}
TALLOW_INLINE float sinh(float x) {
  const float a = absolute(x), e = expm1(a), half = exp(a * 0.5f);
  return with_sign(a > 88.f ? 0.5f * half * half : 0.5f * (e + e / (e + 1.f)), x);
}
TALLOW_INLINE float cosh(float x) {
  const float a = absolute(x), e = exp(a), half = exp(a * 0.5f);
  return a > 88.f ? 0.5f * half * half : 0.5f * e + 0.5f / e;
}
TALLOW_INLINE float asinh(float x) {
  const float a = absolute(x), z = a * a;
  const bool far = a > 1e9f;
  const float y = log1p(far ? a : a + z / (1.f + sqrt(z + 1.f)));
  return with_sign(far ? y + 0.693147180559945f : y, x);
}
TALLOW_INLINE float acosh(float x) {
  const float t = x - 1.f;
  const bool far = x > 1e9f;
  const float y = log1p(far ? x : t + sqrt(2.f * t + t * t));
  return x >= 1.f ? (far ? y + 0.693147180559945f : y) : kNotANumber;
}
TALLOW_INLINE float atanh(float x) {
  const float a = absolute(x);
  return with_sign(0.5f * log1p(2.f * a / (1.f - a)), x);
}

/// Two polynomials that N. Juffa published: of x near 0, and of the logarithm of 1 - erf beyond.
TALLOW_INLINE float erf(float x) {
  const float z = x * x;
  float a = absolute(x);
  const bool is_far = a > 0.927734375f;
  a = a > 4.f ? 4.f : a;
  float far = -1.72853470e-5f * a + 3.83197126e-4f;
  far = far * (a * a) + (-3.88396438e-3f * a + 2.42546219e-2f);
  far = far * a - 1.06777877e-1f;
  far = far * a - 6.34846687e-1f;
  far = far * a - 1.28717512e-1f;
  far = with_sign(1.f - exp_inside(far * a - a), x);
  float near = z * -5.96761703e-4f + 4.99119423e-3f;
  near = near * z - 2.67681349e-2f;
  near = near * z + 1.12819925e-1f;
  near = near * z - 3.76125336e-1f;
  near = near * z + 1.28379166e-1f;
  return is_far ? far : near * x + x;
}
/// The cumulative distribution of the standard normal, to 3e-8: its tail is half of 2^-p(|x|), p a
/// least-squares fit of ours.
TALLOW_INLINE float gaussian_cdf(float x) {
  float a = absolute(x);
  a = a > 5.8f ? 5.8f : a;
  float p = a * -5.12857412e-7f + 9.56021267e-6f;
  p = p * a - 7.49739775e-5f;
  p = p * a + 2.84348935e-4f;
  p = p * a - 1.4994519e-5f;
  p = p * a - 6.93111448e-3f;
  p = p * a + 5.24347611e-2f;
  p = p * a + 4.59221452e-1f;
  p = p * a + 1.15110421f;
  const float t = -p * a, shifted = t + kRoundToInt, f = t - (shifted - kRoundToInt);
  const float q = exp2_near_0(f);
  const int32_t half_power = bits_of(shifted) - 1;
  float tail = from_bits(bits_of(q) + (half_power << 23));
  tail = absolute(x) > 5.8f ? 0.f : tail;
  tail = x > 0.f ? 1.f - tail : tail;
  return x == x ? tail : x;
}
TALLOW_INLINE float erfc(float x) { return __builtin_erfcf(x); }

TALLOW_INLINE float hypot(float a, float b) {
  const double x = a, y = b;
  const float r = static_cast<float>(__builtin_sqrt(x * x + y * y));
  return (absolute(a) == kInfinity) | (absolute(b) == kInfinity) ? kInfinity : r;
}

/// By f64, of which 33 bits are right: base 2 logarithm, product, power of 2.
TALLOW_INLINE float power(float a, float b) {
  const float size = absolute(a);
  const bool tiny = size < 1.17549435e-38f;
  const int32_t bits = bits_of(tiny ? size * 8388608.f : size);
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const double m = from_bits(bits - exponent * 8388608);
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = z * 0.22195308321368668 + 0.26230818925253881;  // 2 / (k ln 2), k = 13, 11, ...
  p = p * z + 0.32059889797532521;
  p = p * z + 0.41219858311113239;
  p = p * z + 0.57707801635558535;
  p = p * z + 0.96179669392597556;
  p = p * z + 2.8853900817779268;
  const double e = static_cast<double>(exponent) - (tiny ? 23.0 : 0.0);
  double t = (e + p * s) * static_cast<double>(b);
  t = t > 200.0 ? 200.0 : t;
  t = t < -200.0 ? -200.0 : t;
  constexpr double round = 6755399441055744.0;
  const double shifted = t + round, f = t - (shifted - round);
  double q = f * 1.3215486790144309e-6 + 1.5252733804059840e-5;  // ln(2)^k / k!, k = 8, 7, ...
  q = q * f + 1.5403530393381609e-4;
  q = q * f + 1.3333558146428443e-3;
  q = q * f + 9.6181291076284771e-3;
  q = q * f + 5.5504108664821579e-2;
  q = q * f + 2.4022650695910071e-1;
  q = q * f + 6.9314718055994531e-1;
  q = q * f + 1.0;
  const int64_t n = __builtin_bit_cast(int64_t, shifted) - __builtin_bit_cast(int64_t, round);
  float r = static_cast<float>(q * __builtin_bit_cast(double, (n + 1023) << 52));
  const float limit = (size == 0.f) == (b < 0.f) ? kInfinity : 0.f;
  r = (size == 0.f) | (size == kInfinity) ? limit : r;
  const float b_limit = (size > 1.f) == (b > 0.f) ? kInfinity : 0.f;
  r = absolute(b) == kInfinity ? b_limit : r;
  r = size == 1.f ? 1.f : r;
  const float half = b * 0.5f;
  const bool whole = rint(b) == b, odd = whole & (rint(half) != half);
  r = (bits_of(a) < 0) & odd ? -r : r;
  r = (a < 0.f) & (size != kInfinity) & !whole ? kNotANumber : r;
  r = (a != a) | (b != b) ? a + b : r;
  return (b == 0.f) | (a == 1.f) ? 1.f : r;
}

TALLOW_INLINE bool is_nan(float x) { return x != x; }
TALLOW_INLINE bool is_inf(float x) { return absolute(x) == kInfinity; }
TALLOW_INLINE bool is_finite(float x) { return absolute(x) < kInfinity; }
TALLOW_INLINE bool sign_bit(float x) { return bits_of(x) < 0; }
TALLOW_INLINE float magnitude(float x) { return absolute(x); }
TALLOW_INLINE float divide_trunc(float a, float b) { return trunc(a / b); }
TALLOW_INLINE float modulo_trunc(float a, float b) { return __builtin_fmodf(a, b); }

// f64 by the C library.
#define TALLOW_F64(name) \
  TALLOW_INLINE double name(double x) { return __builtin_##name(x); }
TALLOW_F64(acos)
TALLOW_F64(acosh)
TALLOW_F64(asin)
TALLOW_F64(asinh)
TALLOW_F64(atan)
TALLOW_F64(atanh)
TALLOW_F64(ceil)
TALLOW_F64(cos)
TALLOW_F64(cosh)
TALLOW_F64(erf)
TALLOW_F64(erfc)
TALLOW_F64(exp)
TALLOW_F64(exp2)
TALLOW_F64(expm1)
TALLOW_F64(floor)
TALLOW_F64(log)
TALLOW_F64(log10)
TALLOW_F64(log1p)
TALLOW_F64(log2)
TALLOW_F64(rint)
TALLOW_F64(sin)
TALLOW_F64(sinh)
TALLOW_F64(sqrt)
TALLOW_F64(tan)
TALLOW_F64(tanh)
TALLOW_F64(trunc)
#undef TALLOW_F64
TALLOW_INLINE double copysign(double x, double sign) { return __builtin_copysign(x, sign); }
TALLOW_INLINE double gaussian_cdf(double x) {
  return 0.5 * __builtin_erfc(x * -0.70710678118654752);
}
TALLOW_INLINE double atan2(double y, double x) { return __builtin_atan2(y, x); }
TALLOW_INLINE double hypot(double a, double b) { return __builtin_hypot(a, b); }
TALLOW_INLINE double power(double a, double b) { return __builtin_pow(a, b); }
TALLOW_INLINE bool is_nan(double x) { return x != x; }
TALLOW_INLINE bool is_inf(double x) { return __builtin_fabs(x) == __builtin_inf(); }
TALLOW_INLINE bool is_finite(double x) { return __builtin_fabs(x) < __builtin_inf(); }
TALLOW_INLINE bool sign_bit(double x) { return __builtin_signbit(x) != 0; }
TALLOW_INLINE double magnitude(double x) { return __builtin_fabs(x); }
TALLOW_INLINE double divide_trunc(double a, double b) { return trunc(a / b); }
TALLOW_INLINE double modulo_trunc(double a, double b) { return __builtin_fmod(a, b); }

template <class T>
constexpr bool kIsFloating = static_cast<T>(0.5) != static_cast<T>(0);

// Integers.
#define TALLOW_WHOLE(T)                                                               \
  TALLOW_INLINE T ceil(T x) { return x; }                                             \
  TALLOW_INLINE T floor(T x) { return x; }                                            \
  TALLOW_INLINE T trunc(T x) { return x; }                                            \
  TALLOW_INLINE T rint(T x) { return x; }                                             \
  TALLOW_INLINE bool is_nan(T) { return false; }                                      \
  TALLOW_INLINE bool is_inf(T) { return false; }                                      \
  TALLOW_INLINE bool is_finite(T) { return true; }                                    \
  TALLOW_INLINE bool sign_bit(T x) { return x < T(0); }                               \
  TALLOW_INLINE T magnitude(T x) { return static_cast<T>(x < T(0) ? -x : x); }        \
  TALLOW_INLINE T divide_trunc(T a, T b) {                                            \
    return static_cast<T>(b == static_cast<T>(-1) && sign_bit(b) ? T(0) - a : a / b); \
  }                                                                                   \
  TALLOW_INLINE T modulo_trunc(T a, T b) {                                            \
    return static_cast<T>(b == static_cast<T>(-1) && sign_bit(b) ? 0 : a % b);        \
  }                                                                                   \
  TALLOW_INLINE T power(T a, T b) {                                                   \
    if (sign_bit(b))                                                                  \
      return a == T(1) ? T(1) : a == static_cast<T>(-1) ? (b % 2 ? a : T(1)) : T(0);  \
    T result = 1;                                                                     \
    for (; b; b = static_cast<T>(b >> 1), a = static_cast<T>(a * a)) {                \
      if (b & 1) result = static_cast<T>(result * a);                                 \
    }                                                                                 \
    return result;                                                                    \
  }
TALLOW_WHOLE(int64_t)
TALLOW_WHOLE(int32_t)
TALLOW_WHOLE(uint8_t)
#undef TALLOW_WHOLE

template <class T>
TALLOW_INLINE T sgn(T x) {
  return static_cast<T>((x > T(0)) - (x < T(0)));
}
template <class T>
TALLOW_INLINE T angle_of(T x) {
  return x < T(0) ? T(3.14159265358979323846) : is_nan(x) ? x : T(0);
}
template <class T>
TALLOW_INLINE bool near_zero(T x) {
  return (x < T(0.5)) & (x > T(-0.5));
}
template <class T>
TALLOW_INLINE T modulo_floor(T a, T b) {
  const T mod = modulo_trunc(a, b);
  return static_cast<T>(mod != T(0) && sign_bit(b) != (mod < T(0)) ? mod + b : mod);
}
template <class T>
TALLOW_INLINE T divide_floor(T a, T b) {
  if constexpr (kIsFloating<T>) {
    const T mod = modulo_trunc(a, b);
    T quotient = (a - mod) / b;
    if (mod != T(0) && (b < T(0)) != (mod < T(0))) quotient -= T(1);
    const T down = floor(quotient);
    const T whole = quotient - down > T(0.5) ? down + T(1) : down;
    return b == T(0) ? a / b : quotient == T(0) ? copysign(T(0), a / b) : whole;
  } else {
    const T quotient = divide_trunc(a, b);
    const bool exact = static_cast<T>(quotient * b) == a;
    return static_cast<T>(!exact && sign_bit(a) != sign_bit(b) ? quotient - T(1) : quotient);
  }
}

#define TALLOW_ROW_FUNCTION TALLOW_INLINE
#include "ops/elementwise/composed.h"
#undef TALLOW_ROW_FUNCTION
