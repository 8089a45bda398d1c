// Random numbers: element i of a draw is made of words at a place that i says, so that neither
// threads nor devices change it. Two elements of f32 and narrower share a block's half, two of f64
// a block.
#include "ops/creation/random.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "ops/elements.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"

namespace tallow {
DrawKernels draw_kernels{draws::philox_words, draws::uniform_floats, draws::normal_floats};

namespace {

constexpr int64_t kBlocks = 64;  // at a time

double unit_double(uint32_t high, uint32_t low) {
  return static_cast<double>(static_cast<uint64_t>(high >> 5) << 26 | low >> 6) * 0x1p-53;
}

// word / 2^64 * range.
uint64_t scaled(uint64_t word, uint64_t range) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(word) * range >> 64);
}

// The bits of a uniform number in [0, 1): as many as a dtype's fraction has, so that rounding does
// not reach 1.
int digits_of(DType dtype) {
  switch (dtype) {
    case DType::f16: return 11;
    case DType::bf16: return 8;
    case DType::f8_e4m3:
    case DType::f8_e4m3fnuz: return 4;
    case DType::f8_e5m2:
    case DType::f8_e5m2fnuz: return 3;
    case DType::f8_e8m0: return 1;
    default: return 24;
  }
}

// Box and Muller: two normal numbers of two uniform ones, the first in (0, 1].
void normal_pair(double u, double v, double* out) {
  const double radius = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * v;
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

// `u` is uniform in [0, 1), `one_minus` the same in (0, 1].
template <class T>
T shaped(const DrawOptions& o, T u) {
  const T a = static_cast<T>(o.a), b = static_cast<T>(o.b), one_minus = T(1) - u;
  switch (o.draw) {
    case Draw::exponential: return -std::log(one_minus) / a;
    case Draw::cauchy: return a + b * std::tan(T(std::numbers::pi) * (u - T(0.5)));
    case Draw::geometric: return std::max(T(1), std::ceil(std::log(one_minus) / std::log1p(-a)));
    default: {
      const T x = a + (b - a) * u;
      return x < b ? x : a;  // rounding may reach the upper bound
    }
  }
}

bool is_normal(Draw draw) { return draw == Draw::normal || draw == Draw::log_normal; }

// Elements of n blocks.
void fill_floats(const DrawOptions& o, const uint32_t* words, int64_t n, float* out) {
  const float a = static_cast<float>(o.a), b = static_cast<float>(o.b);
  if (o.draw == Draw::uniform) {
    draw_kernels.uniform(words, 4 * n, digits_of(o.dtype), a, b, out);
  } else if (is_normal(o.draw)) {
    draw_kernels.normal(words, 4 * n, a, b, out);
  } else {
    for (int64_t i = 0; i < 4 * n; ++i) {
      out[i] = shaped(o, static_cast<float>(words[i] >> 8) * 0x1p-24f);
    }
  }
  for (int64_t i = 0; i < 4 * n && o.draw == Draw::log_normal; ++i) out[i] = std::exp(out[i]);
}

void fill_doubles(const DrawOptions& o, const uint32_t* words, int64_t n, double* out) {
  for (int64_t i = 0; i < 2 * n; ++i) out[i] = unit_double(words[2 * i], words[2 * i + 1]);
  if (!is_normal(o.draw)) {
    for (int64_t i = 0; i < 2 * n; ++i) out[i] = shaped(o, out[i]);
    return;
  }
  for (int64_t i = 0; i < 2 * n; i += 2) normal_pair(1.0 - out[i], out[i + 1], out + i);
  for (int64_t i = 0; i < 2 * n; ++i) {
    out[i] = o.a + o.b * out[i];
    if (o.draw == Draw::log_normal) out[i] = std::exp(out[i]);
  }
}

void fill_integers(const DrawOptions& o, const uint32_t* words, int64_t n, int64_t* out) {
  for (int64_t i = 0; i < 2 * n; ++i) {
    const uint64_t word = static_cast<uint64_t>(words[2 * i]) << 32 | words[2 * i + 1];
    const uint64_t drawn = o.range == 0 ? word : scaled(word, o.range);
    out[i] = static_cast<int64_t>(static_cast<uint64_t>(o.low) + drawn);
  }
}

// Elements of a block.
int64_t per_block(const DrawOptions& o) {
  return o.draw != Draw::bits && compute_type(o.dtype) == ComputeType::f32 ? 4 : 2;
}

template <class T, class F>
void fill_blocks(const DrawOptions& o, const Tensor& out, int64_t per, const F& fill) {
  const int64_t n = out.numel();
  parallel_for((n + per - 1) / per, 4 * kBlocks, [&](int64_t begin, int64_t end, int) {
    uint32_t words[4 * kBlocks];
    T values[4 * kBlocks];
    for (int64_t b = begin; b < end; b += kBlocks) {
      const int64_t blocks = std::min(kBlocks, end - b);
      draw_kernels.philox(o.blocks.seed, o.blocks.first + static_cast<uint64_t>(b), blocks, words);
      fill(o, words, blocks, values);
      write_elements(out, b * per, std::min(blocks * per, n - b * per), values);
    }
  });
}

void random_cpu(Inputs, Outputs out, const DrawOptions& o) {
  if (o.draw == Draw::bits) {
    fill_blocks<int64_t>(o, out[0], 2, fill_integers);
  } else if (per_block(o) == 2) {
    fill_blocks<double>(o, out[0], 2, fill_doubles);
  } else {
    fill_blocks<float>(o, out[0], 4, fill_floats);
  }
}

constinit Op<DrawOptions> random_op{"random",
                                    {.infer =
                                         [](Inputs, const DrawOptions& o) {
                                           return Specs{{o.shape, o.dtype}};
                                         },
                                     .cpu = random_cpu}};

Tensor drawn(DrawOptions o, const std::optional<Generator>& generator, Device device) {
  if (device != cpu_device) fail("random: this build draws on the CPU only");
  const int64_t per = per_block(o);
  Generator source = generator ? *generator : default_generator();
  o.blocks = source.take(static_cast<uint64_t>(o.shape.numel() / per + 1));
  return apply_many(random_op, {}, o)[0];
}

void check_real_dtype(const char* op, DType dtype) {
  if (!is_real(dtype)) fail(op, ": ", dtype, " is not a real dtype");
}

// Complex numbers are pairs of real ones.
Tensor real_draw(const char* op, Draw draw, const Shape& size, DType dtype, double a, double b,
                 const std::optional<Generator>& generator, Device device) {
  for (int64_t n : size) {
    if (n < 0) fail(op, ": size ", size, " has a negative dimension");
  }
  if (is_complex(dtype) && (draw == Draw::uniform || draw == Draw::normal)) {
    Shape pairs = size;
    pairs.push_back(2);
    // A complex normal number has variance 1 in all.
    if (draw == Draw::normal) b /= std::numbers::sqrt2;
    const Tensor parts = drawn({pairs, to_real(dtype), draw, a, b, 0, 0, {}}, generator, device);
    return Tensor(parts.buffer(), 0, size, contiguous_strides(size), dtype);
  }
  check_real_dtype(op, dtype);
  return drawn({size, dtype, draw, a, b, 0, 0, {}}, generator, device);
}

Tensor integers(const char* op, int64_t low, int64_t high, const Shape& size, DType dtype,
                const std::optional<Generator>& generator, Device device) {
  for (int64_t n : size) {
    if (n < 0) fail(op, ": size ", size, " has a negative dimension");
  }
  if (low >= high) fail(op, ": nothing lies from ", low, " to below ", high);
  if (is_block(dtype) || is_complex(dtype)) fail(op, ": ", dtype, " does not hold integers");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  return drawn({size, dtype, Draw::bits, 0, 0, low, range, {}}, generator, device);
}

}  // namespace

Tensor rand(const Shape& size, std::optional<Generator> generator, std::optional<DType> dtype,
            Device device) {
  return real_draw("rand", Draw::uniform, size, dtype.value_or(default_dtype()), 0, 1, generator,
                   device);
}

Tensor randn(const Shape& size, std::optional<Generator> generator, std::optional<DType> dtype,
             Device device) {
  return real_draw("randn", Draw::normal, size, dtype.value_or(default_dtype()), 0, 1, generator,
                   device);
}

Tensor randint(int64_t high, const Shape& size, std::optional<Generator> generator,
               std::optional<DType> dtype, Device device) {
  return randint(0, high, size, std::move(generator), dtype, device);
}

Tensor randint(int64_t low, int64_t high, const Shape& size, std::optional<Generator> generator,
               std::optional<DType> dtype, Device device) {
  return integers("randint", low, high, size, dtype.value_or(DType::i64), generator, device);
}

Tensor randperm(int64_t n, std::optional<Generator> generator, std::optional<DType> dtype,
                Device device) {
  if (n < 0) fail("randperm: n ", n, " is negative");
  const DType type = dtype.value_or(DType::i64);
  if (is_block(type) || is_complex(type) || type == DType::boolean) {
    fail("randperm: ", type, " does not hold a permutation");
  }
  if (n > 1 &&
      Tensor::full({}, static_cast<double>(n - 1), type).item() != static_cast<double>(n - 1)) {
    fail("randperm: ", type, " does not hold numbers up to ", n - 1);
  }
  const Tensor order = Tensor::empty({n}, DType::i64, device);
  int64_t* to = order.data<int64_t>();
  std::iota(to, to + n, 0);
  // Fisher and Yates, as Durstenfeld has it.
  Generator source = generator ? *generator : default_generator();
  const Generator::Blocks blocks = source.take(static_cast<uint64_t>(n / 2 + 1));
  uint32_t words[4 * kBlocks];
  for (int64_t i = 0; i + 1 < n; ++i) {
    const int64_t at = i % (2 * kBlocks);
    if (at == 0)
      draw_kernels.philox(blocks.seed, blocks.first + static_cast<uint64_t>(i / 2), kBlocks, words);
    const uint64_t word = static_cast<uint64_t>(words[2 * at]) << 32 | words[2 * at + 1];
    const auto left = static_cast<uint64_t>(n - i);
    std::swap(to[i], to[i + static_cast<int64_t>(scaled(word, left))]);
  }
  return order.to(type);
}

Tensor rand_like(const Tensor& input, std::optional<Generator> generator,
                 std::optional<DType> dtype, std::optional<Device> device) {
  return rand(input.shape(), std::move(generator), dtype.value_or(input.dtype()),
              device.value_or(input.device()));
}
Tensor randn_like(const Tensor& input, std::optional<Generator> generator,
                  std::optional<DType> dtype, std::optional<Device> device) {
  return randn(input.shape(), std::move(generator), dtype.value_or(input.dtype()),
               device.value_or(input.device()));
}
Tensor randint_like(const Tensor& input, int64_t high, std::optional<Generator> generator,
                    std::optional<DType> dtype, std::optional<Device> device) {
  return randint_like(input, 0, high, std::move(generator), dtype, device);
}
Tensor randint_like(const Tensor& input, int64_t low, int64_t high,
                    std::optional<Generator> generator, std::optional<DType> dtype,
                    std::optional<Device> device) {
  return randint(low, high, input.shape(), std::move(generator), dtype.value_or(input.dtype()),
                 device.value_or(input.device()));
}

Tensor normal(double mean, double std, const Shape& size, std::optional<Generator> generator,
              std::optional<DType> dtype, Device device) {
  if (!(std >= 0)) fail("normal: std ", std, " is negative");
  return real_draw("normal", Draw::normal, size, dtype.value_or(default_dtype()), mean, std,
                   generator, device);
}

Tensor uniform_like(const Tensor& input, double from, double to,
                    std::optional<Generator> generator) {
  if (!(from <= to)) fail("uniform: from ", from, " is above to ", to);
  return real_draw("uniform", Draw::uniform, input.shape(), input.dtype(), from, to, generator,
                   input.device());
}
Tensor normal_like(const Tensor& input, double mean, double std,
                   std::optional<Generator> generator) {
  return normal(mean, std, input.shape(), std::move(generator), input.dtype(), input.device());
}
Tensor log_normal_like(const Tensor& input, double mean, double std,
                       std::optional<Generator> generator) {
  if (!(std > 0)) fail("log_normal: std ", std, " is not positive");
  return real_draw("log_normal", Draw::log_normal, input.shape(), input.dtype(), mean, std,
                   generator, input.device());
}
Tensor exponential_like(const Tensor& input, double lambd, std::optional<Generator> generator) {
  if (!(lambd > 0)) fail("exponential: lambd ", lambd, " is not positive");
  return real_draw("exponential", Draw::exponential, input.shape(), input.dtype(), lambd, 0,
                   generator, input.device());
}
Tensor cauchy_like(const Tensor& input, double median, double sigma,
                   std::optional<Generator> generator) {
  if (!(sigma > 0)) fail("cauchy: sigma ", sigma, " is not positive");
  return real_draw("cauchy", Draw::cauchy, input.shape(), input.dtype(), median, sigma, generator,
                   input.device());
}

Tensor geometric_like(const Tensor& input, double p, std::optional<Generator> generator) {
  if (!(p > 0 && p < 1)) fail("geometric: p ", p, " is not between 0 and 1");
  const DType dtype = input.dtype();
  check_not_complex("geometric", input);
  const DType real = is_real(dtype) ? dtype : DType::f64;
  return real_draw("geometric", Draw::geometric, input.shape(), real, p, 0, generator,
                   input.device())
      .to(dtype);
}

Tensor random_like(const Tensor& input, int64_t from, std::optional<int64_t> to,
                   std::optional<Generator> generator) {
  const DType dtype = input.dtype();
  int64_t high = to.value_or(0);
  if (!to) {
    switch (dtype) {
      case DType::boolean: high = 2; break;
      case DType::i8: high = 1 << 7; break;
      case DType::u8: high = 1 << 8; break;
      case DType::i16: high = 1 << 15; break;
      case DType::u16: high = 1 << 16; break;
      case DType::i32: high = int64_t{1} << 31; break;
      case DType::u32: high = int64_t{1} << 32; break;
      case DType::f64: high = (int64_t{1} << 53) + 1; break;
      case DType::i64:
      case DType::u64: high = INT64_MAX; break;
      default: high = (int64_t{1} << digits_of(dtype)) + 1;
    }
  }
  return integers("random", from, high, input.shape(), dtype, generator, input.device());
}

}  // namespace tallow
