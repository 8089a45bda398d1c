// Models from one format into another: folders as save_pretrained writes them, GGUF files, and
// plain files of tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tallow/dtype.h"
#include "tallow/gguf.h"
#include "tallow/tensor_file.h"

namespace tallow {

/// A model as a GGUF file holds it: metadata, and tensors under GGUF's names, in the file's order.
struct GgufModel {
  std::shared_ptr<const GgufFile> metadata;
  std::vector<PlannedTensor> tensors;
};

/// A GGUF file as it is; or a folder with config.json as llama.cpp's converter writes it: names,
/// sizes, tokenizer and chat template, rows of queries and keys where llama.cpp rotates neighbours.
/// `dtype` is that of matrices; none keeps f32, f16 and bf16 and makes anything else bf16. Vectors
/// become f32. Throws Error, naming the file, for an architecture or a tokenizer that GGUF has no
/// form for.
GgufModel open_as_gguf(const std::string& path, std::optional<DType> dtype = {});

struct ConvertOptions {
  std::optional<DType> dtype;  ///< of matrices; none keeps what there is
  bool big_endian = false;     ///< numbers of a GGUF file
  int64_t max_shard_bytes = 5'000'000'000;
  WriteProgress progress;
};

/// Writes the model or the tensors of `in` as `out`, one tensor in memory at a time. What `in` is
/// its content says. What `out` becomes its name says: .gguf, .safetensors, .pth, .pt, .bin, .npz,
/// or else a folder with config.json, tokenizer and safetensors. Towers of a folder become
/// mmproj-OUT.gguf beside a GGUF file, and those there are part of a folder again. Throws Error,
/// and leaves what was at `out`, where that cannot be done.
void convert(const std::string& in, const std::string& out, const ConvertOptions& options = {});

}  // namespace tallow
