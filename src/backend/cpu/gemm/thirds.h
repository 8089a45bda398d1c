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

/// c [32, 32] = rows x lanes, of which `row_tiles` and `lane_tiles`, 1 or 2, are wanted.
struct SplitProduct {
  int64_t steps;             ///< of kSplitDepth
  const uint16_t* rows[2];   ///< 16 rows each: [step][third][16][32]
  const uint16_t* lanes[2];  ///< 16 lanes each: [step][third][16 pairs][16][2]
  float* c;
  int row_tiles, lane_tiles;
  int64_t ldc = kSplitWidth;
};
void split_product(const SplitProduct& product);

/// 16 lanes of `depth` values, k_stride apart; those of the group behind them are asked for. Raises
/// `largest`, where there is one, to the bits of the largest magnitude.
void split_lanes(const float* x, int64_t k_stride, int64_t depth, uint16_t* target,
                 uint32_t* largest = nullptr);
/// Up to 16 rows of `depth` values, `stride` apart.
void split_rows(const float* x, int64_t stride, int rows, int64_t depth, uint16_t* target,
                uint32_t* largest = nullptr);
/// c += from for rows of `columns`, those of `from` kSplitWidth apart.
void add_sums(const float* from, int64_t rows, int64_t columns, float* c, int64_t ldc);

/// The bits of the largest magnitude of n values.
uint32_t largest_magnitude(const float* x, int64_t n);
/// Whether thirds carry all that f32 would of a product of length k, by the largest magnitudes of
/// both sides: no infinity, NaN or overflow, and no third too small for f32.
bool thirds_carry(double x, double w, int64_t k);

/// split_product of lanes that are pixels in planes of pairs of channels, 16 pairs to a block.
struct PlanesProduct {
  int64_t taps, blocks;     ///< steps: taps, whose lines are much the same, within blocks
  const int64_t* offsets;   ///< of the taps
  const uint32_t* planes;   ///< the first pixel of the first third of the first plane
  int64_t plane, third;     ///< by which planes, and thirds of them, are apart
  const uint16_t* rows[2];  ///< as above: output channels
  float* c;
  int row_tiles, lane_tiles;
};
void split_planes_product(const PlanesProduct& product);
/// The thirds of two lines as pairs, `third` apart; count is a multiple of 16.
void split_line(const float* low, const float* high, int64_t count, uint32_t* target,
                int64_t third);

}  // namespace tallow::cpu
