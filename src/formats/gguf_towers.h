// The towers of a model with eyes and ears, in the file of their own that llama.cpp calls mmproj.
#pragma once

#include <string>

#include "formats/gguf_names.h"
#include "tallow/gguf.h"
#include "tallow/weights.h"

namespace tallow {

/// The names of Gemma 4's towers in GGUF and in folders, and of what the unified 12B has instead.
const GgufArchitecture& gguf_towers();
const GgufArchitecture& gguf_embedders();

/// What convert names the towers of `path`: "mmproj-NAME.gguf" beside it.
std::string towers_path(const std::string& path);

/// A key of ours, for what llama.cpp does not say: whether an image's tokens see each other.
inline constexpr const char* kImagesSeeAhead = "tallow.vision.bidirectional_attention";

}  // namespace tallow
