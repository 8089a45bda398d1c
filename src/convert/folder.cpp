// Folders of Hugging Face's, planned and written.
#include "convert/folder.h"

#include <algorithm>
#include <filesystem>

#include "convert/plan.h"
#include "core/read_file.h"
#include "formats/file_bytes.h"
#include "formats/output_file.h"
#include "tallow/error.h"
#include "tallow/safetensors.h"
#include "tallow/weights.h"

namespace tallow::converting {
namespace {

namespace fs = std::filesystem;

/// Whether a file of a model's folder goes along unchanged: the tokenizer's, templates, texts.
bool goes_along(const fs::path& path) {
  const std::string name = path.filename().string(), kind = path.extension().string();
  if (name == "config.json" || name.ends_with(".index.json")) return false;
  const auto is = [&](const char* wanted) { return kind == wanted; };
  return is(".json") || is(".jinja") || is(".model") || is(".txt") || is(".tiktoken") || is(".md");
}

void write_text(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace

std::string torch_name(DType dtype) {
  switch (dtype) {
    case DType::f64: return "float64";
    case DType::f16: return "float16";
    case DType::bf16: return "bfloat16";
    default: return "float32";
  }
}

Folder plan_folder(const std::string& path, std::optional<DType> dtype) {
  const Checkpoint checkpoint = open_checkpoint(path);
  Folder out;
  Json config = checkpoint.config.values();
  DType matrices = dtype.value_or(DType::f32);
  for (const std::string& name : checkpoint.weights.names()) {
    const Tensor x = checkpoint.weights.get_any(name);
    const DType kept = converted_dtype(x, dtype, DType::bf16);
    if (x.dim() == 2) matrices = kept;
    out.tensors.push_back(planned(checkpoint.weights, name, name, kept));
  }
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (config.find(key)) config.set(key, torch_name(matrices));
  }
  // What was quantized is plain now.
  std::erase_if(config.members(), [](const auto& m) { return m.first == "quantization_config"; });
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file() && goes_along(entry.path())) out.copied.push_back(entry.path());
  }
  std::ranges::sort(out.copied);
  out.texts.emplace_back("config.json", config.dump(2) + "\n");
  return out;
}

void write_folder(const Folder& folder, const std::string& path, const ConvertOptions& options) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!is_folder(path)) fail(path, ": cannot be made a folder: ", error.message());
  for (const std::string& file : folder.copied) {
    const fs::path target = fs::path(path) / fs::path(file).filename();
    if (fs::equivalent(file, target, error)) {
      fail(path, ": is the folder that is converted; give another");
    }
  }
  save_safetensors_folder(path, folder.tensors, options.max_shard_bytes, {}, options.progress);
  for (const std::string& file : folder.copied) {
    write_text((fs::path(path) / fs::path(file).filename()).string(), read_file(file));
  }
  for (const auto& [name, text] : folder.texts) write_text(path + "/" + name, text);
}

}  // namespace tallow::converting
