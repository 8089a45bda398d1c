// The op objects of reductions that backends bind kernels to.
#pragma once

#include "ops/reduce/reduce.h"
#include "ops/reduce/scan.h"

namespace tallow {

extern Op<ReduceOptions> sum_op, mean_op, amax_op, amin_op;
extern Op<ReduceOptions> max_op, min_op;        // values and indices
extern Op<ReduceOptions> argmax_op, argmin_op;  // indices
extern Op<ReduceOptions> var_op, std_op;        // and the mean
extern Op<ReduceOptions> norm_op, logsumexp_op;
extern Op<ScanOptions> cumsum_op;

}  // namespace tallow
