// The product for images of few pixels, turned around: rows are pixels and lanes output channels,
// since 49 pixels fill four vectors badly, but four tiles of 13 rows well.
#include <algorithm>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kDepthStep = 256;
constexpr int64_t kLongStep = 8192;
constexpr int64_t kMostPixels = 8 * kGroup;

struct Turned {
  const Product<float>& p;
  std::vector<Slice> slices;
  int64_t parts, part_outs;
  int64_t tile_rows;    // pixels
  const float* packed;  // weights as [group][16 outs][depth][16], or null
  int64_t packed_group;
};

// The weights of two groups of output channels for one slice.
struct Panel {
  const float* data;
  int64_t group_stride;
};

Panel panel_of(const Turned& t, int64_t group, int64_t o, int64_t outs, const Slice& s) {
  const int64_t depth = t.p.plan.depth();
  const int64_t k0 = s.channel0 * static_cast<int64_t>(t.p.plan.taps.size()) + s.tap0;
  if (t.packed)
    return {t.packed + group * t.packed_group + o * depth + k0 * kGroup, depth * kGroup};
  const int64_t stride = s.depth() * kGroup;
  auto* room = reinterpret_cast<float*>(scratch(Scratch::panel, 2 * stride * 4));
  for (int64_t i = 0; i < outs; i += kGroup) {
    interleave<float>(gemm_kernels(), static_cast<int>(std::min<int64_t>(kGroup, outs - i)),
                      s.depth(), t.p.w + (group * t.p.outs + o + i) * depth + k0, depth, 1,
                      room + i / kGroup * stride, kGroup);
  }
  return {room, stride};
}

// c [pixels, 2 * 16] to rows of y, with what follows the product.
void finish(const Turned& t, int64_t image, int64_t o, int64_t outs, const float* c) {
  const Product<float>& p = t.p;
  const int64_t pixels = p.plan.pixels(), at = (image * p.outs + o) * pixels;
  alignas(64) float rows[2 * kGroup * kMostPixels];
  for (int64_t i = 0; i < pixels; i += kGroup) {
    const int count = static_cast<int>(std::min<int64_t>(kGroup, pixels - i));
    gemm_kernels().interleave_32(count, outs, reinterpret_cast<const uint32_t*>(c + i * 2 * kGroup),
                                 2 * kGroup, reinterpret_cast<uint32_t*>(rows + i), kMostPixels);
  }
  conv_kernels().finish({rows, kMostPixels, p.y + at, pixels, outs, pixels,
                         p.bias ? p.bias + image % p.groups * p.outs + o : nullptr,
                         p.residual ? p.residual + at : nullptr, pixels, p.activation});
}

void run_item(const Turned& t, int64_t index) {
  const Product<float>& p = t.p;
  const int64_t image = index / t.parts, group = image % p.groups;
  const int64_t o0 = index % t.parts * t.part_outs, o1 = std::min(p.outs, o0 + t.part_outs);
  const Pixels pixels(p.plan, 0, p.plan.pixels(), static_cast<int>(t.tile_rows));
  const int64_t depth = p.plan.depth(), tile = depth * t.tile_rows + kPackSlack;
  auto* gathered = reinterpret_cast<float*>(scratch(Scratch::x, pixels.groups() * tile * 4));
  const float* x = p.x + image * p.plan.channels * p.plan.channel_stride();
  int64_t k0 = 0;
  for (const Slice& s : t.slices) {
    pixels.gather(x, s, 0, pixels.groups(), gathered + k0 * t.tile_rows, tile);
    k0 += s.depth();
  }
  alignas(64) float c[kMostPixels * 2 * kGroup];
  const ConvKernels& kernels = conv_kernels();
  const int64_t width = std::min<int64_t>(kernels.groups, 2) * kGroup;
  for (int64_t o = o0; o < o1; o += 2 * kGroup) {
    const int64_t outs = std::min<int64_t>(2 * kGroup, o1 - o);
    k0 = 0;
    for (const Slice& s : t.slices) {
      const Panel w = panel_of(t, group, o, outs, s);
      for (int64_t j = 0; j < round_up(outs, kGroup); j += width) {
        const int64_t columns = std::min(width, round_up(outs, kGroup) - j);
        for (int64_t g = 0; g < pixels.groups(); ++g) {
          const int64_t rows = std::min(t.tile_rows, pixels.count() - g * t.tile_rows);
          kernels.tile[rows - 1][columns / kGroup - 1](
              {s.depth(), gathered + g * tile + k0 * t.tile_rows,
               w.data + j / kGroup * w.group_stride, kGroup, w.group_stride,
               c + g * t.tile_rows * 2 * kGroup + j, 2 * kGroup, columns, nullptr, k0 > 0, false,
               static_cast<int>(t.tile_rows)});
        }
      }
      k0 += s.depth();
    }
    finish(t, image, o, outs, c);
  }
}

std::shared_ptr<void> pack_weights(const Product<float>& p, int64_t group_size) {
  std::shared_ptr<void> form = packed_memory(p.groups * group_size * 4);
  const int64_t depth = p.plan.depth();
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t o = 0; o < p.outs; o += kGroup) {
      interleave<float>(gemm_kernels(), static_cast<int>(std::min<int64_t>(kGroup, p.outs - o)),
                        depth, p.w + (g * p.outs + o) * depth, depth, 1,
                        static_cast<float*>(form.get()) + g * group_size + o * depth, kGroup);
    }
  }
  return form;
}

double filled(int64_t n, int64_t width) {
  return static_cast<double>(n) / static_cast<double>(round_up(n, width));
}

}  // namespace

bool turned_fits(const Product<float>& p) {
  const int64_t pixels = p.plan.pixels(), rows = conv_kernels().rows;
  if (p.placement || pixels > kMostPixels || p.outs < kGroup || pixels < 4) return false;
  const double turned = filled(pixels, even_rows(pixels, rows)) * filled(p.outs, kGroup);
  return turned > 1.08 * filled(pixels, kGroup) * filled(p.outs, even_rows(p.outs, rows));
}

void run_turned(const Product<float>& p) {
  // Weights that are packed on the way are read in long rows.
  const bool packs = p.kept && !p.kept->shared();
  const int64_t step = packs ? kDepthStep : kLongStep;
  Turned t{p, slices_of(p.plan, 0, p.plan.channels, step), 1, p.outs, 1, nullptr, 0};
  t.tile_rows = even_rows(p.plan.pixels(), conv_kernels().rows);
  t.packed_group = round_up(p.outs, kGroup) * p.plan.depth();
  std::shared_ptr<void> form;
  if (packs) {
    form = kept_form(p, 6, [&] { return pack_weights(p, t.packed_group); });
    t.packed = static_cast<const float*>(form.get());
  }
  if (p.batch * p.groups < num_threads()) t.parts = num_threads();
  t.part_outs = round_up(ceil_div(p.outs, t.parts), 2 * kGroup);
  t.parts = ceil_div(p.outs, t.part_outs);
  over_items(p.batch * p.groups * t.parts, flops_of(p), [&](int64_t i) { run_item(t, i); });
}

}  // namespace tallow::cpu
