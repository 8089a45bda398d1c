// The product of weights with gathered pixels, by blocks: of pixels, so that what is gathered stays
// in the L2 cache, and of the inner dimension, so that a tile's weights stay in L1.
#include <algorithm>
#include <cmath>
#include <optional>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/gemm/panels.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kDepthStep = 320;
constexpr int64_t kBlockGroups = 16;           // of 16 pixels
constexpr int64_t kChunkBytes = 256 << 10;     // of weights that share a pair of groups
constexpr int64_t kMostTiles = 256;            // in such a chunk
constexpr int64_t kGatheredBytes = 768 << 10;  // where pixels are few

/// Groups of 16 pixels as the inner dimension walks them.
template <class T>
struct Lanes {
  const T* data;
  int64_t k_stride, group_stride;
};

void multiply(int rows, int64_t columns, int64_t k, const float* x, const float* data,
              const Lanes<float>& lanes, float* c, int64_t ldc, const float* bias, bool accumulate,
              bool relu) {
  const int64_t groups = ceil_div(columns, kGroup);
  conv_kernels().tile[rows - 1][groups - 1](
      {k, x, data, lanes.k_stride, lanes.group_stride, c, ldc, columns, bias, accumulate, relu});
}
void multiply(int rows, int64_t columns, int64_t k, const double* x, const double* data,
              const Lanes<double>& lanes, double* c, int64_t ldc, const double* bias,
              bool accumulate, bool) {
  run_tile(gemm_kernels().f64, rows, columns, k, x, data, lanes.group_stride, c, ldc, accumulate);
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
        {c, stride, c, stride, rows, columns, nullptr, residual, residual_stride, p.activation});
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
struct ConvRun {
  const Product<T>& p;
  Items items;
  std::vector<Slice> slices;
  const T* packed;  // or null
};

// One item: a block of pixels of an image, and a part of the output channels.
template <class T>
class ItemRun {
 public:
  ItemRun(const ConvRun<T>& run, int64_t index)
      : run_(run),
        p_(run.p),
        part_(index % run.items.parts),
        image_(index / run.items.parts / run.items.blocks),
        begin_(index / run.items.parts % run.items.blocks * run.items.block_pixels),
        pixels_(p_.plan, begin_, std::min(p_.plan.pixels(), begin_ + run.items.block_pixels)) {
    o0_ = part_ * run.items.part_outs, o1_ = std::min(p_.outs, o0_ + run.items.part_outs);
    c_ = p_.y + image_ * p_.outs * p_.plan.pixels() + begin_;
    c_stride_ = p_.plan.pixels();
    if (!p_.placement) return;
    c_stride_ = round_up(pixels_.count(), kGroup);
    c_ = memory(Scratch::tile, (o1_ - o0_) * c_stride_) - o0_ * c_stride_;
  }

  void run() {
    for (const Slice& s : run_.slices) {
      set_lanes(s);
      const int64_t chunk = chunk_rows(s.depth());
      for (int64_t o = o0_; o < o1_; o += chunk) {
        const int64_t end = std::min(o1_, o + chunk);
        multiply_chunk(s, o, end);
        if (&s == &run_.slices.back()) finish(o, end);
      }
    }
  }

 private:
  static T* memory(Scratch slot, int64_t count) {
    return reinterpret_cast<T*>(scratch(slot, count * static_cast<int64_t>(sizeof(T))));
  }

  // Output channels whose weights are multiplied with a pair of pixel groups in turn.
  int64_t chunk_rows(int64_t depth) const {
    const int64_t rows = run_.items.tile_rows;
    const int64_t fitting = kChunkBytes / static_cast<int64_t>(sizeof(T)) / (depth * rows + 1);
    return std::clamp<int64_t>(fitting, 1, kMostTiles) * rows;
  }

  // Where the pixels of a slice stand: in the image itself, or gathered.
  void set_lanes(const Slice& s) {
    const int64_t k = s.depth();
    const T* image = p_.x + image_ * p_.plan.channels * p_.plan.channel_stride();
    in_place_ = p_.plan.pointwise && sizeof(T) == 4 ? pixels_.count() / kGroup : 0;
    const int64_t stride = p_.plan.channel_stride();
    rows_ = {image + s.channel0 * stride + begin_, stride, kGroup};
    gathered_ = {nullptr, kGroup, padded(k) * kGroup};
    if (in_place_ == pixels_.groups()) return;
    T* target = memory(Scratch::x, (pixels_.groups() - in_place_) * gathered_.group_stride);
    pixels_.gather(image, s, in_place_, pixels_.groups(), target, gathered_.group_stride);
    gathered_.data = target;
  }

  const T* weights(const Slice& s, int64_t o, int rows, T* room) const {
    const int64_t depth = p_.plan.depth(), taps = static_cast<int64_t>(p_.plan.taps.size());
    const int64_t at = (image_ % p_.groups * p_.outs + o) * depth, k0 = s.channel0 * taps + s.tap0;
    if (run_.packed) return run_.packed + at + k0 * rows;
    interleave<T>(gemm_kernels(), rows, s.depth(), p_.w + at + k0, depth, 1, room, rows);
    return room;
  }

  void multiply_chunk(const Slice& s, int64_t from, int64_t to) {
    const int64_t k = s.depth(), step = run_.items.tile_rows;
    const bool first = &s == &run_.slices.front(), last = &s == &run_.slices.back();
    const bool relu = last && p_.activation == ConvActivation::relu && !p_.residual;
    T* room = run_.packed ? nullptr : memory(Scratch::panel, k * (to - from) + kPackSlack);
    const T* w[kMostTiles];
    for (int64_t o = from, i = 0; o < to; o += step, ++i) {
      w[i] = weights(s, o, static_cast<int>(std::min(step, to - o)), room + k * (o - from));
    }
    const int64_t most = conv_tiles<T>().groups;
    for (int64_t g = 0; g < pixels_.groups();) {
      const bool in_place = g < in_place_;
      const int64_t end = std::min(in_place ? in_place_ : pixels_.groups(), g + most);
      const Lanes<T>& lanes = in_place ? rows_ : gathered_;
      const T* data = lanes.data + (in_place ? g : g - in_place_) * lanes.group_stride;
      const int64_t columns = std::min(pixels_.count(), end * kGroup) - g * kGroup;
      for (int64_t o = from, i = 0; o < to; o += step, ++i) {
        const T* bias = p_.bias ? p_.bias + image_ % p_.groups * p_.outs + o : nullptr;
        multiply(static_cast<int>(std::min(step, to - o)), columns, k, w[i], data, lanes,
                 c_ + o * c_stride_ + g * kGroup, c_stride_, bias, !first, relu);
      }
      g = end;
    }
  }

  void finish(int64_t from, int64_t to) {
    const int64_t all = p_.plan.pixels(), row = image_ * p_.outs + from;
    T* c = c_ + from * c_stride_;
    if (needs_finish(p_)) {
      finish_rows(p_, c, c_stride_, to - from, pixels_.count(),
                  p_.residual ? p_.residual + row * all + begin_ : nullptr, all);
    }
    if (!p_.placement) return;
    const Placement& at = *p_.placement;
    place(p_.plan, at, c, c_stride_, to - from, begin_, pixels_.count(),
          p_.y + row * at.full[0] * at.full[1] * at.full[2]);
  }

  const ConvRun<T>& run_;
  const Product<T>& p_;
  int64_t part_, image_, begin_, o0_, o1_;
  Pixels pixels_;
  T* c_;  // of output channel 0
  int64_t c_stride_;
  int64_t in_place_ = 0;  // groups that are read where they stand
  Lanes<T> rows_, gathered_;
};

}  // namespace

template <class T>
std::shared_ptr<void> pack_weights(const Product<T>& p, int64_t tile_rows) {
  const int64_t depth = p.plan.depth(), tiles = ceil_div(p.outs, tile_rows);
  std::shared_ptr<std::byte> form =
      form_memory(p, (p.groups * p.outs * depth + kPackSlack) * static_cast<int64_t>(sizeof(T)));
  T* target = reinterpret_cast<T*>(form.get());
  // In order, since the slack behind a tile is written before the next one.
  for (int64_t i = 0; i < p.groups * tiles; ++i) {
    const int64_t o = i % tiles * tile_rows, at = (i / tiles * p.outs + o) * depth;
    const int rows = static_cast<int>(std::min(tile_rows, p.outs - o));
    interleave<T>(gemm_kernels(), rows, depth, p.w + at, depth, 1, target + at, rows);
  }
  return form;
}

template <class T>
void run_conv(const Product<T>& p) {
  if (p.outs == 0 || p.batch == 0 || p.plan.pixels() == 0) return;
  if constexpr (sizeof(T) == 4) {
    if (depthwise_fits(p)) return run_depthwise(p);
    if (planes_fit(p)) return run_planes(p);
    if (winograd_fits(p)) return run_winograd(p);
    if (rows_fit(p)) return run_rows(p);
    if (split_fits(p)) return run_split(p);
    if (turned_fits(p)) return run_turned(p);
  }
  ConvRun<T> run{p, cut(p), {}, nullptr};
  // Of all pixels, since a block depends on the number of threads.
  const int64_t groups = ceil_div(p.plan.pixels(), kGroup);
  const int64_t step = groups <= 4 ? kGatheredBytes / (groups * 64) : kDepthStep;
  run.slices = slices_of(p.plan, 0, p.plan.channels, step);
  std::shared_ptr<void> form;
  if (p.kept && sizeof(T) == 4) {
    form = kept_form(p, 5, [&] { return pack_weights(p, run.items.tile_rows); });
    run.packed = static_cast<const T*>(form.get());
  }
  const int64_t count = p.batch * p.groups * run.items.blocks * run.items.parts;
  over_items(count, flops_of(p), [&](int64_t i) { ItemRun<T>(run, i).run(); });
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
  std::optional<KeptForms> kept;  // not of what is trained, and so changes soon
  if (sizeof(T) == 4 && w.numel() > 0 && w.raw() == in[1].raw() && !in[1].requires_grad()) {
    product.kept = &kept.emplace(in[1]);
  }
  run_conv<T>(product);
}

template std::shared_ptr<void> pack_weights(const Product<float>&, int64_t);
template void run_conv(const Product<float>&);
template void run_conv(const Product<double>&);
template void conv_forward<float>(Inputs, const Tensor&, const ConvOptions&);
template void conv_forward<double>(Inputs, const Tensor&, const ConvOptions&);

}  // namespace tallow::cpu
