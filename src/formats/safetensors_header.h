// The JSON header of a safetensors file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tallow/shape.h"

namespace tallow {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  Shape shape;
  uint64_t begin = 0, end = 0;  ///< bytes from the start of the data
};

struct SafetensorsHeader {
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<SafetensorsEntry> tensors;
};

/// Parses the header's `text`, which began at byte 8 of `file`. Memory stays proportional to the
/// entries, which a general JSON value would not do for a hostile header. Throws Error.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file);

}  // namespace tallow
