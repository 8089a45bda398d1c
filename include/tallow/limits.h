// What this machine can do at most, measured now: the yardstick beside every speed that is printed.
#pragma once

#include <cstdint>

namespace tallow {

/// Bytes per second that `threads` threads together read from memory of `bytes` in all, the best of
/// several passes. Takes up to some 0.3 s and holds that much memory; throws Error when there is
/// none.
double read_bandwidth(int64_t bytes, int threads);

/// Operations per second (a multiply-add is two) of arithmetic in registers, on all of `threads`
/// threads, with the instructions that the kernels use. Each takes some 20 ms.
double peak_f32(int threads);
/// Products of bf16: AMX, else AVX512-BF16, else what f32 gives.
double peak_bf16(int threads);
/// Products of 8-bit integers: AMX, else VNNI, else the AVX2 or portable way.
double peak_int8(int threads);

}  // namespace tallow
