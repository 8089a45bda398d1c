// Convolutions of few channels to few outputs, whose pixels are not gathered tap by tap: rows of
// the input are copied once, padded and parted by the stride's remainder, and tiles read their
// lanes at any offset there.
#include <algorithm>

#include "backend/cpu/conv/conv.h"

namespace tallow::cpu {
namespace {

constexpr int64_t kBandBytes = 256 << 10;  // of copied rows
constexpr int64_t kMostDepth = 512;        // whose lanes and weights the L1 cache nearly holds

// Where copies stand: [row][channel][remainder][length].
struct Copies {
  int64_t low[2], high[2];  // the least and most of the taps
  int64_t length, row;      // elements of a copy, and of all copies of a row
  int64_t band;             // rows of outputs that are computed from one set of copies
  int64_t rows() const { return (band - 1) * step_y + high[0] - low[0] + 1; }
  int64_t step_y;
};

Copies copies_of(const Plan& plan) {
  Copies c{};
  for (int d = 0; d < 2; ++d) {
    const auto less = [d](const Tap& a, const Tap& b) { return a.at[d + 1] < b.at[d + 1]; };
    const auto [low, high] = std::minmax_element(plan.taps.begin(), plan.taps.end(), less);
    c.low[d] = low->at[d + 1], c.high[d] = high->at[d + 1];
  }
  c.length = round_up(plan.out[2], 2 * kGroup) + (c.high[1] - c.low[1]) / plan.step[2] + 2 * kGroup;
  c.row = plan.channels * plan.step[2] * c.length;
  c.step_y = plan.step[1];
  const int64_t extra = c.high[0] - c.low[0];
  const int64_t fitting = (kBandBytes / (c.row * 4) - extra) / c.step_y;
  c.band = std::clamp<int64_t>(fitting, 1, plan.out[1]);
  return c;
}

struct RowsRun {
  const Product<float>& p;
  Copies copies;
  std::vector<int32_t> offsets;  // of each tap of each channel, from the outputs' first copies
  const float* weights;
  int64_t tile_rows, bands;
};

void copy_rows(const RowsRun& run, const float* image, int64_t first, float* target) {
  const Plan& plan = run.p.plan;
  const Copies& c = run.copies;
  for (int64_t r = 0; r < c.rows(); ++r) {
    const int64_t y = first + r;
    if (y < 0 || y >= plan.in[1]) {
      std::fill_n(target, c.row, 0.f);
      target += c.row;
      continue;
    }
    for (int64_t channel = 0; channel < plan.channels; ++channel) {
      const float* from = image + channel * plan.channel_stride() + y * plan.in[2];
      for (int64_t s = 0; s < plan.step[2]; ++s, target += c.length) {
        conv_kernels().copy_every(from, plan.in[2], c.low[1] + s, plan.step[2], target, c.length);
      }
    }
  }
}

void run_band(const RowsRun& run, int64_t index) {
  const Product<float>& p = run.p;
  const Plan& plan = p.plan;
  const Copies& copies = run.copies;
  const ConvKernels& kernels = conv_kernels();
  const int64_t image = index / run.bands, group = image % p.groups, width = plan.out[2];
  const int64_t begin = index % run.bands * copies.band;
  const int64_t end = std::min(plan.out[1], begin + copies.band), depth = plan.depth();
  auto* rows = reinterpret_cast<float*>(scratch(Scratch::x, copies.rows() * copies.row * 4));
  copy_rows(run, p.x + image * plan.channels * plan.channel_stride(),
            begin * copies.step_y + copies.low[0], rows);
  const bool relu = p.activation == ConvActivation::relu && !p.residual;
  const int64_t at = image * p.outs * plan.pixels() + begin * width;
  for (int64_t y = begin; y < end; ++y) {
    const float* lanes = rows + (y - begin) * copies.step_y * copies.row;
    float* c = p.y + at + (y - begin) * width;
    for (int64_t x = 0; x < width; x += kernels.groups * kGroup) {
      const int64_t columns = std::min<int64_t>(width - x, kernels.groups * kGroup);
      for (int64_t o = 0; o < p.outs; o += run.tile_rows) {
        const int64_t count = std::min(run.tile_rows, p.outs - o);
        kernels.listed_tile[count - 1][ceil_div(columns, kGroup) - 1](
            {.k = depth,
             .x = run.weights + (group * p.outs + o) * depth,
             .w = lanes + x,
             .k_stride = 0,
             .group_stride = kGroup,
             .c = c + o * plan.pixels() + x,
             .ldc = plan.pixels(),
             .columns = columns,
             .bias = p.bias ? p.bias + group * p.outs + o : nullptr,
             .accumulate = false,
             .relu = relu,
             .offsets = run.offsets.data()});
      }
    }
  }
  if (!p.residual && (relu || p.activation == ConvActivation::none)) return;
  kernels.finish({p.y + at, plan.pixels(), p.y + at, plan.pixels(), p.outs, (end - begin) * width,
                  nullptr, p.residual ? p.residual + at : nullptr, plan.pixels(), p.activation});
}

}  // namespace

bool rows_fit(const Product<float>& p) {
  const Plan& plan = p.plan;
  const int64_t width = plan.out[2], depth = plan.depth();
  if (p.placement || plan.pointwise || !plan.planar() || plan.step[2] > 2) return false;
  if (depth == 0 || depth > kMostDepth || plan.step[0] != 1 || 8 * width < 7 * round_up(width, 16))
    return false;
  const Copies copies = copies_of(plan);
  if (copies.rows() * copies.row * 4 > 4 * kBandBytes) return false;
  return plan.channels <= 4 || p.outs <= (split_fits(p) ? 2 : 16) * kGroup;
}

void run_rows(const Product<float>& p) {
  const Plan& plan = p.plan;
  RowsRun run{p, copies_of(plan), {}, nullptr, even_rows(p.outs, conv_kernels().rows), 1};
  const Copies& c = run.copies;
  for (int64_t channel = 0; channel < plan.channels; ++channel) {
    for (const Tap& tap : plan.taps) {
      const int64_t y = tap.at[1] - c.low[0], x = tap.at[2] - c.low[1];
      run.offsets.push_back(static_cast<int32_t>(
          y * c.row + (channel * plan.step[2] + x % plan.step[2]) * c.length + x / plan.step[2]));
    }
  }
  // As many bands as share well, if that is more.
  const int64_t images = p.batch * p.groups, wanted = ceil_div(4 * num_threads(), images);
  run.bands = std::clamp(wanted, ceil_div(plan.out[1], c.band), plan.out[1]);
  run.copies.band = ceil_div(plan.out[1], run.bands);
  run.bands = ceil_div(plan.out[1], run.copies.band);
  const std::shared_ptr<void> form =
      kept_form(p, 5, [&] { return pack_weights(p, run.tile_rows); });
  run.weights = static_cast<const float*>(form.get());
  over_items(images * run.bands, flops_of(p), [&](int64_t i) { run_band(run, i); });
}

}  // namespace tallow::cpu
