// The innermost loops of convolutions, one table per instruction set. The products themselves are
// tiles of gemm/kernels.h: rows are output channels, lanes are 16 neighbouring output pixels.
#pragma once

#include <cstdint>

#include "backend/cpu/gemm/kernels.h"

namespace tallow::cpu {

/// What some of the 16 lanes of a group of pixels read for one tap: lane i, where bit i of `lanes`
/// is set, element offset + i * step of a channel.
struct Run {
  int64_t offset;
  uint32_t lanes;
};

enum class ConvActivation : uint8_t { none, relu, silu };

/// c = from, rows of `columns` elements, plus bias[row], plus residual, then the activation.
struct FinishCall {
  const float* from;  ///< may be c
  int64_t from_stride;
  float* c;
  int64_t stride;
  int64_t rows, columns;
  const float* bias;      ///< or null
  const float* residual;  ///< with the rows of c, or null
  int64_t residual_stride;
  ConvActivation activation;
};

/// Where the runs of a block of pixels stand, and where they are gathered to.
struct GatherCall {
  const float* image;
  int64_t channels, channel_stride;
  const Run* runs;
  const int32_t* first;   ///< [group][taps_of_group]: the first run of a tap
  int64_t taps_of_group;  ///< by which the taps of two groups are apart in `first`
  int64_t groups, taps;
  int64_t step;  ///< between the elements of neighbouring lanes
  /// target[g * group_stride + (c * taps + t) * width + lane], zero where no run says otherwise.
  /// 16 lanes are written each time, so that with a smaller width there must be room behind.
  float* target;
  int64_t group_stride;
  int64_t width;
};

/// c [rows, columns] = (accumulate ? c : bias or 0) + x w, then max(0, c) where `relu`.
struct TileCall {
  int64_t k;
  const float* x;  ///< [k][rows]
  const float* w;  ///< element (i, lane) at i * k_stride + lane / 16 * group_stride + lane % 16
  int64_t k_stride, group_stride;
  float* c;
  int64_t ldc, columns;
  const float* bias;  ///< [rows], or null
  bool accumulate, relu;
  int x_stride = 0;                  ///< between the rows of x where it is not `rows`
  const int32_t* offsets = nullptr;  ///< [k], of listed tiles: in place of i * k_stride
};

/// A row of 6 x 6 tiles, 4 apart, of one channel: the transform of F(4 x 4, 3 x 3) and its inverse.
struct WinogradCall {
  const float* in;
  float* out;
  int64_t plane;          ///< by which the 36 values of a tile are apart
  int64_t height, width;  ///< of the image that is read or written
  int64_t y, x;           ///< where its first tile stands in that image; may be outside
  int64_t tiles;
  float bias = 0;  ///< of the inverse
  ConvActivation activation = ConvActivation::none;
  const float* residual = nullptr;  ///< as `out`, or null
};

inline constexpr int kMostTaps = 49;

/// Planes of outputs, one of inputs each; an output reads its position times the step plus each
/// tap's.
struct DepthwiseCall {
  int64_t planes;
  const float* in;
  int64_t height, width;
  float* out;
  int64_t out_height, out_width;
  int64_t step_y, step_x;  ///< step_x is 1 or 2
  const float* w;          ///< [planes][taps]
  const int64_t *tap_y, *tap_x;
  int taps;
  const float* bias;      ///< [planes], or null
  const float* residual;  ///< as out, or null
  ConvActivation activation;
};

/// What tells weights that were changed by others from those that were not.
struct Fingerprint {
  static constexpr int kLanes = 64;
  uint32_t a[kLanes] = {}, b[kLanes] = {};
  bool operator==(const Fingerprint&) const = default;
};

struct ConvKernels {
  int rows, groups;  ///< of a full tile
  void (*tile[kMaxTileRows][kMaxTileGroups])(const TileCall&);
  void (*listed_tile[kMaxTileRows][kMaxTileGroups])(const TileCall&);
  void (*gather)(const GatherCall&);
  /// target[i] = row[first + i * step] for i < length, zero outside [0, width).
  void (*copy_every)(const float* row, int64_t width, int64_t first, int64_t step, float* target,
                     int64_t length);
  void (*finish)(const FinishCall&);
  void (*fingerprint)(const uint32_t* words, int64_t count, Fingerprint& result);
  void (*depthwise)(const DepthwiseCall&);
  /// From an image to planes.
  void (*winograd_input)(const WinogradCall&);
  /// From planes to an image.
  void (*winograd_output)(const WinogradCall&);
  /// The kernels of `rows` output channels, each [channels][9] and `stride` apart, to
  /// target[plane][channel][rows].
  void (*winograd_weight)(const float* w, int64_t stride, int rows, int64_t channels, float* target,
                          int64_t plane);
};

namespace isa_portable {
extern const ConvKernels conv_kernels;
}
namespace isa_avx2 {
extern const ConvKernels conv_kernels;
}
namespace isa_avx512 {
extern const ConvKernels conv_kernels;
}

/// Those of this machine.
const ConvKernels& conv_kernels();

}  // namespace tallow::cpu
