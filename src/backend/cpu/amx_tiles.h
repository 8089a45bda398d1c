// The set-up of the AMX tile registers that all kernels with tiles use.
#pragma once

#include <cstdint>

namespace tallow::cpu {

/// What ldtilecfg reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

/// Eight tiles of 16 rows of 64 bytes.
constexpr TileConfig full_tiles() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.rows[i] = 16;
  return config;
}
// In memory: g++ 12 does not know that ldtilecfg reads all of it, and would leave stores out.
constexpr TileConfig kFullTiles = full_tiles();

}  // namespace tallow::cpu
