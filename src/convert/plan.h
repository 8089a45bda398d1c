// What the converters share: how tensors are planned, and what they say of a model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tallow/convert.h"
#include "tallow/weights.h"

namespace tallow::converting {

/// What `name` of the source becomes in `dtype`; the shape may be given anew, the elements not.
PlannedTensor planned(const Weights& weights, const std::string& name, std::string new_name,
                      DType dtype);

/// Rows [heads, 2, half] of a weight or bias, as rope on halves wants them, in the order
/// [heads, half, 2] of rope on neighbours; and back.
Tensor interleave_rows(const Tensor& x, int64_t heads);
Tensor separate_rows(const Tensor& x, int64_t heads);

/// The dtype of a tensor after conversion: `wanted` for real numbers, of block dtypes for matrices
/// whose rows fit; else what it is, or `otherwise` where that is a block dtype.
DType converted_dtype(const Tensor& x, std::optional<DType> wanted, DType otherwise);

/// The tokenizer and the chat template of a folder as tokenizer.* metadata; `rows` is the number of
/// the embedding's, up to which the vocabulary is filled; `model` is what BPE with byte_fallback is
/// written as, "llama" or "gemma4".
void add_tokenizer(const std::string& folder, int64_t rows, const std::string& model,
                   GgufMetadata& out);

/// Throws Error unless the tensor `name` has so many dimensions.
void check_dims(const Weights& weights, const std::string& name, int dims);

/// A folder's model in GGUF's terms.
GgufModel translate_folder(const std::string& folder, std::optional<DType> dtype);

/// Its towers as a file of their own; none where there are none that GGUF has a form of.
std::optional<GgufModel> translate_towers(const std::string& folder, std::optional<DType> dtype);

}  // namespace tallow::converting
