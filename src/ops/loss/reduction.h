// What the losses share.
#pragma once

#include <string_view>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {

inline void check_reduction(const char* op, std::string_view reduction) {
  if (reduction != "mean" && reduction != "sum" && reduction != "none")
    fail(op, ": reduction is ", reduction, "; it needs mean, sum or none");
}

/// The losses of all elements, reduced.
inline Tensor reduce(const char* op, const Tensor& loss, std::string_view reduction) {
  check_reduction(op, reduction);
  if (reduction == "none") return loss;
  return reduction == "sum" ? sum(loss) : mean(loss);
}

}  // namespace tallow
