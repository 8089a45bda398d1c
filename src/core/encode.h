// Rounding f32 to block types. The backend brings the code, compiled for the processor's vectors;
// the result is the same on all of them.
#pragma once

#include <cstdint>

#include "tallow/dtype.h"

namespace tallow {

/// Blocks [0, count) of `x`. There is an importance for every column of a row, or none (null):
/// those of block b begin at importance + (first + b) % period * length of a block.
struct EncodeJob {
  const float* x;
  uint8_t* out;
  int64_t count;
  const float* importance;
  int64_t period;
  int64_t first;
};
using EncodeFn = void (*)(const EncodeJob& job);

/// By DType; null where the type has no encoder. Set by the backend.
extern EncodeFn block_encoders[kDTypeCount];

/// Rows [rows, k] of f32 to blocks, in parallel. With importance [k] the error that is made small
/// is the sum of importance * (x - rounded)^2. Types that the `gguf` package writes have its bytes
/// without one.
void encode_blocks(DType dtype, const float* x, void* out, int64_t rows, int64_t k,
                   const float* importance = nullptr);

}  // namespace tallow
