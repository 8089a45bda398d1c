// Where transformers writes the settings of processors.
#include "models/encoders/processor_config.h"

#include "core/read_file.h"
#include "tallow/error.h"

namespace tallow {

Config processor_config(const Checkpoint& checkpoint, std::string_view section) {
  const std::string folder = checkpoint.weights.path();
  const std::string whole = folder + "/processor_config.json";
  if (!checkpoint.gguf && file_exists(whole)) {
    const Json all = Json::read(whole);
    const Json* part = all.find(section);
    if (part && part->is_object()) return Config(*part, str(whole, ": ", section));
  }
  const std::string own = folder + "/preprocessor_config.json";
  if (!checkpoint.gguf && file_exists(own)) return Config(Json::read(own), own);
  return Config(Json::object(), own);
}

}  // namespace tallow
