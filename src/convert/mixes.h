// The mixes of llama.cpp: which block type each tensor of a model is given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tallow/convert.h"
#include "tallow/quantize.h"

namespace tallow::converting {

enum class Mix : uint8_t {
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq2_m,
  iq3_xxs,
  iq3_xs,
  iq3_s,
  iq3_m,
  iq4_xs,
  iq4_nl,
  q2_k_s,
  q2_k,
  q3_k_s,
  q3_k_m,
  q3_k_l,
  q4_0,
  q4_1,
  q4_k_s,
  q4_k_m,
  q5_0,
  q5_1,
  q5_k_s,
  q5_k_m,
  q6_k,
  q8_0,
  q1_0,
  q2_0,
  tq1_0,
  tq2_0,
  mxfp4_moe,
  nvfp4,
  f16,
  bf16,
  f32,
};

struct MixRow {
  Mix mix;
  const char* name;
  uint32_t file_type;  ///< general.file_type
  DType base;
};

/// Throws Error, naming all, for a name that is none of them. "q4_k" is "q4_k_m", and so on.
const MixRow& find_mix(std::string_view name);
std::span<const MixRow> mixes();

/// A tensor, and what it becomes.
struct Choice {
  const PlannedTensor* tensor;
  DType dtype;
  bool needs_importance;  ///< so few bits that it is useless without
};

/// In llama.cpp's order: what is in no layer first, then by layer, and by name.
std::vector<Choice> choose_types(const GgufModel& model, const QuantizeOptions& options,
                                 bool has_importance);

}  // namespace tallow::converting
