// How GGUF's names for an architecture's tensors and settings translate to Hugging Face's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tallow {

/// A tensor's name without its ".weight" or ".bias", or a whole one; '*' stands for a layer's
/// number.
struct GgufTensorName {
  const char* gguf;
  const char* hugging_face;
  float added = 0;  ///< what GGUF's values are more than Hugging Face's
};

enum class GgufKeyKind { integer, number, boolean };

/// A metadata key, without "ARCHITECTURE." where the table is of an architecture.
struct GgufKey {
  const char* gguf;
  const char* hugging_face;
  GgufKeyKind kind;
};

enum class GgufListKind { integers, numbers, sliding };

/// A metadata key with a value for each layer, or one for all. `sliding` is a list of booleans in
/// GGUF, and of the names of layer types in config.json.
struct GgufList {
  const char* gguf;
  const char* hugging_face;
  GgufListKind kind;
};

/// A configuration flag that GGUF says by the presence of a tensor.
struct GgufFlag {
  const char* tensor;
  const char* hugging_face;
  bool when_present;
};

struct GgufArchitecture {
  const char* gguf;          ///< general.architecture
  const char* hugging_face;  ///< the class in config.json
  std::span<const GgufTensorName> tensors;
  std::span<const GgufKey> keys;
  std::span<const GgufFlag> flags;
  bool rope_interleaved;  ///< the converter permuted the rows of q and k
  std::span<const GgufList> lists = {};
  const char* tokenizer = "llama";  ///< tokenizer.ggml.model of BPE with byte_fallback
};

/// The table of an architecture, or null.
const GgufArchitecture* find_gguf_architecture(std::string_view name);

/// That of a class as config.json names it, with towers or without, or null.
const GgufArchitecture* find_gguf_architecture_of(std::string_view hugging_face);
/// The classes, for messages.
std::string known_gguf_architectures();

/// Keys that are alike in every architecture: special tokens, and how to sample.
std::span<const GgufKey> gguf_token_keys();
std::span<const GgufKey> gguf_sampling_keys();

/// Hugging Face's name of a tensor; the name itself where the table has no row.
std::string hugging_face_name(const GgufArchitecture& architecture, std::string_view name);

/// What the values of a tensor, by GGUF's name, are more than Hugging Face's.
float gguf_added(const GgufArchitecture& architecture, std::string_view name);

/// GGUF's name of a tensor; none where the table has no row.
std::optional<std::string> gguf_name(const GgufArchitecture& architecture, std::string_view name);

}  // namespace tallow
