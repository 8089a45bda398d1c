// Convolutions by tiles of bf16 thirds (gemm/thirds.h) whose pixels are not gathered: pairs of
// channels stand in padded planes, parted by the stride's remainders, where each tap is an offset.
// A product takes 16 neighbours of such a plane, so that the padding between rows is computed
// along.
#include <algorithm>

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/gemm/thirds.h"

namespace tallow::cpu {

#if defined(__x86_64__)
namespace {

constexpr int64_t kBandBytes = 1200 << 10;  // of planes, which stay in the L2 cache
constexpr int64_t kFewPixels = 8 * kGroup;  // of which no thread gets a part

/// A part of an input: every step-th of the rows and columns from these on.
struct Phase {
  int64_t y, x;
};

struct Planes {
  const Product<float>& p;
  std::vector<Phase> phases;
  std::vector<int64_t> offsets;  // of the taps
  int64_t width, extra_rows;     // of a plane, and those beyond the outputs'
  int64_t blocks;                // of 32 channels
  int64_t band, bands, parts, part_outs;
  const uint16_t* w = nullptr;

  explicit Planes(const Product<float>& product) : p(product) {
    const Plan& plan = p.plan;
    int64_t low[2] = {INT64_MAX, INT64_MAX}, high[2] = {INT64_MIN, INT64_MIN};
    for (const Tap& tap : plan.taps) {
      for (int d = 0; d < 2; ++d) {
        low[d] = std::min(low[d], tap.at[d + 1]), high[d] = std::max(high[d], tap.at[d + 1]);
      }
    }
    width = plan.out[2] + (high[1] - low[1]) / plan.step[2];
    extra_rows = (high[0] - low[0]) / plan.step[1];
    blocks = ceil_div(plan.channels, kSplitDepth);
    cut();
    for (const Tap& tap : plan.taps) {
      const int64_t y = tap.at[1] - low[0], x = tap.at[2] - low[1];
      const Phase phase{low[0] + y % plan.step[1], low[1] + x % plan.step[2]};
      size_t i = 0;
      while (i < phases.size() && (phases[i].y != phase.y || phases[i].x != phase.x)) ++i;
      if (i == phases.size()) phases.push_back(phase);
      offsets.push_back(static_cast<int64_t>(i) * phase_size() + y / plan.step[1] * width +
                        x / plan.step[2]);
    }
  }

  int64_t rows() const { return band + extra_rows; }
  /// Pairs of a plane: an odd number of cache lines, so that 16 planes do not meet in one set.
  int64_t plane() const { return (ceil_div(rows() * width + 2 * kGroup, 16) | 1) * 16; }
  int64_t phase_size() const { return blocks * 16 * plane(); }
  int64_t third() const { return p.plan.step[1] * p.plan.step[2] * phase_size(); }
  int64_t unit() const {  // of 16 outputs' weights
    return static_cast<int64_t>(p.plan.taps.size()) * blocks * kSplitTile;
  }
  int64_t w_group() const { return ceil_div(p.outs, kGroup) * unit(); }

 private:
  // By shape, memory and threads; sums do not depend on it.
  void cut() {
    const int64_t images = p.batch * p.groups, all = p.plan.out[1], threads = num_threads();
    band = all;
    while (band > 1 && third() * 12 > kBandBytes) band = ceil_div(band, 2);
    parts = 1;
    if (images * ceil_div(all, band) < threads) {
      if (p.plan.pixels() > kFewPixels && p.outs < 16 * kSplitWidth) {
        band = ceil_div(all, threads);
      } else {
        parts = threads;
      }
    }
    bands = ceil_div(all, band);
    band = ceil_div(all, bands);
    part_outs = round_up(ceil_div(p.outs, parts), kSplitWidth);
    parts = ceil_div(p.outs, part_outs);
  }
};

std::shared_ptr<void> split_all_weights(const Planes& s) {
  const Product<float>& p = s.p;
  std::shared_ptr<std::byte> form = form_memory(p, p.groups * s.w_group() * 2);
  auto* target = reinterpret_cast<uint16_t*>(form.get());
  const int64_t units = ceil_div(p.outs, kGroup), channels = p.plan.channels;
  const int64_t taps = static_cast<int64_t>(p.plan.taps.size());
  const int64_t depth = taps * s.blocks * kSplitDepth;
  const double cost = 64.0 * static_cast<double>(p.groups * p.outs * depth);
  over_items(p.groups * units, cost, [&](int64_t i) {
    const int64_t o = i % units * kGroup, count = std::min<int64_t>(kGroup, p.outs - o);
    const float* from = p.w + (i / units * p.outs + o) * channels * taps;
    std::vector<float> rows(static_cast<size_t>(count * depth));  // [block][tap][channel]
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t to = (c / kSplitDepth * taps + t) * kSplitDepth + c % kSplitDepth;
          rows[static_cast<size_t>(r * depth + to)] = from[(r * channels + c) * taps + t];
        }
      }
    }
    split_rows(rows.data(), depth, static_cast<int>(count), depth, target + i * s.unit());
  });
  return form;
}

// The planes of the rows that a band of outputs reads.
void fill_planes(const Planes& s, const float* image, int64_t first_row, uint32_t* target) {
  const Plan& plan = s.p.plan;
  const int64_t width = round_up(s.width, kGroup);
  std::vector<float> lines(static_cast<size_t>(2 * width));
  for (size_t i = 0; i < s.phases.size(); ++i) {
    for (int64_t c = 0; c < s.blocks * kSplitDepth; c += 2) {
      uint32_t* plane = target + static_cast<int64_t>(i) * s.phase_size() + c / 2 * s.plane();
      for (int64_t r = 0; r < s.rows(); ++r) {
        const int64_t y = (first_row + r) * plan.step[1] + s.phases[i].y;
        for (int64_t k = 0; k < 2; ++k) {
          const bool there = c + k < plan.channels && y >= 0 && y < plan.in[1];
          const float* row = image + (there ? (c + k) * plan.channel_stride() + y * plan.in[2] : 0);
          conv_kernels().copy_every(row, there ? plan.in[2] : 0, s.phases[i].x, plan.step[2],
                                    lines.data() + k * width, width);
        }
        split_line(lines.data(), lines.data() + width, width, plane + r * s.width, s.third());
      }
    }
  }
}

// A tile of results to their rows, without what was computed between those.
void finish_tile(const Planes& s, int64_t image, int64_t o, int64_t rows, int64_t first_row,
                 int64_t at, int64_t columns, const float* c) {
  const Product<float>& p = s.p;
  const int64_t all = p.plan.pixels();
  for (int64_t i = 0; i < columns;) {
    const int64_t y = (at + i) / s.width, x = (at + i) % s.width;
    const int64_t run = std::min(columns - i, s.width - x), used = std::min(run, p.plan.out[2] - x);
    const int64_t to = (image * p.outs + o) * all + (first_row + y) * p.plan.out[2] + x;
    if (used > 0) {
      conv_kernels().finish({.from = c + i,
                             .from_stride = kSplitWidth,
                             .c = p.y + to,
                             .stride = all,
                             .rows = rows,
                             .columns = used,
                             .bias = p.bias ? p.bias + image % p.groups * p.outs + o : nullptr,
                             .residual = p.residual ? p.residual + to : nullptr,
                             .residual_stride = all,
                             .activation = p.activation});
    }
    i += run;
  }
}

void run_item(const Planes& s, int64_t index) {
  const Product<float>& p = s.p;
  const int64_t part = index % s.parts, image = index / s.parts / s.bands;
  const int64_t first_row = index / s.parts % s.bands * s.band;
  const int64_t rows = std::min(s.band, p.plan.out[1] - first_row), pixels = rows * s.width;
  const int64_t o1 = std::min(p.outs, (part + 1) * s.part_outs);
  auto* planes = reinterpret_cast<uint32_t*>(scratch(Scratch::x, 3 * s.third() * 4));
  fill_planes(s, p.x + image * p.plan.channels * p.plan.channel_stride(), first_row, planes);
  amx_configure();
  alignas(64) float c[kSplitWidth * kSplitWidth];
  for (int64_t o = part * s.part_outs; o < o1; o += kSplitWidth) {
    const int64_t outs = std::min<int64_t>(kSplitWidth, o1 - o);
    const uint16_t* w = s.w + image % p.groups * s.w_group() + o / kGroup * s.unit();
    for (int64_t at = 0; at < pixels; at += kSplitWidth) {
      const int64_t columns = std::min<int64_t>(kSplitWidth, pixels - at);
      split_planes_product({.taps = static_cast<int64_t>(s.offsets.size()),
                            .blocks = s.blocks,
                            .offsets = s.offsets.data(),
                            .planes = planes + at,
                            .plane = s.plane(),
                            .third = s.third(),
                            .rows = {w, w + s.unit()},
                            .c = c,
                            .row_tiles = outs > kGroup ? 2 : 1,
                            .lane_tiles = columns > kGroup ? 2 : 1});
      finish_tile(s, image, o, outs, first_row, at, columns, c);
    }
  }
}

}  // namespace

bool planes_fit(const Product<float>& p) {
  const Plan& plan = p.plan;
  if (isa() != Isa::amx || p.placement || plan.pointwise || !plan.planar()) return false;
  // Parted planes are many, and large images are better transformed.
  if (plan.step[1] != 1 || plan.step[2] != 1 || (plan.pixels() > 1600 && winograd_fits(p))) {
    return false;
  }
  const auto filled = [](int64_t n, int64_t step) { return 4 * n >= 3 * round_up(n, step); };
  if (!filled(plan.channels, kSplitDepth) || !filled(p.outs, kGroup)) return false;
  if (!p.kept && p.batch * plan.pixels() < 4000) return false;  // weights cost more to split
  const Planes s(p);
  return plan.pixels() >= 3 * kGroup && 4 * plan.out[2] >= 3 * s.width;
}

void run_planes(const Product<float>& p) {
  Planes s(p);
  const std::shared_ptr<void> form = kept_form(p, 9, [&] { return split_all_weights(s); });
  s.w = static_cast<const uint16_t*>(form.get());
  over_items(p.batch * p.groups * s.bands * s.parts, flops_of(p),
             [&](int64_t i) { run_item(s, i); });
}

#else

bool planes_fit(const Product<float>&) { return false; }
void run_planes(const Product<float>&) {}

#endif

}  // namespace tallow::cpu
