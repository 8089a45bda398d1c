// Which frames of a video a model sees.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tallow/image.h"

namespace tallow {

constexpr double kFrameRate = 24;  // per second, where nothing says it: transformers' guess
constexpr int64_t kMostFrameBytes = int64_t{1} << 32;

/// The numbers of those of `count` frames, `rate` of them a second, that are taken: transformers'
/// default_sample_indices_fn. Throws Error for too many.
std::vector<int64_t> sampled(int64_t count, double rate, const FrameSampling& sampling,
                             const std::string& path);

}  // namespace tallow
