#include "backend/cpu/sdpa/split_head.h"

#include <bit>

#include "backend/cpu/gemm/driver.h"
#include "backend/cpu/gemm/thirds.h"
#include "backend/cpu/kernels.h"

namespace tallow::cpu {

#if defined(__x86_64__)

namespace {

constexpr int64_t kLeastRows = 64;  // of queries and keys, for which splitting is repaid

double magnitude(uint32_t bits) { return double{std::bit_cast<float>(bits)}; }

}  // namespace

SplitHead::SplitHead(const HeadRows<float>& k, const HeadRows<float>& v)
    : rows_(k.rows), dim_(k.dim) {
  const int64_t groups = round_up(k.rows, kAttentionChunk) / kGroup;
  const int64_t unit = ceil_div(k.dim, kSplitDepth) * kSplitTile;  // of 16 keys
  const int64_t features = round_up(v.dim, kSplitDepth);
  const int64_t values = features / kGroup * groups / 2 * kSplitTile;
  auto* memory = reinterpret_cast<uint16_t*>(scratch(Scratch::x, (groups * unit + values) * 2));
  keys_ = memory, values_ = memory + groups * unit;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t at = g * kGroup;
    const int rows = static_cast<int>(std::clamp<int64_t>(k.rows - at, 0, kGroup));
    split_rows(rows ? k.row(at) : k.data, k.stride, rows, k.dim, memory + g * unit, &largest_key_);
  }
  split_values(v, memory + groups * unit);
}

void SplitHead::split_values(const HeadRows<float>& v, uint16_t* target) {
  for (int64_t d = 0; d < round_up(v.dim, kSplitDepth); d += kGroup) {
    const int features = static_cast<int>(std::clamp<int64_t>(v.dim - d, 0, kGroup));
    for (int64_t at = 0; at < v.rows; at += kSplitDepth, target += kSplitTile) {
      alignas(64) float tile[kGroup * kSplitDepth] = {};
      for (int64_t half = 0; half < kSplitDepth && at + half < v.rows; half += kGroup) {
        const int rows = static_cast<int>(std::min<int64_t>(kGroup, v.rows - at - half));
        gemm_kernels().interleave_32(
            rows, features, reinterpret_cast<const uint32_t*>(v.row(at + half) + d), v.stride,
            reinterpret_cast<uint32_t*>(tile + half), kSplitDepth);
      }
      split_rows(tile, kSplitDepth, features, kSplitDepth, target, &largest_value_);
    }
  }
}

bool SplitHead::carries(const HeadRows<float>& queries) const {
  uint32_t largest = 0;
  for (int64_t i = 0; i < queries.rows; ++i) {
    largest = std::max(largest, largest_magnitude(queries.row(i), queries.dim));
  }
  // Weights are at most 2^8 (the slack of the softmax), and their largest near 1.
  return thirds_carry(magnitude(largest), magnitude(largest_key_), dim_) &&
         thirds_carry(1, magnitude(largest_value_), rows_ << 8);
}

bool splits_heads(const SdpaSizes& sizes) {
  return isa() == Isa::amx && sizes.rows >= kLeastRows && sizes.columns >= kLeastRows &&
         4 * sizes.dim >= 3 * round_up(sizes.dim, kSplitDepth);
}

#else

SplitHead::SplitHead(const HeadRows<float>&, const HeadRows<float>&) {}
bool SplitHead::carries(const HeadRows<float>&) const { return false; }
bool splits_heads(const SdpaSizes&) { return false; }

#endif

}  // namespace tallow::cpu
