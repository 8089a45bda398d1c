// Convolutions by tiles of bf16 thirds: a block of pixels is gathered and split once, then
// multiplied with 32 output channels at a time.
#include "backend/cpu/gemm/thirds.h"

#include <algorithm>

#include "backend/cpu/conv/conv.h"

namespace tallow::cpu {

#if defined(__x86_64__)
namespace {

constexpr int64_t kBlockBytes = 700 << 10;    // of split pixels
constexpr int64_t kGatheredBytes = 64 << 10;  // between gathering and splitting
constexpr int64_t kMostGroups = 16;

struct Split {
  const Product<float>& p;
  int64_t steps;
  int64_t blocks, block_pixels, parts, part_outs;
  const uint16_t* w;
  int64_t unit() const { return steps * kSplitTile; }
  int64_t w_group() const { return ceil_div(p.outs, kGroup) * unit(); }
};

std::shared_ptr<void> split_all_weights(const Split& s) {
  const Product<float>& p = s.p;
  std::shared_ptr<std::byte> form = form_memory(p, p.groups * s.w_group() * 2);
  auto* target = reinterpret_cast<uint16_t*>(form.get());
  const int64_t units = ceil_div(p.outs, kGroup), depth = p.plan.depth();
  over_items(p.groups * units, 64.0 * static_cast<double>(p.groups * p.outs * depth),
             [&](int64_t i) {
               const int64_t o = i % units * kGroup;
               split_rows(p.w + (i / units * p.outs + o) * depth, depth,
                          static_cast<int>(std::min<int64_t>(kGroup, p.outs - o)), depth,
                          target + i * s.unit());
             });
  return form;
}

void split_block(const Split& s, const Pixels& pixels, int64_t image, uint16_t* target) {
  const Plan& plan = s.p.plan;
  const float* x = s.p.x + image * plan.channels * plan.channel_stride();
  const int64_t depth = plan.depth();
  float* gathered = nullptr;
  const int64_t together = std::clamp<int64_t>(kGatheredBytes / (depth * kGroup * 4), 1, 8);
  for (int64_t g = 0; g < pixels.groups();) {
    if (plan.pointwise && (g + 1) * kGroup <= pixels.count()) {
      split_lanes(x + pixels.begin() + g * kGroup, plan.channel_stride(), depth,
                  target + g * s.unit());
      ++g;
      continue;
    }
    if (!gathered) {
      gathered = reinterpret_cast<float*>(scratch(Scratch::rows, together * depth * kGroup * 4));
    }
    const int64_t end = std::min(pixels.groups(), g + together);
    pixels.gather(x, {0, plan.channels, 0, static_cast<int64_t>(plan.taps.size())}, g, end,
                  gathered, depth * kGroup);
    for (const float* from = gathered; g < end; ++g, from += depth * kGroup) {
      split_lanes(from, kGroup, depth, target + g * s.unit());
    }
  }
}

void run_item(const Split& s, int64_t index) {
  const Product<float>& p = s.p;
  const int64_t part = index % s.parts, image = index / s.parts / s.blocks;
  const int64_t begin = index / s.parts % s.blocks * s.block_pixels, all = p.plan.pixels();
  const int64_t o0 = part * s.part_outs, o1 = std::min(p.outs, o0 + s.part_outs);
  const Pixels pixels(p.plan, begin, std::min(all, begin + s.block_pixels));
  auto* split = reinterpret_cast<uint16_t*>(scratch(Scratch::x, pixels.groups() * s.unit() * 2));
  split_block(s, pixels, image, split);
  amx_configure();
  alignas(64) float c[kSplitWidth * kSplitWidth];
  for (int64_t o = o0; o < o1; o += kSplitWidth) {
    const int64_t rows = std::min<int64_t>(kSplitWidth, o1 - o);
    const int64_t at = (image * p.outs + o) * all + begin;
    const uint16_t* w = s.w + image % p.groups * s.w_group() + o / kGroup * s.unit();
    for (int64_t g = 0; g < pixels.groups(); g += 2) {
      const uint16_t* lanes = split + g * s.unit();
      const int64_t columns = std::min<int64_t>(kSplitWidth, pixels.count() - g * kGroup);
      split_product({s.steps,
                     {w, w + s.unit()},
                     {lanes, lanes + s.unit()},
                     c,
                     rows > kGroup ? 2 : 1,
                     columns > kGroup ? 2 : 1});
      conv_kernels().finish({.from = c,
                             .from_stride = kSplitWidth,
                             .c = p.y + at + g * kGroup,
                             .stride = all,
                             .rows = rows,
                             .columns = columns,
                             .bias = p.bias ? p.bias + image % p.groups * p.outs + o : nullptr,
                             .residual = p.residual ? p.residual + at + g * kGroup : nullptr,
                             .residual_stride = all,
                             .activation = p.activation});
    }
  }
}

void cut(Split& s) {
  const Product<float>& p = s.p;
  const int64_t threads = num_threads(), groups = ceil_div(p.plan.pixels(), kGroup);
  const int64_t images = p.batch * p.groups;
  const int64_t most = std::clamp<int64_t>(kBlockBytes / (s.unit() * 2) / 2 * 2, 2, kMostGroups);
  int64_t blocks = ceil_div(groups, most);
  s.parts = 1;
  if (images * blocks < 4 * threads) {
    if (groups >= 8 * threads) {
      blocks = round_up(blocks, threads);
    } else if (images * blocks < threads) {
      s.parts = threads;
    }
  }
  s.block_pixels = round_up(ceil_div(groups, blocks), 2) * kGroup;
  s.blocks = ceil_div(p.plan.pixels(), s.block_pixels);
  s.part_outs = round_up(ceil_div(p.outs, s.parts), kSplitWidth);
  s.parts = ceil_div(p.outs, s.part_outs);
}

}  // namespace

bool split_fits(const Product<float>& p) {
  const int64_t depth = p.plan.depth(), pixels = p.plan.pixels();
  if (isa() != Isa::amx || p.placement || pixels < 96 || p.outs < kGroup) return false;
  // Few outputs do not pay for the splitting of pixels that could be read in place.
  if (p.plan.pointwise && p.outs < 48) return false;
  return 4 * depth >= 3 * round_up(depth, kSplitDepth);
}

void run_split(const Product<float>& p) {
  Split s{p, ceil_div(p.plan.depth(), kSplitDepth), 1, 1, 1, 1, nullptr};
  const std::shared_ptr<void> form = kept_form(p, 7, [&] { return split_all_weights(s); });
  s.w = static_cast<const uint16_t*>(form.get());
  cut(s);
  over_items(p.batch * p.groups * s.blocks * s.parts, flops_of(p),
             [&](int64_t i) { run_item(s, i); });
}

#else

bool split_fits(const Product<float>&) { return false; }
void run_split(const Product<float>&) {}

#endif

}  // namespace tallow::cpu
