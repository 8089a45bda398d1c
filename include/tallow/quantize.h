// Models rounded to fewer bits: which type each tensor gets, and the importance of its columns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tallow/convert.h"

namespace tallow {

/// How much the columns of each weight matter, by GGUF's names: the mean square of the activations
/// that they are multiplied with, [k] or [experts, k], as `llama-imatrix` and write() give it.
class ImportanceMatrix {
 public:
  /// A GGUF file of general.type "imatrix", or the older .dat form. Throws Error.
  static ImportanceMatrix open(const std::string& path);

  /// The values of a tensor, or null.
  const std::vector<float>* find(std::string_view name) const;
  size_t size() const { return values_.size(); }
  const std::string& path() const { return path_; }
  int64_t chunks() const { return chunks_; }
  const std::string& dataset() const { return dataset_; }

 private:
  std::string path_, dataset_;
  int64_t chunks_ = 0;
  std::unordered_map<std::string, std::vector<float>> values_;
};

struct QuantizeOptions {
  std::string mix;  ///< as `llama-quantize` names them: "q4_k_m", "iq4_xs", "q8_0"
  /// Types of tensors whose name a regular expression matches; the first that does decides.
  std::vector<std::pair<std::string, DType>> tensor_types;
  std::optional<DType> output_type, token_embedding_type;
  std::string imatrix;      ///< a file, or none
  bool pure = false;        ///< the mix's main type for all matrices
  bool requantize = false;  ///< take quantized tensors as well
  WriteProgress progress;
};

/// The names of the mixes, in the order of their bits.
std::vector<std::string> quantization_mixes();

/// The dtype that each tensor of a model would get, in the order in which they would be written.
std::vector<std::pair<std::string, DType>> plan_quantization(const GgufModel& model,
                                                             const QuantizeOptions& options);

/// Writes `in`, a model's folder or a GGUF file, as a GGUF file of the mix, a part of a tensor in
/// memory at a time. Throws Error, and leaves what was at `out`, where that cannot be done.
void quantize_model(const std::string& in, const std::string& out, const QuantizeOptions& options);

}  // namespace tallow
