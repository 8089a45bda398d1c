// Products of f32 by tiles of bf16. An f32 is exactly the sum of three bf16: of its upper, middle
// and lower eight bits. Six of the nine products of such thirds give the product to f32's precision
// (Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype for
// Higher-Precision Computations", 2019), and tiles compute them more than twice as fast.
#pragma once

#include <cstdint>

namespace tallow::cpu {

inline constexpr int kSplitDepth = 32;          // of a tile
inline constexpr int kSplitTile = 3 * 16 * 32;  // bf16 of a tile's three thirds
inline constexpr int kSplitWidth = 32;          // rows and columns of a product

/// c [32, 32] = w x, of which `row_tiles` and `column_tiles`, 1 or 2, are wanted.
struct SplitProduct {
  int64_t steps;              ///< of kSplitDepth
  const uint16_t* w[2];       ///< 16 output channels each: [step][third][16][32]
  const uint16_t* pixels[2];  ///< 16 pixels each: [step][third][16 pairs][16][2]
  float* c;
  int row_tiles, column_tiles;
};
void split_product(const SplitProduct& product);

/// 16 lanes of `depth` values, k_stride apart; those of the group behind them are asked for.
void split_pixels(const float* x, int64_t k_stride, int64_t depth, uint16_t* target);
/// Up to 16 rows of `depth` values, `stride` apart.
void split_weights(const float* w, int64_t stride, int rows, int64_t depth, uint16_t* target);

/// The same of pixels that stand in planes of pairs of channels, 16 of them to a block.
struct PlanesProduct {
  int64_t taps, blocks;    ///< steps: taps, whose lines are much the same, within blocks
  const int64_t* offsets;  ///< of the taps
  const uint32_t* planes;  ///< the first pixel of the first third of the first plane
  int64_t plane, third;    ///< by which planes, and thirds of them, are apart
  const uint16_t* w[2];    ///< as above
  float* c;
  int row_tiles, column_tiles;
};
void split_planes_product(const PlanesProduct& product);
/// The thirds of two lines as pairs, `third` apart; count is a multiple of 16.
void split_line(const float* low, const float* high, int64_t count, uint32_t* target,
                int64_t third);

}  // namespace tallow::cpu
