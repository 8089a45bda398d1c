// Where transformers writes the settings of processors.
#include "models/encoders/processor_config.h"

#include "core/read_file.h"
#include "tallow/error.h"

namespace tallow {

namespace {

Json object_of(const std::string& path) {
  Json json = Json::read(path);
  if (!json.is_object()) fail(path, ": is not a JSON object");
  return json;
}

}  // namespace

Config processor_config(const Checkpoint& checkpoint, std::string_view section) {
  const std::string folder = checkpoint.weights.path();
  const std::string whole = folder + "/processor_config.json";
  if (!checkpoint.gguf && file_exists(whole)) {
    const Json all = object_of(whole);
    const Json* part = all.find(section);
    if (part && part->is_object()) return Config(*part, str(whole, ": ", section));
  }
  std::vector<std::string> own = {folder + "/preprocessor_config.json"};
  if (section == "video_processor") {
    own.insert(own.begin(), folder + "/video_preprocessor_config.json");
  }
  for (const std::string& path : own) {
    if (!checkpoint.gguf && file_exists(path)) return Config(object_of(path), path);
  }
  return Config(Json::object(), whole);
}

}  // namespace tallow
