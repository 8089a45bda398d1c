// What a file of tensors is, by its first bytes.
#include "formats/byte_reader.h"
#include "formats/file_bytes.h"
#include "formats/zip/zip_reader.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/ggml_file.h"
#include "tallow/gguf.h"
#include "tallow/npy.h"
#include "tallow/pytorch.h"
#include "tallow/safetensors.h"
#include "tallow/tensor_folder.h"

namespace tallow {
namespace {

/// A .npy file as a file of one tensor, "data".
class NpyFile final : public TensorFile {
 public:
  NpyFile(std::shared_ptr<const FileBytes> file, Tensor tensor)
      : TensorFile(file), tensor_(std::move(tensor)) {
    TensorInfo t;
    t.name = "data";
    t.shape = tensor_.shape();
    t.dtype = tensor_.dtype();
    t.type = to_string(tensor_.dtype());
    t.bytes = tensor_.nbytes();
    set_tensors({t});
  }

 private:
  Tensor make(const TensorInfo&) const override { return tensor_; }
  Tensor tensor_;
};

void add_metadata(TensorFiles& out, const TensorFile& file) {
  const auto* safetensors = dynamic_cast<const SafetensorsFile*>(&file);
  if (!safetensors) return;
  for (const auto& row : safetensors->metadata()) {
    bool known = false;
    for (const auto& [key, value] : out.metadata) known |= key == row.first;
    if (!known) out.metadata.push_back(row);
  }
}

TensorFiles of_folder(const std::shared_ptr<const TensorFolder>& folder) {
  TensorFiles out{folder->format(), folder, folder->files(), {}};
  for (const auto& file : out.files) add_metadata(out, *file);
  return out;
}

TensorFiles of_file(std::string format, std::shared_ptr<const TensorFile> file) {
  TensorFiles out{std::move(format), file, {file}, {}};
  add_metadata(out, *file);
  return out;
}

enum class Kind { gguf, ggml, npy, npz, safetensors, pytorch, zip, unknown };

/// By the first bytes; by the name where they say nothing, since the file is damaged then.
Kind kind_of(std::string_view text, const std::string& path) {
  if (text.empty()) fail(path, ": the file is empty");
  if (text.starts_with("GGUF")) return Kind::gguf;
  if (GgmlFile::recognizes(text)) return Kind::ggml;
  if (text.starts_with("\x93NUMPY")) return Kind::npy;
  if (ZipReader::is_zip(text)) return Kind::zip;
  if (text.starts_with('\x80')) return Kind::pytorch;
  if (text.size() > 8 && text[8] == '{') return Kind::safetensors;
  constexpr std::pair<std::string_view, Kind> kSuffixes[] = {
      {".gguf", Kind::gguf},
      {".npy", Kind::npy},
      {".npz", Kind::npz},
      {".pth", Kind::pytorch},
      {".pt", Kind::pytorch},
      {".bin", Kind::pytorch},
      {".safetensors", Kind::safetensors},
  };
  for (const auto& [suffix, kind] : kSuffixes) {
    if (path.ends_with(suffix)) return kind;
  }
  return Kind::unknown;
}

bool holds_pickle(const ZipReader& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    if (entry.name == "data.pkl" || entry.name.ends_with("/data.pkl")) return true;
  }
  return false;
}

}  // namespace

TensorFiles open_tensors(const std::string& path) {
  if (is_folder(path)) return of_folder(TensorFolder::open(path));
  if (path.ends_with(".index.json")) return of_folder(TensorFolder::open_index(path));
  const auto bytes = FileBytes::open(path);
  switch (kind_of(as_text(bytes->bytes()), path)) {
    case Kind::gguf: {
      const auto file = GgufFile::open(path);
      return of_file(str("GGUF v", file->version(), file->big_endian() ? ", big-endian" : ""),
                     file);
    }
    case Kind::ggml: {
      const auto file = GgmlFile::open(path);
      return of_file(file->format(), file);
    }
    case Kind::npy: return of_file("npy", std::make_shared<NpyFile>(bytes, load_npy(path)));
    case Kind::safetensors: return of_file("safetensors", SafetensorsFile::open(path));
    case Kind::npz: return of_file("npz", NpzFile::open(path));
    case Kind::pytorch: return of_file("pytorch", PytorchFile::open(path));
    case Kind::zip:
      if (holds_pickle(ZipReader(bytes))) return of_file("pytorch", PytorchFile::open(path));
      return of_file("npz", NpzFile::open(path));
    case Kind::unknown: break;
  }
  fail(path, ": magic: offset 0: is neither safetensors, GGUF, PyTorch's, npz nor npy");
}

NamedTensors load_file(const std::string& path) {
  const TensorFiles opened = open_tensors(path);
  NamedTensors out;
  for (const auto& file : opened.files) {
    for (const TensorInfo& t : file->tensors()) out.emplace_back(t.name, file->get(t.name));
  }
  return out;
}

}  // namespace tallow
