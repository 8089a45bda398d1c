// How the families of architectures stand in GGUF and in folders: what a conversion changes besides
// names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convert/plan.h"
#include "formats/gguf_names.h"
#include "tallow/json.h"
#include "tallow/weights.h"

namespace tallow::converting {

struct FormSource {
  Checkpoint checkpoint;
  const GgufArchitecture* architecture;
  std::optional<DType> dtype;  ///< of matrices

  const Config& config() const { return checkpoint.config; }
  const Weights& weights() const { return checkpoint.weights; }
  /// "ARCHITECTURE.name"
  std::string key(std::string_view name) const;
};

/// A folder's model in GGUF's terms.
class ToGguf {
 public:
  virtual ~ToGguf() = default;
  /// In any order.
  virtual std::vector<PlannedTensor> tensors() const = 0;
  /// The keys "ARCHITECTURE.*".
  virtual void add_settings(GgufMetadata& out) const = 0;
};

/// A GGUF file's model in a folder's terms.
class ToFolder {
 public:
  virtual ~ToFolder() = default;
  virtual std::vector<PlannedTensor> tensors() const = 0;
  /// config.json, without dtype.
  virtual Json config() const = 0;
};

std::unique_ptr<ToGguf> llama_to_gguf(FormSource source);
std::unique_ptr<ToGguf> gemma_to_gguf(FormSource source);
std::unique_ptr<ToFolder> llama_to_folder(FormSource source);
std::unique_ptr<ToFolder> gemma_to_folder(FormSource source);

/// What `name` becomes in GGUF: vectors f32, matrices of the asked dtype or what there is.
PlannedTensor planned_gguf(const FormSource& source, const std::string& name, std::string new_name);

/// rope_parameters or rope_scaling, with the type under "rope_type"; an empty object for neither.
Config rope_section(const Config& config);
/// The base of the angles, which stands in the section or beside it.
double rope_theta(const Config& config);
/// Keys of linear, yarn and longrope scaling. Throws Error for types that GGUF has no keys of.
void add_rope_scaling(const FormSource& source, const Config& config, GgufMetadata& out);

}  // namespace tallow::converting
