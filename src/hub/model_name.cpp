// Names as users write them, and the model that one stands for.
#include <algorithm>

#include "hub/environment.h"
#include "hub/names.h"

namespace tallow::hub {
namespace {

/// What is left of an address on the hub, or of hf://; `text` when it is neither.
std::string_view without_address(std::string_view text) {
  std::string endpoint = environment("HF_ENDPOINT").value_or("https://hf.co");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  for (const std::string& prefix :
       {std::string("hf://"), std::string("https://huggingface.co/"), endpoint + "/"}) {
    if (text.starts_with(prefix)) return text.substr(prefix.size());
  }
  return text;
}

bool has_weights_suffix(std::string_view id) {
  return id.ends_with(".gguf") || id.ends_with(".safetensors") || id.ends_with(".npy") ||
         id.ends_with(".bin") || id.ends_with(".pth") || id.ends_with(".pt");
}

ModelName split(std::string_view text) {
  ModelName name;
  const size_t colon = std::min(text.find(':'), text.size());
  const size_t at = std::min(text.find('@'), colon);
  name.repo.id.assign(text.substr(0, at));
  if (at < colon) name.repo.revision.assign(text.substr(at + 1, colon - at - 1));
  if (colon < text.size()) name.file.assign(text.substr(colon + 1));
  return name;
}

bool is_weights(const std::string& file) {
  return file.ends_with(".safetensors") || file.ends_with(".bin") || file.ends_with(".pth") ||
         file.ends_with(".pt");
}

}  // namespace

std::optional<ModelName> parse_model_name(std::string_view text) {
  const ModelName name = split(without_address(text));
  const std::string& id = name.repo.id;
  const bool plausible = id.find('/') != id.npos && is_repo_id(id) && !has_weights_suffix(id) &&
                         is_revision(name.repo.revision);
  if (!plausible) return {};
  return name;
}

ModelName parse_repo_name(std::string_view text) {
  text = without_address(text);
  RepoType type = RepoType::model;
  for (const RepoType other : {RepoType::model, RepoType::dataset, RepoType::space}) {
    const std::string prefix = plural(other) + "/";
    const size_t slashes = static_cast<size_t>(std::count(
        text.begin(), text.begin() + static_cast<ptrdiff_t>(std::min(text.find(':'), text.size())),
        '/'));
    if (text.starts_with(prefix) && slashes == 2) {
      type = other;
      text.remove_prefix(prefix.size());
      break;
    }
  }
  ModelName name = split(text);
  name.repo.type = type;
  check_repo(name.repo);
  return name;
}

std::string fetch_model(const ModelName& name, const OnProgress& on_progress, bool weights) {
  Downloaded got;
  try {
    got = download({.repo = name.repo, .gguf = name.file, .weights = weights}, on_progress);
  } catch (const HubError& error) {
    if (error.kind() != HubError::Kind::no_repo) throw;
    fail_hub(error.kind(), error.what(), "; and nothing is at that path here");
  }
  const auto gguf = std::find_if(got.files.begin(), got.files.end(),
                                 [](const std::string& f) { return f.ends_with(".gguf"); });
  const bool folder = std::any_of(got.files.begin(), got.files.end(), is_weights);
  return folder || gguf == got.files.end() ? got.path : got.path + "/" + *gguf;
}

}  // namespace tallow::hub
