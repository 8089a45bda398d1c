// A model in a GGUF file, under Hugging Face's names.
#pragma once

#include <memory>

#include "formats/gguf_names.h"
#include "tallow/gguf.h"
#include "tallow/weights.h"

namespace tallow {

/// The configuration, under Hugging Face's keys, that a file's metadata makes.
Json gguf_config(const GgufFile& file, const GgufArchitecture& architecture);

/// A file's tensors under the table's names; under their own without a table.
std::shared_ptr<const WeightSource> gguf_weights(std::shared_ptr<const GgufFile> file,
                                                 const GgufArchitecture* architecture);

/// Throws Error for a part of a split model, and for metadata of the wrong type.
Checkpoint make_gguf_checkpoint(const std::shared_ptr<const GgufFile>& file);

}  // namespace tallow
