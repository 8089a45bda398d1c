// The settings of what prepares images and sounds for a model.
#pragma once

#include <string_view>

#include "tallow/weights.h"

namespace tallow {

/// The section (feature_extractor, image_processor, video_processor) of processor_config.json
/// beside the weights, or else preprocessor_config.json, before which videos have a
/// video_preprocessor_config.json; empty where there is none of these. Throws Error for a damaged
/// file.
Config processor_config(const Checkpoint& checkpoint, std::string_view section);

}  // namespace tallow
