// A model as a folder of Hugging Face's: config.json, generation_config.json, tensors.
#pragma once

#include <memory>
#include <vector>

#include "tallow/convert.h"
#include "tallow/json.h"

namespace tallow::converting {

struct Folder {
  Json config, generation;
  std::vector<PlannedTensor> tensors;  ///< under Hugging Face's names
};

/// The model of a GGUF file in Hugging Face's terms.
Folder translate_gguf(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype);

}  // namespace tallow::converting
