// Weights by name, and a model's configuration, from a folder of safetensors or a GGUF file.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tallow/json.h"
#include "tallow/tensor.h"

namespace tallow {

class GgufFile;

/// Where tensors come from: one opened checkpoint.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The file or folder, for messages.
  virtual const std::string& path() const = 0;
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(std::string_view name) const = 0;
  /// A tensor over the mapped file, in the dtype that it has there. Throws Error when absent.
  virtual Tensor get(std::string_view name) const = 0;
};

/// A source and a prefix: `w / "model.layers" / 3`, and `w.get("self_attn.q_proj.weight", {n, k})`.
/// Names are Hugging Face's, whatever the source. Copies share what was asked for. Safe to use from
/// several threads.
class Weights {
 public:
  explicit Weights(std::shared_ptr<const WeightSource> source);
  Weights operator/(std::string_view name) const;
  Weights operator/(int64_t index) const;

  /// The tensor prefix.name. Throws Error when it is missing (naming the nearest names) or has
  /// another shape (naming both).
  Tensor get(std::string_view name, const Shape& shape) const;
  /// The same, or an undefined Tensor when it is missing.
  Tensor find(std::string_view name, const Shape& shape) const;
  /// The tensor prefix.name in the shape that it has. Throws Error when it is missing.
  Tensor get_any(std::string_view name) const;
  bool contains(std::string_view name) const;

  /// All names in the source, below any prefix.
  std::vector<std::string> names() const;
  /// Names in the source, below any prefix, that were never asked for.
  std::vector<std::string> unused() const;
  const std::string& path() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::string prefix_;
};

/// A model's configuration, by Hugging Face's keys, from config.json or GGUF metadata.
class Config {
 public:
  Config(Json values, std::string what) : values_(std::move(values)), what_(std::move(what)) {}

  bool has(std::string_view key) const;  ///< present and not null
  /// Throws Error, naming the file and the key, when absent, of another type or out of range.
  int64_t integer(std::string_view key, int64_t low = 1, int64_t high = 1 << 30) const;
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t low = 1,
                     int64_t high = 1 << 30) const;
  double number(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;
  /// An object or array member, or null.
  const Json* find(std::string_view key) const;
  const Json& values() const { return values_; }
  const std::string& what() const { return what_; }

 private:
  Json values_;
  std::string what_;
};

/// What a model's folder or file holds: everything that is needed to make the model.
struct Checkpoint {
  Config config;
  Weights weights;
  std::string architecture;              ///< "LlamaForCausalLM"
  Config generation;                     ///< generation_config.json, or its like from GGUF
  std::shared_ptr<const GgufFile> gguf;  ///< the opened file, or null for a folder
};

/// Opens a folder as `save_pretrained` writes it (config.json, model.safetensors or shards with
/// their index) or a .gguf file. Throws Error.
///
/// From GGUF the configuration has Hugging Face's keys, and two that say how GGUF differs:
///   rope_interleaved: true   rows of q_proj and k_proj are permuted, so rope rotates pairs
///                            (2i, 2i + 1)
///   tensor "rope_freqs.weight" [head_dim / 2] where present: divisors of rope's frequencies,
///                            which take the place of a llama3 rope_scaling
/// An architecture without a table of names keeps GGUF's own names, keys and architecture.
///
/// The towers of NAME.gguf, if there are any, are in mmproj-NAME.gguf beside it.
Checkpoint open_checkpoint(const std::string& path);

/// A text model of a GGUF file with the towers of another, which llama.cpp calls mmproj. Throws
/// Error where it holds none that are known here, or of another model.
Checkpoint with_towers(const Checkpoint& text, const std::string& path);

}  // namespace tallow
