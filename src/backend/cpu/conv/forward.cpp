// The product of weights with gathered pixels, by blocks: of pixels, so that what is gathered stays
// in the L2 cache, and of the inner dimension, so that a tile's weights stay in L1.
#include <algorithm>
#include <cmath>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kDepthStep = 320;
constexpr int64_t kBlockGroups = 16;  // of 16 pixels

void multiply(int rows, int64_t columns, int64_t k, const float* x, const float* w,
              int64_t group_stride, float* c, int64_t ldc, const float* bias, bool accumulate,
              bool relu) {
  const int64_t groups = ceil_div(columns, kGroup);
  conv_kernels().tile[rows - 1][groups - 1](
      {k, x, w, kGroup, group_stride, c, ldc, columns, bias, accumulate, relu});
}
void multiply(int rows, int64_t columns, int64_t k, const double* x, const double* w,
              int64_t group_stride, double* c, int64_t ldc, const double* bias, bool accumulate,
              bool) {
  run_tile(gemm_kernels().f64, rows, columns, k, x, w, group_stride, c, ldc, accumulate);
  if (!bias || accumulate) return;
  for (int r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; ++i) c[r * ldc + i] += bias[r];
  }
}

// Groups an odd number of cache lines apart do not meet in one set of the cache.
int64_t padded(int64_t k) { return k | 1; }

// What the tiles have not done already.
template <class T>
bool needs_finish(const Product<T>& p) {
  const bool relu_in_tile = sizeof(T) == 4 && p.activation == ConvActivation::relu;
  return p.residual || (p.activation != ConvActivation::none && !relu_in_tile);
}

template <class T>
void finish_rows(const Product<T>& p, T* c, int64_t stride, int64_t rows, int64_t columns,
                 const T* residual, int64_t residual_stride) {
  if constexpr (sizeof(T) == 4) {
    conv_kernels().finish(
        {c, stride, rows, columns, nullptr, residual, residual_stride, p.activation});
  } else {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < columns; ++i) {
        T v = c[r * stride + i] + (residual ? residual[r * residual_stride + i] : T(0));
        if (p.activation == ConvActivation::relu && v < 0) v = 0;
        if (p.activation == ConvActivation::silu) v = v / (1 + std::exp(-v));
        c[r * stride + i] = v;
      }
    }
  }
}

// Rows of c to their places among strided results.
template <class T>
void place(const Plan& plan, const Placement& at, const T* c, int64_t stride, int64_t rows,
           int64_t begin, int64_t count, T* y) {
  const int64_t full = at.full[0] * at.full[1] * at.full[2];
  for (int64_t i = 0; i < count;) {
    const int64_t p = begin + i, w = p % plan.out[2], line = p / plan.out[2];
    const int64_t h = line % plan.out[1], d = line / plan.out[1];
    const int64_t run = std::min(count - i, plan.out[2] - w);
    T* to = y +
            ((at.origin[0] + d * at.step[0]) * at.full[1] + at.origin[1] + h * at.step[1]) *
                at.full[2] +
            at.origin[2] + w * at.step[2];
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < run; ++j) to[r * full + j * at.step[2]] = c[r * stride + i + j];
    }
    i += run;
  }
}

// How the work is cut: items are (image, group, block of pixels, part of the output channels).
struct Items {
  int64_t blocks, block_pixels, parts, part_outs, tile_rows;
};

template <class T>
Items cut(const Product<T>& p) {
  const int64_t threads = num_threads();
  const int64_t pixel_groups = ceil_div(p.plan.pixels(), kGroup);
  const int64_t images = p.batch * p.groups;
  int64_t blocks = std::max<int64_t>(1, ceil_div(pixel_groups, kBlockGroups));
  int64_t parts = 1;
  if (threads > 1 && images * blocks < 4 * threads) {
    if (images * pixel_groups >= 8 * threads) {
      blocks = std::min(round_up(blocks, threads), pixel_groups);
    } else if (images < threads) {
      parts = threads;
    }
  }
  Items items;
  items.tile_rows = even_rows(p.outs, conv_tiles<T>().rows);
  const int64_t tiles = std::max<int64_t>(1, ceil_div(p.outs, items.tile_rows));
  parts = std::min(parts, tiles);
  items.part_outs = ceil_div(tiles, parts) * items.tile_rows;
  items.parts = std::max<int64_t>(1, ceil_div(p.outs, items.part_outs));
  items.block_pixels = ceil_div(pixel_groups, blocks) * kGroup;
  items.blocks = items.block_pixels == 0 ? 0 : ceil_div(p.plan.pixels(), items.block_pixels);
  return items;
}

template <class T>
void run_item(const Product<T>& p, const Items& items, const std::vector<Slice>& slices,
              int64_t index) {
  const int64_t part = index % items.parts, block = index / items.parts % items.blocks;
  const int64_t image = index / items.parts / items.blocks, group = image % p.groups;
  const int64_t o0 = part * items.part_outs, o1 = std::min(p.outs, o0 + items.part_outs);
  const int64_t all = p.plan.pixels(), begin = block * items.block_pixels;
  const Pixels pixels(p.plan, begin, std::min(all, begin + items.block_pixels));
  const GemmKernels& kernels = gemm_kernels();
  const Tiles<T, T, T>& tiles = conv_tiles<T>();
  const int64_t taps = static_cast<int64_t>(p.plan.taps.size()), depth = p.plan.depth();
  const T* x = p.x + image * p.plan.channels * p.plan.channel_stride();
  const T* w = p.w + group * p.outs * depth;
  int64_t most = 0;
  for (const Slice& s : slices) most = std::max(most, s.depth());
  const auto bytes = [](int64_t n) { return n * static_cast<int64_t>(sizeof(T)); };
  T* gathered =
      reinterpret_cast<T*>(scratch(Scratch::x, bytes(pixels.groups() * padded(most) * kGroup)));
  T* rows_of_w =
      reinterpret_cast<T*>(scratch(Scratch::panel, bytes(most * items.tile_rows + kPackSlack)));
  T* c = p.y + image * p.outs * all + begin;
  int64_t c_stride = all;
  if (p.placement) {
    c_stride = round_up(pixels.count(), kGroup);
    c = reinterpret_cast<T*>(scratch(Scratch::tile, bytes((o1 - o0) * c_stride)));
    c -= o0 * c_stride;
  }
  const bool relu = p.activation == ConvActivation::relu && !p.residual;
  for (const Slice& s : slices) {
    const bool first = &s == &slices.front(), last = &s == &slices.back();
    const int64_t k = s.depth();
    const int64_t group_stride = padded(k) * kGroup;
    pixels.gather(x, s, gathered, group_stride);
    for (int64_t o = o0; o < o1; o += items.tile_rows) {
      const int rows = static_cast<int>(std::min(items.tile_rows, o1 - o));
      interleave<T>(kernels, rows, k, w + o * depth + s.channel0 * taps + s.tap0, depth, 1,
                    rows_of_w, rows);
      const T* bias = p.bias ? p.bias + group * p.outs + o : nullptr;
      for (int64_t g = 0; g < pixels.groups(); g += tiles.groups) {
        const int64_t columns =
            std::min<int64_t>(pixels.count() - g * kGroup, tiles.groups * kGroup);
        multiply(rows, columns, k, rows_of_w, gathered + g * group_stride, group_stride,
                 c + o * c_stride + g * kGroup, c_stride, bias, !first, last && relu);
      }
      if (!last) continue;
      const T* residual = p.residual ? p.residual + (image * p.outs + o) * all + begin : nullptr;
      if (needs_finish(p)) {
        finish_rows(p, c + o * c_stride, c_stride, rows, pixels.count(), residual, all);
      }
      if (!p.placement) continue;
      const Placement& at = *p.placement;
      place(p.plan, at, c + o * c_stride, c_stride, rows, begin, pixels.count(),
            p.y + (image * p.outs + o) * at.full[0] * at.full[1] * at.full[2]);
    }
  }
}

}  // namespace

template <class T>
void run_conv(const Product<T>& p) {
  if (p.outs == 0 || p.batch == 0 || p.plan.pixels() == 0) return;
  if constexpr (sizeof(T) == 4) {
    if (winograd_fits(p)) return run_winograd(p);
  }
  const Items items = cut(p);
  const std::vector<Slice> slices = slices_of(p.plan, 0, p.plan.channels, kDepthStep);
  const int64_t count = p.batch * p.groups * items.blocks * items.parts;
  const double flops = 2.0 * static_cast<double>(p.batch * p.groups * p.outs) *
                       static_cast<double>(p.plan.pixels()) * static_cast<double>(p.plan.depth());
  over_items(count, flops, [&](int64_t i) { run_item(p, items, slices, i); });
}

// What others own may change without notice, and what is trained will soon.
static bool keeps_forms(const Tensor& weight) {
  return weight.buffer()->kind() != Buffer::Kind::borrowed && !weight.requires_grad();
}

template <class T>
void conv_forward(Inputs in, const Tensor& y, const ConvOptions& o) {
  const Tensor x = in[0].to(y.dtype()).contiguous(), w = in[1].to(y.dtype()).contiguous();
  const Tensor bias = in[2] ? in[2].to(y.dtype()).contiguous() : Tensor();
  const Tensor residual = in[3] ? in[3].to(y.dtype()).contiguous() : Tensor();
  const int64_t channels = w.size(1), outs = w.size(0) / o.groups;
  const Plan plan =
      plan_of(o, Spatial(x.shape()), Spatial(w.shape()), Spatial(y.shape()), channels);
  Product<T> product{plan,
                     x.size(0),
                     o.groups,
                     outs,
                     x.data<T>(),
                     w.data<T>(),
                     bias ? bias.data<T>() : nullptr,
                     residual ? residual.data<T>() : nullptr,
                     static_cast<ConvActivation>(o.activation),
                     y.data<T>()};
  if (keeps_forms(in[1]) && w.raw() == in[1].raw()) {
    product.kept = in[1].buffer().get(), product.kept_offset = in[1].offset();
  }
  run_conv<T>(product);
}

template void run_conv(const Product<float>&);
template void run_conv(const Product<double>&);
template void conv_forward<float>(Inputs, const Tensor&, const ConvOptions&);
template void conv_forward<double>(Inputs, const Tensor&, const ConvOptions&);

}  // namespace tallow::cpu
