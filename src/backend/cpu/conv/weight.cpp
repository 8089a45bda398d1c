// The gradient of a convolution's weight: the product of the output's gradient with the gathered
// pixels, whose inner dimension are the pixels of all images.
#include <algorithm>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kPixelStep = 256;
constexpr int64_t kDepthStep = 256;

// [groups of 16 pixels][depth][16] as [groups of 16 of depth][pixels][16].
template <class T>
void turn(const GemmKernels& kernels, const T* gathered, int64_t pixels, int64_t depth, T* target) {
  for (int64_t k = 0; k < depth; k += kGroup) {
    const int rows = static_cast<int>(std::min<int64_t>(kGroup, depth - k));
    for (int64_t p = 0; p < pixels; p += kGroup) {
      const int64_t count = std::min<int64_t>(kGroup, pixels - p);
      interleave<T>(kernels, rows, count, gathered + (p / kGroup * depth + k) * kGroup, kGroup, 1,
                    target + (k / kGroup * pixels + p) * kGroup, kGroup);
    }
  }
}

template <class T>
struct WeightProduct {
  const Plan& plan;
  int64_t batch, groups, outs;
  const T* x;
  const T* g;
  T* result;  // [groups * outs, depth]
};

// The columns `slice` and rows [o0, o1) of one group.
template <class T>
void run_item(const WeightProduct<T>& p, int64_t group, const Slice& slice, int64_t o0,
              int64_t o1) {
  const GemmKernels& kernels = gemm_kernels();
  const Tiles<T, T, T>& tiles = conv_tiles<T>();
  const int64_t depth = slice.depth(), all = p.plan.pixels(), row = p.plan.depth();
  const int64_t taps = static_cast<int64_t>(p.plan.taps.size());
  const int64_t tile_rows = even_rows(o1 - o0, tiles.rows);
  const auto bytes = [](int64_t n) { return n * static_cast<int64_t>(sizeof(T)); };
  T* gathered = reinterpret_cast<T*>(scratch(Scratch::x, bytes(kPixelStep * depth)));
  T* turned =
      reinterpret_cast<T*>(scratch(Scratch::rows, bytes(kPixelStep * round_up(depth, kGroup))));
  T* grads =
      reinterpret_cast<T*>(scratch(Scratch::panel, bytes(kPixelStep * tile_rows + kPackSlack)));
  T* c = p.result + (group * p.outs) * row + slice.channel0 * taps + slice.tap0;
  bool accumulate = false;
  for (int64_t begin = 0; begin < all; begin += kPixelStep) {
    const Pixels pixels(p.plan, begin, std::min(all, begin + kPixelStep));
    const int64_t k = pixels.count();
    for (int64_t n = 0; n < p.batch; ++n, accumulate = true) {
      const int64_t image = n * p.groups + group;
      pixels.gather(p.x + image * p.plan.channels * p.plan.channel_stride(), slice, 0,
                    pixels.groups(), gathered, depth * kGroup);
      turn(kernels, gathered, k, depth, turned);
      for (int64_t o = o0; o < o1; o += tile_rows) {
        const int rows = static_cast<int>(std::min(tile_rows, o1 - o));
        interleave<T>(kernels, rows, k, p.g + (image * p.outs + o) * all + begin, all, 1, grads,
                      rows);
        for (int64_t j = 0; j < depth; j += tiles.groups * kGroup) {
          run_tile(tiles, rows, std::min<int64_t>(depth - j, tiles.groups * kGroup), k, grads,
                   turned + j * k, k * kGroup, c + o * row + j, row, accumulate);
        }
      }
    }
  }
}

}  // namespace

template <class T>
void conv_weight(Inputs in, const Tensor& result, const ConvOptions& o) {
  const Tensor x = in[0].to(result.dtype()).contiguous(), g = in[1].to(result.dtype()).contiguous();
  const int64_t channels = x.size(1) / o.groups, outs = g.size(1) / o.groups;
  const Plan plan =
      plan_of(o, Spatial(x.shape()), Spatial(result.shape()), Spatial(g.shape()), channels);
  const WeightProduct<T> product{plan,        x.size(0),   o.groups,        outs,
                                 x.data<T>(), g.data<T>(), result.data<T>()};
  if (result.numel() == 0) return;
  if (x.size(0) == 0 || plan.pixels() == 0) {
    std::fill_n(result.data<T>(), result.numel(), T(0));
    return;
  }
  const std::vector<Slice> slices = slices_of(plan, 0, channels, kDepthStep);
  const int64_t count = static_cast<int64_t>(slices.size());
  const int64_t few = o.groups * count < num_threads() ? num_threads() : 1;
  const int64_t part = round_up(ceil_div(outs, few), conv_tiles<T>().rows);
  const int64_t parts = ceil_div(outs, part);
  const double flops = 2.0 * static_cast<double>(result.numel()) * static_cast<double>(x.size(0)) *
                       static_cast<double>(plan.pixels());
  over_items(o.groups * count * parts, flops, [&](int64_t i) {
    const int64_t o0 = i % parts * part;
    run_item(product, i / parts / count, slices[static_cast<size_t>(i / parts % count)], o0,
             std::min(outs, o0 + part));
  });
}

template void conv_weight<float>(Inputs, const Tensor&, const ConvOptions&);
template void conv_weight<double>(Inputs, const Tensor&, const ConvOptions&);

}  // namespace tallow::cpu
