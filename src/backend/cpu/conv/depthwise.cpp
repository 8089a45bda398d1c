// Depthwise convolutions: a plane of outputs from a plane of inputs.
#include <algorithm>

#include "backend/cpu/conv/conv.h"

namespace tallow::cpu {

bool depthwise_fits(const Product<float>& p) {
  const Plan& plan = p.plan;
  return plan.channels == 1 && !p.placement && !plan.pointwise && p.outs <= 4 && plan.planar() &&
         plan.taps.size() <= kMostTaps && plan.step[2] <= 2;
}

void run_depthwise(const Product<float>& p) {
  const Plan& plan = p.plan;
  const int64_t planes = p.batch * p.groups * p.outs, taps = static_cast<int64_t>(plan.taps.size());
  int64_t tap_x[kMostTaps], tap_y[kMostTaps];
  for (int64_t t = 0; t < taps; ++t) {
    tap_y[t] = plan.taps[static_cast<size_t>(t)].at[1];
    tap_x[t] = plan.taps[static_cast<size_t>(t)].at[2];
  }
  const auto run = [&](int64_t i, int64_t count) {
    const int64_t image = i / p.outs, channel = i % (p.groups * p.outs);
    conv_kernels().depthwise({.planes = count,
                              .in = p.x + image * plan.channel_stride(),
                              .height = plan.in[1],
                              .width = plan.in[2],
                              .out = p.y + i * plan.pixels(),
                              .out_height = plan.out[1],
                              .out_width = plan.out[2],
                              .step_y = plan.step[1],
                              .step_x = plan.step[2],
                              .w = p.w + channel * taps,
                              .tap_y = tap_y,
                              .tap_x = tap_x,
                              .taps = static_cast<int>(taps),
                              .bias = p.bias ? p.bias + channel : nullptr,
                              .residual = p.residual ? p.residual + i * plan.pixels() : nullptr,
                              .activation = p.activation});
  };
  const int64_t work = plan.pixels() * (taps + 4);
  parallel_for(planes, std::max<int64_t>(1, 200000 / std::max<int64_t>(work, 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end;) {
                   // Neighbours read neighbours, to the image's end, where each is read once.
                   const int64_t left = p.outs == 1 ? p.groups - i % p.groups : 1;
                   const int64_t count = std::min(end - i, left);
                   run(i, count);
                   i += count;
                 }
               });
}

}  // namespace tallow::cpu
