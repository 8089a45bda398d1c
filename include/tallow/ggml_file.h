// The files of llama.cpp before GGUF, for LLaMA: `ggml`, `ggmf` and `ggjt`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/tensor_file.h"

namespace tallow {

/// An opened file. Tensors have the names of Meta's checkpoints ("layers.0.attention.wq.weight").
/// Blocks whose layout GGUF no longer has (q4_0, q4_1 and q8_0 before ggjt version 3, q5_0 and q5_1
/// before 2) become those of today when they are asked for, with scales of f16; those of `ggml`,
/// which does not say which of two layouts it has, are refused.
class GgmlFile final : public TensorFile {
 public:
  struct Hyperparameters {
    int32_t vocab, embedding, multiple, heads, layers, rotary, file_type;
  };
  struct Token {
    std::string_view text;  ///< bytes
    float score;            ///< 0 in the oldest form
  };

  /// Maps and checks the file. Throws Error: `file: field: offset N: reason`.
  static std::shared_ptr<const GgmlFile> open(const std::string& path);
  /// The same over a copy of `bytes`; `what` takes the place of the path.
  static std::shared_ptr<const GgmlFile> from_memory(std::span<const std::byte> bytes,
                                                     std::string what);
  /// Whether a file begins as these do.
  static bool recognizes(std::string_view bytes);

  /// "ggml", "ggmf v1", "ggjt v1" to "ggjt v3".
  const std::string& format() const { return format_; }
  const Hyperparameters& hyperparameters() const { return hyperparameters_; }
  const std::vector<Token>& vocabulary() const { return vocabulary_; }

 private:
  using TensorFile::TensorFile;
  friend class GgmlParser;
  static std::shared_ptr<const GgmlFile> parse(std::shared_ptr<const FileBytes> file);
  Tensor make(const TensorInfo& tensor) const override;

  uint32_t version_ = 0;  // of ggjt
  std::string format_;
  Hyperparameters hyperparameters_ = {};
  std::vector<Token> vocabulary_;
};

}  // namespace tallow
