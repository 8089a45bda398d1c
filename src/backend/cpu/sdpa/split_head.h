// The keys and values of a head in thirds of bf16, for attention in f32 on AMX tiles.
#pragma once

#include "backend/cpu/sdpa/sdpa.h"

namespace tallow::cpu {

/// Keys as [group of 16][step of the dim][third][16][32], values as [group of 16 features][chunk of
/// 32 rows][third][16][32] (gemm/thirds.h).
class SplitHead {
 public:
  SplitHead(const HeadRows<float>& k, const HeadRows<float>& v);
  const uint16_t* keys() const { return keys_; }
  const uint16_t* values() const { return values_; }
  /// Whether thirds carry the attention of these queries as f32 would.
  bool carries(const HeadRows<float>& queries) const;

 private:
  void split_values(const HeadRows<float>& v, uint16_t* target);

  const uint16_t* keys_;
  const uint16_t* values_;
  int64_t rows_, dim_;
  uint32_t largest_key_ = 0, largest_value_ = 0;
};

/// Whether the processor, and a shape, suit it.
bool splits_heads(const SdpaSizes& sizes);

}  // namespace tallow::cpu
