// Choosing by name. The rules for models are those of the libraries that wrote them.
#include "hub/select.h"

#include <algorithm>
#include <cctype>

#include "hub/names.h"

namespace tallow::hub {
namespace {

using Kind = HubError::Kind;

bool has_glob(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool matches(std::string_view name, const std::string& pattern) {
  return matches_glob(name, pattern.ends_with('/') ? pattern + "*" : pattern);
}

bool matches_any(std::string_view name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& p) { return matches(name, p); });
}

std::string_view folder_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

bool contains(const Listing& listing, std::string_view path) {
  return std::any_of(listing.begin(), listing.end(), [&](auto& e) { return e.path == path; });
}

Listing filter(const Listing& listing, const auto& wanted) {
  Listing out;
  std::copy_if(listing.begin(), listing.end(), std::back_inserter(out), wanted);
  return out;
}

/// "model-00001-of-00003.gguf" less its number; the name itself when it is whole.
std::string without_part(std::string_view path) {
  std::string name(path);
  const size_t of = name.rfind("-of-");
  if (of == name.npos || of < 6) return name;
  for (size_t i = of - 5; i < of; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(name[i]))) return name;
  }
  return name.erase(of - 6, 6);
}

/// Whether the file's name says that it is of the quantization, as a word of its own.
bool has_tag(std::string_view path, std::string_view tag) {
  const std::string name = lower(path), wanted = lower(tag);
  const auto word = [&](size_t at) {
    return at >= name.size() ||
           !(std::isalnum(static_cast<unsigned char>(name[at])) || name[at] == '_');
  };
  for (size_t at = name.find(wanted); at != name.npos; at = name.find(wanted, at + 1)) {
    if ((at == 0 || word(at - 1)) && word(at + wanted.size())) return true;
  }
  return false;
}

bool is_gguf_model(const Entry& entry) {
  const std::string name = lower(name_of(entry.path));
  return name.ends_with(".gguf") && !name.starts_with("mmproj") &&
         name.find("imatrix") == name.npos;
}

/// Text beside the weights: configurations, tokenizers, templates.
bool is_companion(std::string_view name) {
  const std::string n = lower(name);
  if (n.ends_with(".index.json")) return false;
  for (const char* end : {".json", ".txt", ".model", ".tiktoken", ".jinja", ".spm", ".bpe"}) {
    if (n.ends_with(end)) return true;
  }
  return false;
}

bool has_tokenizer(const Listing& files) {
  constexpr const char* kNames[] = {"tokenizer.json", "tokenizer.model", "vocab.json",
                                    "vocab.txt",      "spiece.model",    "tekken.json"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return contains(files, name); });
}

/// The weights among the files of one folder, in the first form that is complete.
Listing weights_of(const Listing& files) {
  struct Form {
    const char* index;  // or null where there is one file
    const char* files;
  };
  // Shards of a folder come after the file that would hold all: some have both.
  constexpr Form kForms[] = {
      {nullptr, "model.safetensors"},
      {"model.safetensors.index.json", "model-*-of-*.safetensors"},
      {nullptr, "diffusion_pytorch_model.safetensors"},
      {"diffusion_pytorch_model.safetensors.index.json",
       "diffusion_pytorch_model-*-of-*.safetensors"},
      {nullptr, "adapter_model.safetensors"},
      {nullptr, "consolidated.safetensors"},
      {"model.safetensors.index.json", "*.safetensors"},
      {nullptr, "*.safetensors"},
  };
  constexpr Form kOldForms[] = {
      {nullptr, "pytorch_model.bin"},
      {"pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"},
      {nullptr, "diffusion_pytorch_model.bin"},
      {nullptr, "adapter_model.bin"},
      {nullptr, "*.pth"},
      {nullptr, "*.pt"},
      {nullptr, "*.bin"},
  };
  const auto first = [&](const auto& forms) {
    for (const Form& form : forms) {
      Listing found = filter(files, [&](const Entry& e) {
        return matches_glob(name_of(e.path), form.files) ||
               (form.index && name_of(e.path) == form.index);
      });
      const bool complete = !form.index || std::any_of(found.begin(), found.end(), [&](auto& e) {
        return name_of(e.path) == form.index;
      });
      if (!found.empty() && complete && !(form.index && found.size() == 1)) return found;
    }
    return Listing();
  };
  if (Listing found = first(kForms); !found.empty()) return found;
  if (Listing found = select_gguf(files, ""); !found.empty()) return found;
  return first(kOldForms);
}

void append(Listing& to, const Listing& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Listing select_files(const Listing& listing, const std::vector<std::string>& include,
                     const std::vector<std::string>& exclude, const Repo& repo) {
  for (const std::string& name : include) {
    const bool folder = name.ends_with('/');
    if (!has_glob(name) && !folder && !contains(listing, name)) {
      fail_hub(Kind::no_entry, describe(repo), ": has no file \"", name, "\"; it has ",
               listing.size(), " files, `tallow download ", repo.id,
               " --dry-run --all` lists them");
    }
  }
  Listing selected = filter(listing, [&](const Entry& e) {
    return (include.empty() || matches_any(e.path, include)) && !matches_any(e.path, exclude);
  });
  if (selected.empty() && !listing.empty()) {
    fail_hub(Kind::no_entry, describe(repo), ": none of its ", listing.size(),
             " files is asked for; see them with `tallow download ", repo.id, " --dry-run --all`");
  }
  return selected;
}

Listing select_gguf(const Listing& listing, const std::string& file) {
  const Listing files = filter(listing, is_gguf_model);
  Listing found;
  if (!file.empty()) {
    const bool named = lower(file).ends_with(".gguf") || has_glob(file);
    found = filter(files, [&](const Entry& e) {
      return named ? matches(e.path, file) || name_of(e.path) == file : has_tag(e.path, file);
    });
  } else {
    // Small and good ones first; llama.cpp's choice comes before all.
    for (const char* tag : {"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS", "IQ4_NL", "MXFP4",
                            "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q3_K_M", "F16", "BF16"}) {
      found = filter(files, [&](const Entry& e) { return has_tag(e.path, tag); });
      if (!found.empty()) break;
    }
    if (found.empty()) found = files;
  }
  if (found.empty()) return {};
  const std::string whole = without_part(found.front().path);
  return filter(files, [&](const Entry& e) { return without_part(e.path) == whole; });
}

Listing select_named_gguf(const Listing& listing, const std::string& file, const Repo& repo) {
  Listing found = select_gguf(listing, file);
  if (!found.empty()) return found;
  std::string known;
  for (const Entry& entry : filter(listing, is_gguf_model)) {
    if (known.size() < 400) known += str(known.empty() ? "" : ", ", entry.path);
  }
  fail_hub(Kind::no_entry, describe(repo), ": has no GGUF file \"", file, "\"",
           known.empty() ? "; it has none at all" : "; it has " + known);
}

Listing select_model(const Listing& listing, bool with_weights) {
  const auto in_folder = [&](std::string_view folder) {
    return filter(listing, [&](const Entry& e) { return folder_of(e.path) == folder; });
  };
  // The files that say that a model consists of folders.
  const bool compound = contains(listing, "model_index.json") || contains(listing, "modules.json");
  std::vector<std::string_view> folders{""};
  for (const Entry& entry : listing) {
    const std::string_view folder = folder_of(entry.path);
    const bool part = compound && folder.find('/') == folder.npos && folder != "onnx" &&
                      folder != "openvino" && folder != "original";
    if (part && folder != folders.back()) folders.push_back(folder);
  }
  Listing selected;
  bool weights = !with_weights && has_tokenizer(in_folder(""));
  const bool only_text = weights;
  for (const std::string_view folder : folders) {
    const Listing files = in_folder(folder);
    append(selected, filter(files, [&](const Entry& e) { return is_companion(name_of(e.path)); }));
    const Listing found = only_text ? Listing() : weights_of(files);
    weights |= !found.empty();
    append(selected, found);
  }
  // Quantizations may lie in folders of their names.
  if (!weights) append(selected, select_gguf(listing, ""));
  if (!weights && std::none_of(selected.begin(), selected.end(), is_gguf_model)) return listing;
  const auto by_path = [](const Entry& a, const Entry& b) { return a.path < b.path; };
  std::sort(selected.begin(), selected.end(), by_path);
  const auto same = [](const Entry& a, const Entry& b) { return a.path == b.path; };
  selected.erase(std::unique(selected.begin(), selected.end(), same), selected.end());
  return selected;
}

}  // namespace tallow::hub
