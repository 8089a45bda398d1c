// The dtype table: one row says all that the rest of the library knows about an element type. A new
// block type is an enum value, its row here, and a to_f32 in blocks.cpp.
#include "tallow/dtype.h"

#include <atomic>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/blocks.h"
#include "core/blocks_grouped.h"
#include "core/encode.h"
#include "core/half.h"
#include "core/small_floats.h"
#include "tallow/error.h"

namespace tallow {
namespace {

template <class T>
void numbers_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const T*>(source);
  for (int64_t i = 0; i < n; ++i) target[i] = static_cast<float>(p[i]);
}

/// Truncates towards zero; what does not fit becomes the nearest limit, and NaN 0.
template <class T>
void integers_from_f32(const float* source, void* target, int64_t n) {
  using limits = std::numeric_limits<T>;
  auto* p = static_cast<T*>(target);
  for (int64_t i = 0; i < n; ++i) {
    const float f = std::trunc(source[i]);
    // The limits round up to a power of two that is one too many, hence >=.
    if (f >= static_cast<float>(limits::max())) {
      p[i] = limits::max();
    } else if (f <= static_cast<float>(limits::min())) {
      p[i] = limits::min();
    } else {
      p[i] = f == f ? static_cast<T>(f) : T{0};
    }
  }
}

void f64_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<double*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = source[i];
}

void f32_to_f32(const void* source, float* target, int64_t n) {
  std::memmove(target, source, static_cast<size_t>(n) * sizeof(float));
}
void f32_from_f32(const float* source, void* target, int64_t n) {
  std::memmove(target, source, static_cast<size_t>(n) * sizeof(float));
}

template <class Bits, float (*convert)(Bits)>
void small_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const Bits*>(source);
  for (int64_t i = 0; i < n; ++i) target[i] = convert(p[i]);
}

template <class Bits, Bits (*convert)(float)>
void small_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<Bits*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = convert(source[i]);
}

// The real part; and a real number as a complex one.
template <class T>
void complex_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const std::complex<T>*>(source);
  for (int64_t i = 0; i < n; ++i) target[i] = static_cast<float>(p[i].real());
}
template <class T>
void complex_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<std::complex<T>*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<T>(source[i]);
}

void bool_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; ++i) target[i] = p[i] != 0 ? 1.0f : 0.0f;
}
void bool_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = source[i] != 0;
}

using enum DTypeKind;
template <class T>
constexpr auto ints_to = numbers_to_f32<T>;
template <class T>
constexpr auto ints_from = integers_from_f32<T>;
constexpr auto f16_to = small_to_f32<uint16_t, f16_to_f32>;
constexpr auto f16_from = small_from_f32<uint16_t, f32_to_f16>;
constexpr auto bf16_to = small_to_f32<uint16_t, bf16_to_f32>;
constexpr auto bf16_from = small_from_f32<uint16_t, f32_to_bf16>;
constexpr auto e4m3_to = small_to_f32<uint8_t, f8_e4m3_to_f32>;
constexpr auto e4m3_from = small_from_f32<uint8_t, f32_to_f8_e4m3>;
constexpr auto e5m2_to = small_to_f32<uint8_t, f8_e5m2_to_f32>;
constexpr auto e5m2_from = small_from_f32<uint8_t, f32_to_f8_e5m2>;

template <DType dtype>
void encode_from(const float* source, void* target, int64_t n) {
  encode_blocks(dtype, source, target, 1, n);
}

// clang-format off
constexpr DTypeInfo kTable[] = {
    // dtype           name       safetensors gguf kind     block bytes to_f32  from_f32
    {DType::f64,     "f64",     "F64",      28, real,      1,   8, numbers_to_f32<double>, f64_from_f32},
    {DType::f32,     "f32",     "F32",       0, real,      1,   4, f32_to_f32, f32_from_f32},
    {DType::f16,     "f16",     "F16",       1, real,      1,   2, f16_to, f16_from},
    {DType::bf16,    "bf16",    "BF16",     30, real,      1,   2, bf16_to, bf16_from},
    {DType::f8_e4m3, "f8_e4m3", "F8_E4M3",  -1, real,      1,   1, e4m3_to, e4m3_from},
    {DType::f8_e5m2, "f8_e5m2", "F8_E5M2",  -1, real,      1,   1, e5m2_to, e5m2_from},
    {DType::f8_e4m3fnuz, "f8_e4m3fnuz", "F8_E4M3FNUZ", -1, real, 1, 1, small_floats::f8_e4m3fnuz_to_f32, small_floats::f8_e4m3fnuz_from_f32},
    {DType::f8_e5m2fnuz, "f8_e5m2fnuz", "F8_E5M2FNUZ", -1, real, 1, 1, small_floats::f8_e5m2fnuz_to_f32, small_floats::f8_e5m2fnuz_from_f32},
    {DType::f8_e8m0, "f8_e8m0", "F8_E8M0",  -1, real,      1,   1, small_floats::f8_e8m0_to_f32, small_floats::f8_e8m0_from_f32},
    {DType::i8,      "i8",      "I8",       24, integer,   1,   1, ints_to<int8_t>, ints_from<int8_t>},
    {DType::i16,     "i16",     "I16",      25, integer,   1,   2, ints_to<int16_t>, ints_from<int16_t>},
    {DType::i32,     "i32",     "I32",      26, integer,   1,   4, ints_to<int32_t>, ints_from<int32_t>},
    {DType::i64,     "i64",     "I64",      27, integer,   1,   8, ints_to<int64_t>, ints_from<int64_t>},
    {DType::u8,      "u8",      "U8",       -1, integer,   1,   1, ints_to<uint8_t>, ints_from<uint8_t>},
    {DType::u16,     "u16",     "U16",      -1, integer,   1,   2, ints_to<uint16_t>, ints_from<uint16_t>},
    {DType::u32,     "u32",     "U32",      -1, integer,   1,   4, ints_to<uint32_t>, ints_from<uint32_t>},
    {DType::u64,     "u64",     "U64",      -1, integer,   1,   8, ints_to<uint64_t>, ints_from<uint64_t>},
    {DType::boolean, "bool",    "BOOL",     -1, boolean,   1,   1, bool_to_f32, bool_from_f32},
    {DType::c64,     "c64",     "C64",      -1, complex,   1,   8, complex_to_f32<float>, complex_from_f32<float>},
    {DType::c128,    "c128",    nullptr,    -1, complex,   1,  16, complex_to_f32<double>, complex_from_f32<double>},
    {DType::f4_e2m1, "f4_e2m1", "F4",       -1, block,     2,   1, small_floats::f4_e2m1_to_f32, small_floats::f4_e2m1_from_f32},
    {DType::f6_e2m3, "f6_e2m3", "F6_E2M3",  -1, block,     4,   3, small_floats::f6_e2m3_to_f32, small_floats::f6_e2m3_from_f32},
    {DType::f6_e3m2, "f6_e3m2", "F6_E3M2",  -1, block,     4,   3, small_floats::f6_e3m2_to_f32, small_floats::f6_e3m2_from_f32},
    {DType::q4_0,    "q4_0",    nullptr,     2, block,    32,  18, blocks::q4_0_to_f32, encode_from<DType::q4_0>},
    {DType::q4_1,    "q4_1",    nullptr,     3, block,    32,  20, blocks::q4_1_to_f32, encode_from<DType::q4_1>},
    {DType::q5_0,    "q5_0",    nullptr,     6, block,    32,  22, blocks::q5_0_to_f32, encode_from<DType::q5_0>},
    {DType::q5_1,    "q5_1",    nullptr,     7, block,    32,  24, blocks::q5_1_to_f32, encode_from<DType::q5_1>},
    {DType::q8_0,    "q8_0",    nullptr,     8, block,    32,  34, blocks::q8_0_to_f32, encode_from<DType::q8_0>},
    {DType::q2_k,    "q2_k",    nullptr,    10, block,   256,  84, blocks::q2_k_to_f32, encode_from<DType::q2_k>},
    {DType::q3_k,    "q3_k",    nullptr,    11, block,   256, 110, blocks::q3_k_to_f32, encode_from<DType::q3_k>},
    {DType::q4_k,    "q4_k",    nullptr,    12, block,   256, 144, blocks::q4_k_to_f32, encode_from<DType::q4_k>},
    {DType::q5_k,    "q5_k",    nullptr,    13, block,   256, 176, blocks::q5_k_to_f32, encode_from<DType::q5_k>},
    {DType::q6_k,    "q6_k",    nullptr,    14, block,   256, 210, blocks::q6_k_to_f32, encode_from<DType::q6_k>},
    {DType::iq4_nl,  "iq4_nl",  nullptr,    20, block,    32,  18, blocks::iq4_nl_to_f32, encode_from<DType::iq4_nl>},
    {DType::iq4_xs,  "iq4_xs",  nullptr,    23, block,   256, 136, blocks::iq4_xs_to_f32, encode_from<DType::iq4_xs>},
    {DType::mxfp4,   "mxfp4",   nullptr,    39, block,    32,  17, blocks::mxfp4_to_f32, encode_from<DType::mxfp4>},
    {DType::tq2_0,   "tq2_0",   nullptr,    35, block,   256,  66, blocks::tq2_0_to_f32, encode_from<DType::tq2_0>},
    {DType::tq1_0,   "tq1_0",   nullptr,    34, block,   256,  54, blocks::tq1_0_to_f32, encode_from<DType::tq1_0>},
    {DType::nvfp4,   "nvfp4",   nullptr,    40, block,    64,  36, blocks::nvfp4_to_f32, encode_from<DType::nvfp4>},
    {DType::iq1_s,   "iq1_s",   nullptr,    19, block,   256,  50, blocks::iq1_s_to_f32, encode_from<DType::iq1_s>},
    {DType::iq1_m,   "iq1_m",   nullptr,    29, block,   256,  56, blocks::iq1_m_to_f32, encode_from<DType::iq1_m>},
    {DType::iq2_xxs, "iq2_xxs", nullptr,    16, block,   256,  66, blocks::iq2_xxs_to_f32, encode_from<DType::iq2_xxs>},
    {DType::iq2_xs,  "iq2_xs",  nullptr,    17, block,   256,  74, blocks::iq2_xs_to_f32, encode_from<DType::iq2_xs>},
    {DType::iq2_s,   "iq2_s",   nullptr,    22, block,   256,  82, blocks::iq2_s_to_f32, encode_from<DType::iq2_s>},
    {DType::iq3_xxs, "iq3_xxs", nullptr,    18, block,   256,  98, blocks::iq3_xxs_to_f32, encode_from<DType::iq3_xxs>},
    {DType::iq3_s,   "iq3_s",   nullptr,    21, block,   256, 110, blocks::iq3_s_to_f32, encode_from<DType::iq3_s>},
    {DType::q1_0,    "q1_0",    nullptr,    41, block,   128,  18, blocks::q1_0_to_f32, encode_from<DType::q1_0>},
    {DType::q2_0,    "q2_0",    nullptr,    42, block,    64,  18, blocks::q2_0_to_f32, encode_from<DType::q2_0>},
    {DType::q8_1,    "q8_1",    nullptr,     9, block,    32,  36, blocks::q8_1_to_f32, encode_from<DType::q8_1>},
    {DType::q8_k,    "q8_k",    nullptr,    15, block,   256, 292, blocks::q8_k_to_f32, encode_from<DType::q8_k>},
    {DType::u2_g32,   "u2_g32",  nullptr,    -1, block,    32,  16, blocks::codes_to_f32<2, 32>, nullptr},
    {DType::u2_g64,   "u2_g64",  nullptr,    -1, block,    64,  24, blocks::codes_to_f32<2, 64>, nullptr},
    {DType::u2_g128,  "u2_g128", nullptr,    -1, block,   128,  40, blocks::codes_to_f32<2, 128>, nullptr},
    {DType::u3_g32,   "u3_g32",  nullptr,    -1, block,    32,  20, blocks::codes_to_f32<3, 32>, nullptr},
    {DType::u3_g64,   "u3_g64",  nullptr,    -1, block,    64,  32, blocks::codes_to_f32<3, 64>, nullptr},
    {DType::u3_g128,  "u3_g128", nullptr,    -1, block,   128,  56, blocks::codes_to_f32<3, 128>, nullptr},
    {DType::u4_g32,   "u4_g32",  nullptr,    -1, block,    32,  24, blocks::codes_to_f32<4, 32>, nullptr},
    {DType::u4_g64,   "u4_g64",  nullptr,    -1, block,    64,  40, blocks::codes_to_f32<4, 64>, nullptr},
    {DType::u4_g128,  "u4_g128", nullptr,    -1, block,   128,  72, blocks::codes_to_f32<4, 128>, nullptr},
    {DType::u8_g32,   "u8_g32",  nullptr,    -1, block,    32,  40, blocks::codes_to_f32<8, 32>, nullptr},
    {DType::u8_g64,   "u8_g64",  nullptr,    -1, block,    64,  72, blocks::codes_to_f32<8, 64>, nullptr},
    {DType::u8_g128,  "u8_g128", nullptr,    -1, block,   128, 136, blocks::codes_to_f32<8, 128>, nullptr},
    {DType::nf4_g64,  "nf4_g64", nullptr,    -1, block,    64,  36, blocks::nf4_to_f32, nullptr},
    {DType::bnb4_g64, "bnb4_g64",nullptr,    -1, block,    64,  36, blocks::bnb4_to_f32, nullptr},
    {DType::fp4_g16,  "fp4_g16", nullptr,    -1, block,    64,  40, blocks::fp4_g16_to_f32, nullptr},
    {DType::f8_g64,   "f8_g64",  nullptr,    -1, block,    64,  68, blocks::f8_to_f32, nullptr},
};
// clang-format on

std::atomic<DType> default_real{DType::f32};

constexpr bool rows_follow_the_enum() {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (static_cast<int>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(std::extent_v<decltype(kTable)> == kDTypeCount, "a row per dtype");
static_assert(rows_follow_the_enum(), "the rows stand in the order of the enum");

template <class Matches>
std::optional<DType> find(Matches matches) {
  for (const DTypeInfo& row : kTable) {
    if (matches(row)) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace

const DTypeInfo& info(DType dtype) { return kTable[static_cast<int>(dtype)]; }

std::optional<DType> dtype_from_name(std::string_view name) {
  return find([name](const DTypeInfo& row) { return name == row.name; });
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  return find([name](const DTypeInfo& row) { return row.safetensors && name == row.safetensors; });
}

std::optional<DType> dtype_from_gguf(int64_t id) {
  return find([id](const DTypeInfo& row) { return row.gguf >= 0 && row.gguf == id; });
}

DType to_complex(DType d) {
  if (is_complex(d)) return d;
  return d == DType::f64 ? DType::c128 : DType::c64;
}

DType to_real(DType d) {
  if (!is_complex(d)) return d;
  return d == DType::c128 ? DType::f64 : DType::f32;
}

DType default_dtype() { return default_real.load(std::memory_order_relaxed); }

void set_default_dtype(DType dtype) {
  if (!is_real(dtype)) fail("set_default_dtype: ", dtype, " is not real; use f64, f32, f16, bf16");
  default_real.store(dtype, std::memory_order_relaxed);
}

std::string to_string(DType dtype) { return info(dtype).name; }

int64_t storage_bytes(DType dtype, int64_t n) {
  const DTypeInfo& row = info(dtype);
  if (n < 0 || n % row.block != 0) {
    fail(row.name, ": a length of ", n, " is not a multiple of the block of ", row.block,
         "; choose another dtype or pad the last dimension");
  }
  int64_t bytes;
  if (__builtin_mul_overflow(n / row.block, static_cast<int64_t>(row.bytes), &bytes)) {
    fail(row.name, ": ", n, " elements are more bytes than 64 bits count; make the tensor smaller");
  }
  return bytes;
}

}  // namespace tallow
