// A model as a folder of Hugging Face's: config.json, generation_config.json, tokenizer, tensors.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tallow/convert.h"
#include "tallow/json.h"

namespace tallow::converting {

struct Folder {
  std::vector<std::pair<std::string, std::string>> texts;  ///< files by name, config.json the last
  std::vector<std::string> copied;                         ///< paths of files that stay as they are
  std::vector<PlannedTensor> tensors;                      ///< under Hugging Face's names
};

/// The model of a GGUF file in Hugging Face's terms.
Folder translate_gguf(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype);
/// A folder with its tensors in another dtype.
Folder plan_folder(const std::string& path, std::optional<DType> dtype);
/// Weights first and config.json last, so that a folder that looks whole is.
void write_folder(const Folder& folder, const std::string& path, const ConvertOptions& options);

/// As config.json names it: "float32".
std::string torch_name(DType dtype);

}  // namespace tallow::converting
