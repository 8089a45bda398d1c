// 3 x 3 kernels at stride 1 by Winograd's F(4 x 4, 3 x 3): 36 products instead of 144 for 16 output
// pixels. Blocks of tiles are transformed, multiplied plane by plane and transformed back, so that
// what stands between stays in the L2 cache.
#include <algorithm>

#include "backend/cpu/conv/conv.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kPlanes = 36;
constexpr int64_t kBlockBytes = 1400000;  // of both transformed blocks

struct Tiling {
  int64_t wide, high;  // tiles
  int64_t block;       // tiles of a block
  int64_t count() const { return wide * high; }
};

Tiling tiling_of(const Product<float>& p) {
  Tiling t;
  t.wide = ceil_div(p.plan.out[2], 4), t.high = ceil_div(p.plan.out[1], 4);
  const int64_t fitting = kBlockBytes / (kPlanes * 4 * (p.plan.channels + p.outs));
  const int64_t most = std::max<int64_t>(2 * kGroup, fitting / (2 * kGroup) * 2 * kGroup);
  const int64_t blocks = ceil_div(t.count(), most);
  t.block = std::min(most, round_up(ceil_div(t.count(), blocks), 2 * kGroup));
  return t;
}

// Calls f(first tile in the block, row, column, count) for the rows of tiles that [begin, end)
// cuts.
template <class F>
void for_rows(const Tiling& tiling, int64_t begin, int64_t end, const F& f) {
  for (int64_t t = begin; t < end;) {
    const int64_t row = t / tiling.wide, column = t % tiling.wide;
    const int64_t count = std::min(end - t, tiling.wide - column);
    f(t - begin, row, column, count);
    t += count;
  }
}

template <class F>
void share(int64_t n, const F& fn) {
  const int64_t grain = std::max<int64_t>(1, n / (2 * num_threads()));
  parallel_for(n, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) fn(i);
  });
}

struct Block {
  const Product<float>& p;
  const Tiling& tiling;
  const float* weights;  // of the group, [plane][tile of outs][channel][rows]
  int64_t image, begin, end;
  int64_t width;  // lanes of a row
  float *v, *m;

  void transform_inputs() const {
    const Plan& plan = p.plan;
    const int64_t channels = plan.channels, rest = width - (end - begin);
    share(channels, [&](int64_t c) {
      const float* in = p.x + (image * channels + c) * plan.channel_stride();
      float* out = v + c * width;
      for_rows(tiling, begin, end, [&](int64_t t, int64_t row, int64_t column, int64_t count) {
        conv_kernels().winograd_input({.in = in,
                                       .out = out + t,
                                       .plane = channels * width,
                                       .height = plan.in[1],
                                       .width = plan.in[2],
                                       .y = 4 * row + plan.taps[0].at[1],
                                       .x = 4 * column + plan.taps[0].at[2],
                                       .tiles = count});
      });
      for (int64_t i = 0; i < kPlanes && rest > 0; ++i) {
        std::fill_n(out + i * channels * width + width - rest, rest, 0.f);
      }
    });
  }

  void multiply() const {
    const ConvKernels& kernels = conv_kernels();
    const int64_t channels = p.plan.channels, tile_rows = even_rows(p.outs, kernels.rows);
    share(kPlanes, [&](int64_t i) {
      for (int64_t o = 0; o < p.outs; o += tile_rows) {
        const int64_t rows = std::min(tile_rows, p.outs - o);
        for (int64_t t = 0; t < width; t += kernels.groups * kGroup) {
          const int64_t columns = std::min<int64_t>(width - t, kernels.groups * kGroup);
          kernels.tile[rows - 1][ceil_div(columns, kGroup) - 1](
              {channels, weights + (i * p.outs + o) * channels, v + i * channels * width + t, width,
               kGroup, m + (i * p.outs + o) * width + t, width, columns, nullptr, false, false});
        }
      }
    });
  }

  void transform_outputs() const {
    const Plan& plan = p.plan;
    const int64_t group = image % p.groups, pixels = plan.pixels();
    share(p.outs, [&](int64_t o) {
      const int64_t at = (image * p.outs + o) * pixels;
      for_rows(tiling, begin, end, [&](int64_t t, int64_t row, int64_t column, int64_t count) {
        conv_kernels().winograd_output({.in = m + o * width + t,
                                        .out = p.y + at,
                                        .plane = p.outs * width,
                                        .height = plan.out[1],
                                        .width = plan.out[2],
                                        .y = 4 * row,
                                        .x = 4 * column,
                                        .tiles = count,
                                        .bias = p.bias ? p.bias[group * p.outs + o] : 0.f,
                                        .activation = p.activation,
                                        .residual = p.residual ? p.residual + at : nullptr});
      });
    });
  }
};

std::shared_ptr<void> transform_weights(const Product<float>& p) {
  const int64_t channels = p.plan.channels, plane = p.outs * channels;
  std::shared_ptr<std::byte> form = form_memory(p, p.groups * kPlanes * plane * 4);
  auto* target = reinterpret_cast<float*>(form.get());
  const int64_t tile_rows = even_rows(p.outs, conv_kernels().rows);
  const int64_t tiles = ceil_div(p.outs, tile_rows);
  over_items(p.groups * tiles, 100.0 * static_cast<double>(p.groups * plane), [&](int64_t i) {
    const int64_t group = i / tiles, o = i % tiles * tile_rows;
    conv_kernels().winograd_weight(p.w + (group * p.outs + o) * channels * 9, channels * 9,
                                   static_cast<int>(std::min(tile_rows, p.outs - o)), channels,
                                   target + group * kPlanes * plane + o * channels, plane);
  });
  return form;
}

}  // namespace

bool winograd_fits(const Product<float>& p) {
  const Plan& plan = p.plan;
  if (plan.taps.size() != 9 || p.placement || plan.channels < 8 || p.outs < 8) return false;
  if (plan.in[0] != 1 || plan.out[0] != 1 || plan.step[1] != 1 || plan.step[2] != 1) return false;
  for (int64_t t = 0; t < 9; ++t) {
    const Tap &tap = plan.taps[static_cast<size_t>(t)], &first = plan.taps[0];
    if (tap.at[0] != 0 || tap.at[1] != first.at[1] + t / 3 || tap.at[2] != first.at[2] + t % 3) {
      return false;
    }
  }
  // Transforms pay once the transformed weights are used often.
  const bool few = plan.pixels() <= 400 && p.outs <= 64;
  return plan.pixels() >= (p.kept ? 100 : 2000) && !(few && split_fits(p));
}

void run_winograd(const Product<float>& p) {
  const std::shared_ptr<void> weights = kept_form(p, 8, [&] { return transform_weights(p); });
  const Tiling tiling = tiling_of(p);
  const int64_t blocks = ceil_div(tiling.count(), tiling.block);
  const int64_t count = p.batch * p.groups * blocks;
  const auto run = [&](int64_t index) {
    Block block{p, tiling, nullptr, index / blocks, 0, 0, 0, nullptr, nullptr};
    block.weights = static_cast<const float*>(weights.get()) +
                    block.image % p.groups * kPlanes * p.outs * p.plan.channels;
    block.begin = index % blocks * tiling.block;
    block.end = std::min(tiling.count(), block.begin + tiling.block);
    block.width = round_up(block.end - block.begin, kGroup);
    const int64_t rows = kPlanes * block.width * 4;
    block.v = reinterpret_cast<float*>(scratch(Scratch::x, rows * p.plan.channels));
    block.m = reinterpret_cast<float*>(scratch(Scratch::tile, rows * p.outs + 64));
    block.transform_inputs();
    block.multiply();
    block.transform_outputs();
  };
  if (count < num_threads()) {
    for (int64_t i = 0; i < count; ++i) run(i);
  } else {
    over_items(count, 1e9, run);
  }
}

}  // namespace tallow::cpu
