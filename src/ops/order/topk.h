// The op object of topk.
#pragma once

#include "tallow/op.h"

namespace tallow {

struct TopkOptions {
  int64_t k = 1;
  bool largest = true, sorted = true;
};

extern Op<TopkOptions> topk_op;  // rows of the last dimension: values, indices

}  // namespace tallow
