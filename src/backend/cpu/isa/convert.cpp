// Conversion between dtypes, a vector loop per pair, compiled once per level.
#include "backend/cpu/elementwise.h"
#include "backend/cpu/isa/simd.h"
#include "core/half.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

// Through i32, since narrower integers wrap around where a real number does not fit.
template <class To, class From>
TALLOW_INLINE To cast(From x) {
  constexpr bool real_to_narrow = From(0.5) != From(0) && To(0.5) == To(0) && sizeof(To) < 4;
  if constexpr (real_to_narrow) return static_cast<To>(static_cast<int32_t>(x));
  return static_cast<To>(x);
}

template <class From, class To>
void convert(const void* from, void* to, int64_t n) {
  const From* x = static_cast<const From*>(from);
  To* y = static_cast<To*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = cast<To>(x[i]);
}
template <class From>
void to_bool(const void* from, void* to, int64_t n) {
  const From* x = static_cast<const From*>(from);
  auto* y = static_cast<uint8_t*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] != From(0);
}

void bf16_to_f32(const void* from, void* to, int64_t n) {
  const auto* x = static_cast<const uint16_t*>(from);
  float* y = static_cast<float*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = widen(x[i]);
}
void f32_to_bf16(const void* from, void* to, int64_t n) {
  const float* x = static_cast<const float*>(from);
  auto* y = static_cast<uint16_t*>(to);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_as(y + i, narrow(load(x + i)));
  for (; i < n; ++i) y[i] = narrow(x[i]);
}

void f16_to_f32(const void* from, void* to, int64_t n) {
  const auto* x = static_cast<const uint16_t*>(from);
  float* y = static_cast<float*>(to);
  int64_t i = 0;
#if TALLOW_ISA_LEVEL >= 2
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, _mm512_cvtph_ps(load_as<__m256i>(x + i)));
#elif TALLOW_ISA_LEVEL == 1
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(load_as<__m128i>(x + i)));
#endif
  for (; i < n; ++i) y[i] = tallow::f16_to_f32(x[i]);
}
void f32_to_f16(const void* from, void* to, int64_t n) {
  const float* x = static_cast<const float*>(from);
  auto* y = static_cast<uint16_t*>(to);
  int64_t i = 0;
#if TALLOW_ISA_LEVEL >= 2
  for (; i + 16 <= n; i += 16) store_as(y + i, _mm512_cvtps_ph(_mm512_loadu_ps(x + i), 0));
#elif TALLOW_ISA_LEVEL == 1
  for (; i + 8 <= n; i += 8) store_as(y + i, _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
  for (; i < n; ++i) y[i] = tallow::f32_to_f16(x[i]);
}

template <class From>
void fill_row(elementwise::ConvertLoop* row) {
  using enum DType;
  auto at = [row](DType to) -> elementwise::ConvertLoop& { return row[static_cast<int>(to)]; };
  at(f64) = convert<From, double>;
  at(f32) = convert<From, float>;
  at(i64) = convert<From, int64_t>;
  at(i32) = convert<From, int32_t>;
  at(i16) = convert<From, int16_t>;
  at(i8) = convert<From, int8_t>;
  at(u8) = convert<From, uint8_t>;
  at(boolean) = to_bool<From>;
}

}  // namespace

void fill_conversions(elementwise::ConvertTable& table) {
  using enum DType;
  auto row = [&table](DType from) { return table[static_cast<int>(from)]; };
  fill_row<double>(row(f64));
  fill_row<float>(row(f32));
  fill_row<int64_t>(row(i64));
  fill_row<int32_t>(row(i32));
  fill_row<int16_t>(row(i16));
  fill_row<int8_t>(row(i8));
  fill_row<uint8_t>(row(u8));
  fill_row<uint8_t>(row(boolean));
  row(bf16)[static_cast<int>(f32)] = bf16_to_f32;
  row(f32)[static_cast<int>(bf16)] = f32_to_bf16;
  row(f16)[static_cast<int>(f32)] = f16_to_f32;
  row(f32)[static_cast<int>(f16)] = f32_to_f16;
}

}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
