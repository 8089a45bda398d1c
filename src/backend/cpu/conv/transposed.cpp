// Transposed convolutions. The outputs whose position leaves one remainder by the stride all read
// the same taps at neighbouring inputs: each such phase is a convolution of its own, so that no
// product with an inserted zero is computed.
#include <algorithm>

#include "backend/cpu/conv/conv.h"

namespace tallow::cpu {
namespace {

struct Phase {
  Plan plan;
  std::vector<int64_t> taps;  // indices in the kernel
  Placement at;
};

// The taps of one dimension that reach outputs of a remainder, and where they read.
struct Line {
  std::vector<int64_t> taps, at;
  int64_t count;  // outputs
};

Line line_of(const ConvOptions& o, int d, int64_t kernel, int64_t out, int64_t remainder) {
  Line line;
  line.count = out <= remainder ? 0 : ceil_div(out - remainder, o.stride[d]);
  for (int64_t k = kernel - 1; k >= 0; --k) {  // in the order in which they read
    const int64_t from = remainder + o.padding[d] - k * o.dilation[d];
    if (from % o.stride[d] != 0) continue;
    line.taps.push_back(k), line.at.push_back(from / o.stride[d]);
  }
  return line;
}

Phase phase_of(const ConvOptions& o, const Spatial& in, const Spatial& kernel, const Spatial& out,
               int64_t channels, const int64_t (&remainder)[3]) {
  Phase phase;
  Line lines[3];
  for (int d = 0; d < 3; ++d) {
    lines[d] = line_of(o, d, kernel.size[d], out.size[d], remainder[d]);
    phase.plan.in[d] = in.size[d], phase.plan.out[d] = lines[d].count, phase.plan.step[d] = 1;
    phase.at.step[d] = o.stride[d], phase.at.origin[d] = remainder[d];
    phase.at.full[d] = out.size[d];
  }
  phase.plan.channels = channels;
  for (size_t d = 0; d < lines[0].taps.size(); ++d) {
    for (size_t h = 0; h < lines[1].taps.size(); ++h) {
      for (size_t w = 0; w < lines[2].taps.size(); ++w) {
        phase.plan.taps.push_back({{lines[0].at[d], lines[1].at[h], lines[2].at[w]}});
        phase.taps.push_back((lines[0].taps[d] * kernel.size[1] + lines[1].taps[h]) *
                                 kernel.size[2] +
                             lines[2].taps[w]);
      }
    }
  }
  return phase;
}

// The weights of a phase, [channels, outs, kernel] of each group as [outs, channels, taps].
template <class T>
Tensor phase_weights(const Tensor& w, const Phase& phase, int64_t groups) {
  const int64_t channels = w.size(0) / groups, outs = w.size(1);
  const int64_t taps = static_cast<int64_t>(phase.taps.size());
  const int64_t kernel = Spatial(w.shape()).numel();
  const Tensor result = Tensor::empty({groups * outs, channels, taps}, w.dtype());
  const T* from = w.data<T>();
  T* to = result.data<T>();
  over_items(groups * outs, 1e3 * static_cast<double>(result.numel()), [&](int64_t i) {
    const int64_t group = i / outs, o = i % outs;
    for (int64_t c = 0; c < channels; ++c) {
      const T* source = from + ((group * channels + c) * outs + o) * kernel;
      T* target = to + (i * channels + c) * taps;
      for (int64_t t = 0; t < taps; ++t) target[t] = source[phase.taps[static_cast<size_t>(t)]];
    }
  });
  return result;
}

}  // namespace

template <class T>
void conv_transposed(Inputs in, const Tensor& y, const ConvOptions& o) {
  const Tensor x = in[0].to(y.dtype()).contiguous(), w = in[1].to(y.dtype()).contiguous();
  const Tensor bias = in[2] ? in[2].to(y.dtype()).contiguous() : Tensor();
  const int64_t channels = w.size(0) / o.groups, outs = w.size(1);
  const Spatial out(y.shape()), kernel(w.shape());
  int64_t phases[3];
  for (int d = 0; d < 3; ++d) phases[d] = std::min(o.stride[d], out.size[d]);
  const bool one = o.stride[0] * o.stride[1] * o.stride[2] == 1;
  for (int64_t i = 0; i < phases[0] * phases[1] * phases[2]; ++i) {
    const int64_t remainder[3] = {i / phases[2] / phases[1], i / phases[2] % phases[1],
                                  i % phases[2]};
    const Phase phase = phase_of(o, Spatial(x.shape()), kernel, out, channels, remainder);
    const Tensor weights = phase_weights<T>(w, phase, o.groups);
    run_conv<T>({phase.plan, x.size(0), o.groups, outs, x.data<T>(), weights.data<T>(),
                 bias ? bias.data<T>() : nullptr, nullptr, ConvActivation::none, y.data<T>(),
                 one ? nullptr : &phase.at});
  }
}

template void conv_transposed<float>(Inputs, const Tensor&, const ConvOptions&);
template void conv_transposed<double>(Inputs, const Tensor&, const ConvOptions&);

}  // namespace tallow::cpu
