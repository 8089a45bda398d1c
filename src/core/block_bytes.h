// Reading the fields of blocks, for the files that expand them.
#pragma once

#include <cstdint>

#include "core/half.h"

namespace tallow::blocks {

static inline float f16_at(const uint8_t* p) {
  return f16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8));
}

static inline uint32_t u32_at(const uint8_t* p) {
  return p[0] | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

/// Runs `decode(block, 'length' floats)` over all blocks.
template <int length, int bytes, class Decode>
void each_block(const void* source, float* target, int64_t n, Decode decode) {
  const auto* block = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; i += length, block += bytes, target += length) decode(block, target);
}

}  // namespace tallow::blocks
