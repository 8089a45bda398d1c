// Writing tensors in the format that a file's name says.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <sys/stat.h>

#include "formats/file_bytes.h"
#include "formats/npy_header.h"
#include "formats/pytorch/pytorch_plan.h"
#include "formats/zip/zip_writer.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/gguf.h"
#include "tallow/npy.h"
#include "tallow/pytorch.h"
#include "tallow/safetensors.h"

namespace tallow {
namespace {

using Plan = std::vector<PlannedTensor>;

/// The same tensors, each of which tells of itself when it is made.
Plan with_progress(Plan plan, const WriteProgress& tell) {
  if (!tell) return plan;
  int64_t total = 0, done = 0;
  for (const PlannedTensor& t : plan) total += bytes_of(t);
  for (PlannedTensor& t : plan) {
    t.make = [make = std::move(t.make), name = t.name, tell, done, total] {
      tell(name, done, total);
      return make();
    };
    done += bytes_of(t);
  }
  return plan;
}

bool is_pytorch(const std::string& suffix) {
  return suffix == ".pth" || suffix == ".pt" || suffix == ".bin";
}

void save_folder(const Plan& plan, const std::string& folder, const SaveOptions& options) {
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  if (!is_folder(folder) && ::mkdir(folder.c_str(), 0777) != 0) {
    fail(folder, ": cannot make the folder: ", std::strerror(errno));
  }
  const int64_t most = options.max_shard_bytes > 0 ? options.max_shard_bytes : kNoLimit;
  save_safetensors_folder(folder, plan, most, options.metadata, options.progress);
}

void save_gguf(const Plan& plan, const std::string& path, const SaveOptions& options) {
  GgufWriter out(path, options.big_endian);
  for (const auto& [key, value] : options.metadata) out.metadata().set_string(key, value);
  for (const PlannedTensor& t : plan) out.add_tensor(t.name, t.shape, t.dtype);
  for (const PlannedTensor& t : plan) out.write(t.make());
  out.finish();
}

void save_npz(const Plan& plan, const std::string& path, bool compressed) {
  ZipWriter zip(path);
  for (const PlannedTensor& t : plan) add_npy(zip, t.name, t.make(), path, compressed);
  zip.finish();
}

[[noreturn]] void fail_for_name(const std::string& path) {
  fail(path,
       ": the name says no format; end it in .safetensors, .gguf, .pth, .pt, .bin, .npz or "
       ".npy, or give a folder");
}

}  // namespace

std::string format_suffix(const std::string& path) {
  constexpr std::string_view kSuffixes[] = {".safetensors", ".gguf", ".pth", ".pt",
                                            ".bin",         ".npz",  ".npy"};
  const size_t dot = path.rfind('.');
  if (dot == path.npos) return "";
  std::string suffix = path.substr(dot);
  std::ranges::transform(suffix, suffix.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool known = std::ranges::find(kSuffixes, suffix) != std::end(kSuffixes);
  return known ? suffix : "";
}

void save_file(const std::vector<PlannedTensor>& tensors, const std::string& path,
               const SaveOptions& options) {
  const std::string suffix = format_suffix(path);
  const bool folder = is_folder(path) || path.ends_with('/') || options.max_shard_bytes > 0;
  const bool has_metadata = folder || suffix == ".safetensors" || suffix == ".gguf";
  if (!options.metadata.empty() && !has_metadata) {
    fail(path, ": only .safetensors and .gguf hold metadata; leave it out");
  }
  if (folder) return save_folder(tensors, path, options);
  if (suffix == ".safetensors") {
    return save_safetensors(path, tensors, options.metadata, options.progress);
  }
  const Plan plan = with_progress(tensors, options.progress);
  if (suffix == ".gguf") return save_gguf(plan, path, options);
  if (suffix == ".npz") return save_npz(plan, path, options.compressed);
  if (is_pytorch(suffix)) return save_pytorch(plan, path);
  if (suffix != ".npy") fail_for_name(path);
  if (tensors.size() != 1) {
    fail(path, ": a .npy file holds one tensor, not ", tensors.size(), "; write .npz");
  }
  save_npy(path, plan[0].make());
}

void save_file(const NamedTensors& tensors, const std::string& path, const SaveOptions& options) {
  const std::string suffix = format_suffix(path);
  const bool file = !is_folder(path) && options.max_shard_bytes == 0 && options.metadata.empty();
  if (file && is_pytorch(suffix)) {
    Object::Entries entries;  // tensors that share memory go on doing so
    for (const auto& [name, tensor] : tensors) entries.emplace_back(Object(name), Object(tensor));
    return save_pytorch(path, Object::dict(std::move(entries)));
  }
  std::vector<PlannedTensor> plan;
  plan.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    plan.push_back({name, tensor.shape(), tensor.dtype(), [&tensor = tensor] { return tensor; }});
  }
  save_file(plan, path, options);
}

}  // namespace tallow
