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

/// rows of `columns` elements, `stride` apart: plus bias[row], plus residual, then the activation.
struct FinishCall {
  float* c;
  int64_t stride;
  int64_t rows, columns;
  const float* bias;      ///< or null
  const float* residual;  ///< with the rows of c, or null
  int64_t residual_stride;
  ConvActivation activation;
};

struct ConvKernels {
  /// target[c][tap] = the 16 lanes, zero where no run says otherwise; the runs of tap t are
  /// runs[first[t] .. first[t + 1]).
  void (*gather)(const float* image, int64_t channels, int64_t channel_stride, const Run* runs,
                 const int32_t* first, int64_t taps, int64_t step, float* target);
  void (*finish)(const FinishCall& call);
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
