// Opening a model: a folder of safetensors or a GGUF file.
#include "core/read_file.h"
#include "formats/file_bytes.h"
#include "formats/gguf_checkpoint.h"
#include "tallow/error.h"
#include "tallow/safetensors.h"
#include "tallow/weights.h"

namespace tallow {
namespace {

Json read_object(const std::string& path) {
  Json json = Json::read(path);
  if (!json.is_object()) fail(path, ": is not a JSON object");
  return json;
}

std::string architecture_of(const Json& config, const std::string& path) {
  const Json* list = config.find("architectures");
  if (!list || !list->is_array() || list->items().empty() || !list->items()[0].is_string()) {
    fail(path, ": \"architectures\" is missing; it names the model's class, as in ",
         "[\"LlamaForCausalLM\"]");
  }
  return list->items()[0].string();
}

Checkpoint open_folder(const std::string& folder) {
  const std::string config_path = folder + "/config.json";
  if (!file_exists(config_path)) {
    fail(folder, ": holds no config.json; give a folder as save_pretrained writes it, ",
         "or a .gguf file");
  }
  Json config = read_object(config_path);
  std::string architecture = architecture_of(config, config_path);
  const std::string generation_path = folder + "/generation_config.json";
  Json generation = file_exists(generation_path) ? read_object(generation_path) : Json::object();
  auto source = SafetensorsFolder::open(folder);
  for (const auto& file : source->files()) file->will_need();
  return Checkpoint{Config(std::move(config), config_path), Weights(std::move(source)),
                    std::move(architecture), Config(std::move(generation), generation_path),
                    nullptr};
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path) {
  if (is_folder(path)) return open_folder(path);
  if (path.ends_with(".safetensors") && file_exists(path)) {
    fail(path, ": has weights but no configuration; give the folder that holds it");
  }
  const auto file = GgufFile::open(path);
  file->will_need();
  return make_gguf_checkpoint(file);
}

}  // namespace tallow
