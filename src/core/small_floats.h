// Conversions of the floats of 4 to 8 bits that safetensors and PyTorch have beside e4m3 and e5m2.
#pragma once

#include <cstdint>

namespace tallow::small_floats {

/// A power of two, 2^(b - 127), that scales a block; 255 is NaN. OCP Microscaling Formats 1.0.
void f8_e8m0_to_f32(const void* source, float* target, int64_t n);
void f8_e8m0_from_f32(const float* source, void* target, int64_t n);
/// The "fnuz" variants: no infinities, one zero, and NaN where the negative zero would be.
void f8_e4m3fnuz_to_f32(const void* source, float* target, int64_t n);
void f8_e4m3fnuz_from_f32(const float* source, void* target, int64_t n);
void f8_e5m2fnuz_to_f32(const void* source, float* target, int64_t n);
void f8_e5m2fnuz_from_f32(const float* source, void* target, int64_t n);
/// Two elements in a byte, the first in its lower half; all values are finite.
void f4_e2m1_to_f32(const void* source, float* target, int64_t n);
void f4_e2m1_from_f32(const float* source, void* target, int64_t n);
/// Four elements in three bytes, the first in the lowest bits; all values are finite.
void f6_e2m3_to_f32(const void* source, float* target, int64_t n);
void f6_e2m3_from_f32(const float* source, void* target, int64_t n);
void f6_e3m2_to_f32(const void* source, float* target, int64_t n);
void f6_e3m2_from_f32(const float* source, void* target, int64_t n);

}  // namespace tallow::small_floats
