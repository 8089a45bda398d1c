// Opening a model: a folder of safetensors or a GGUF file.
#include "core/read_file.h"
#include "formats/file_bytes.h"
#include "formats/gguf_checkpoint.h"
#include "formats/gguf_towers.h"
#include "formats/quantized/quantized.h"
#include "tallow/error.h"
#include "tallow/tensor_folder.h"
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

/// What says how the weights are quantized: a key of config.json, or one of the files that stood
/// beside it before there was the key. Null where nothing does.
Json quantization_of(const Json& config, const std::string& folder) {
  const Json* key = config.find("quantization_config");
  if (key && !key->is_null()) return *key;
  for (const char* name : {"quantize_config.json", "quant_config.json", "hf_quant_config.json"}) {
    const std::string path = folder + "/" + name;
    if (!file_exists(path)) continue;
    Json json = read_object(path);
    const Json* inner = json.find("quantization");  // TensorRT Model Optimizer's
    return inner ? *inner : json;
  }
  return Json();
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
  auto source = TensorFolder::open(folder);
  for (const auto& file : source->files()) file->will_need();
  Weights weights(open_quantized(std::move(source), quantization_of(config, folder)));
  return Checkpoint{Config(std::move(config), config_path), std::move(weights),
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
  Checkpoint text = make_gguf_checkpoint(file);
  const std::string towers = towers_path(path);
  return file_exists(towers) ? with_towers(text, towers) : text;
}

}  // namespace tallow
