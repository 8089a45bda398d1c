// Which lanes of a group of pixels read what, and the plan of a plain convolution.
#include "backend/cpu/conv/plan.h"

#include <algorithm>

#include "backend/cpu/kernels.h"

namespace tallow::cpu {

const ConvKernels& conv_kernels() {
  static const ConvKernels& chosen = TALLOW_BY_ISA(conv_kernels);
  return chosen;
}

Plan plan_of(const ConvOptions& o, const Spatial& in, const Spatial& kernel, const Spatial& out,
             int64_t channels) {
  Plan plan;
  std::copy_n(in.size, 3, plan.in);
  std::copy_n(out.size, 3, plan.out);
  std::copy_n(o.stride, 3, plan.step);
  plan.channels = channels;
  plan.taps.reserve(static_cast<size_t>(kernel.numel()));
  for (int64_t d = 0; d < kernel.size[0]; ++d) {
    for (int64_t h = 0; h < kernel.size[1]; ++h) {
      for (int64_t w = 0; w < kernel.size[2]; ++w) {
        plan.taps.push_back({{d * o.dilation[0] - o.padding[0], h * o.dilation[1] - o.padding[1],
                              w * o.dilation[2] - o.padding[2]}});
      }
    }
  }
  const bool pointwise = kernel.numel() == 1 && o.padding[0] + o.padding[1] + o.padding[2] == 0 &&
                         o.stride[0] * o.stride[1] * o.stride[2] == 1 &&
                         std::equal(in.size, in.size + 3, out.size);
  plan.pointwise = pointwise;
  if (pointwise) {  // one long row
    plan.in[2] = plan.out[2] = in.numel();
    plan.in[0] = plan.in[1] = plan.out[0] = plan.out[1] = 1;
  }
  return plan;
}

bool Plan::planar() const {
  return in[0] == 1 && out[0] == 1 && !taps.empty() &&
         std::all_of(taps.begin(), taps.end(), [](const Tap& tap) { return tap.at[0] == 0; });
}

std::vector<Slice> slices_of(const Plan& plan, int64_t channel0, int64_t channel1, int64_t step) {
  std::vector<Slice> slices;
  const int64_t taps = static_cast<int64_t>(plan.taps.size());
  if (taps > 2 * step) {
    for (int64_t c = channel0; c < channel1; ++c) {
      for (int64_t t = 0; t < taps; t += step) {
        slices.push_back({c, c + 1, t, std::min(taps, t + step)});
      }
    }
  } else {
    const int64_t most = std::max<int64_t>(1, step / std::max<int64_t>(taps, 1));
    const int64_t count = channel1 - channel0;
    const int64_t width = ceil_div(count, std::max<int64_t>(1, ceil_div(count, most)));
    for (int64_t c = channel0; c < channel1; c += width) {
      slices.push_back({c, std::min(channel1, c + width), 0, taps});
    }
  }
  if (slices.empty()) slices.push_back({channel0, channel0, 0, 0});
  return slices;
}

Pixels::Pixels(const Plan& plan, int64_t begin, int64_t end, int width)
    : plan_(plan), begin_(begin), end_(end), width_(width) {
  first_.reserve(static_cast<size_t>(groups()) * plan.taps.size() + 1);
  runs_.reserve(static_cast<size_t>(2 * groups()) * plan.taps.size());
  inside_.reserve(plan.taps.size());
  for (const Tap& tap : plan.taps) {
    const int64_t room = plan.in[2] - tap.at[2];
    inside_.push_back({tap.at[2] >= 0 ? 0 : ceil_div(-tap.at[2], plan.step[2]),
                       room <= 0 ? 0 : ceil_div(room, plan.step[2])});
  }
  for (int64_t p = begin; p < end; p += width_) add_group(p, std::min(end, p + width_));
  first_.push_back(static_cast<int32_t>(runs_.size()));
}

void Pixels::add_group(int64_t begin, int64_t end) {
  struct Row {
    int64_t d, h, w;
    int lane, count;
  };
  Row rows[kGroup];
  int row_count = 0;
  const int64_t width = plan_.out[2], height = plan_.out[1];
  for (int64_t p = begin; p < end;) {
    const int64_t w = p % width, line = p / width;
    const int64_t count = std::min(end - p, width - w);
    rows[row_count++] = {line / height, line % height, w, static_cast<int>(p - begin),
                         static_cast<int>(count)};
    p += count;
  }
  const int64_t step = plan_.step[2];
  for (size_t t = 0; t < plan_.taps.size(); ++t) {
    const Tap& tap = plan_.taps[t];
    first_.push_back(static_cast<int32_t>(runs_.size()));
    const auto [low, high] = inside_[t];
    for (int i = 0; i < row_count; ++i) {
      const Row& row = rows[i];
      const int64_t d = row.d * plan_.step[0] + tap.at[0], h = row.h * plan_.step[1] + tap.at[1];
      if (d < 0 || d >= plan_.in[0] || h < 0 || h >= plan_.in[1]) continue;
      const int64_t from = std::max(low, row.w), to = std::min(high, row.w + row.count);
      if (from >= to) continue;
      const uint32_t bits = (1u << (to - from)) - 1;
      runs_.push_back({(d * plan_.in[1] + h) * plan_.in[2] + (row.w - row.lane) * step + tap.at[2],
                       bits << (row.lane + (from - row.w))});
    }
  }
}

void Pixels::gather(const float* image, const Slice& slice, int64_t group, int64_t end,
                    float* target, int64_t group_stride) const {
  conv_kernels().gather({.image = image + slice.channel0 * plan_.channel_stride(),
                         .channels = slice.channel1 - slice.channel0,
                         .channel_stride = plan_.channel_stride(),
                         .runs = runs_.data(),
                         .first = first(group, slice.tap0),
                         .taps_of_group = static_cast<int64_t>(plan_.taps.size()),
                         .groups = end - group,
                         .taps = slice.tap1 - slice.tap0,
                         .step = plan_.step[2],
                         .target = target,
                         .group_stride = group_stride,
                         .width = width_});
}

void Pixels::gather(const double* image, const Slice& slice, int64_t group, int64_t end, double* to,
                    int64_t group_stride) const {
  for (int64_t g = group; g < end; ++g, to += group_stride) {
    double* target = to;
    const int32_t* first_run = first(g, slice.tap0);
    for (int64_t c = slice.channel0; c < slice.channel1; ++c) {
      const double* channel = image + c * plan_.channel_stride();
      for (int64_t t = 0; t < slice.tap1 - slice.tap0; ++t, target += kGroup) {
        std::fill(target, target + kGroup, 0.0);
        for (int32_t r = first_run[t]; r < first_run[t + 1]; ++r) {
          const Run& run = runs_[static_cast<size_t>(r)];
          for (int i = 0; i < kGroup; ++i) {
            if (run.lanes >> i & 1) target[i] = channel[run.offset + i * plan_.step[2]];
          }
        }
      }
    }
  }
}

}  // namespace tallow::cpu
