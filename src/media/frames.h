// Which frames of a video a model sees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tallow {

constexpr double kFrameRate = 24;  // per second, where nothing says it: transformers' guess

/// At most `most` of `count` frames, at even distances, the first among them.
inline std::vector<int64_t> evenly(int64_t count, int64_t most) {
  std::vector<int64_t> result;
  const int64_t wanted = std::min(count, most);
  for (int64_t i = 0; i < wanted; ++i) result.push_back(i * count / wanted);
  return result;
}

}  // namespace tallow
