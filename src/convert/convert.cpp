// From one format into another: what is given, what is wanted, and the way between.
#include "tallow/convert.h"

#include "convert/folder.h"
#include "convert/plan.h"
#include "core/read_file.h"
#include "formats/file_bytes.h"
#include "formats/gguf_towers.h"
#include "tallow/error.h"
#include "tallow/files.h"
#include "tallow/weights.h"

namespace tallow {
namespace {

void write_gguf(const GgufModel& model, const std::string& out, const ConvertOptions& options) {
  const WriteProgress& progress = options.progress;
  GgufWriter writer(out, options.big_endian);
  for (const GgufValue& value : model.metadata->metadata()) writer.metadata().set(value);
  int64_t total = 0, done = 0;
  for (const PlannedTensor& t : model.tensors) {
    writer.add_tensor(t.name, t.shape, t.dtype);
    total += bytes_of(t);
  }
  for (const PlannedTensor& t : model.tensors) {
    if (progress) progress(t.name, done, total);
    writer.write(t.make());
    done += bytes_of(t);
  }
  writer.finish();
  if (progress) progress("", total, total);
}

/// Tensors under the names that they have.
void convert_tensors(const std::string& in, const std::string& out, const ConvertOptions& options) {
  const TensorFiles files = open_tensors(in);
  const Weights weights(files.source);
  const std::string suffix = format_suffix(out);
  const bool blocks = suffix == ".gguf";
  std::vector<PlannedTensor> tensors;
  for (const std::string& name : weights.names()) {
    const Tensor x = weights.get_any(name);
    const DType kept = blocks ? x.dtype() : DType::f16;
    tensors.push_back(converting::planned(weights, name, name,
                                          converting::converted_dtype(x, options.dtype, kept)));
  }
  SaveOptions save;
  save.progress = options.progress;
  save.big_endian = options.big_endian;
  if (suffix.empty()) save.max_shard_bytes = options.max_shard_bytes;
  if (suffix == ".safetensors" || blocks) save.metadata = files.metadata;
  save_file(tensors, out, save);
}

}  // namespace

GgufModel open_as_gguf(const std::string& path, std::optional<DType> dtype) {
  if (is_folder(path)) return converting::translate_folder(path, dtype);
  const auto file = GgufFile::open(path);
  GgufModel model{file, {}};
  for (const TensorInfo& t : file->tensors()) {
    if (!t.dtype) fail(path, ": tensor \"", t.name, "\" has the type ", t.type, ", not known here");
    model.tensors.push_back(
        {t.name, t.shape, *t.dtype, [file, name = t.name] { return file->get(name); }});
    PlannedTensor& planned = model.tensors.back();
    const DType wanted = t.shape.size() < 2 ? *t.dtype : dtype.value_or(*t.dtype);
    if (wanted == *t.dtype || t.shape.back() % info(wanted).block != 0) continue;
    planned.dtype = wanted;
    planned.make = [file, name = t.name, wanted] { return file->get(name).to(wanted); };
  }
  return model;
}

void convert(const std::string& in, const std::string& out, const ConvertOptions& options) {
  const bool folder = is_folder(in) && file_exists(in + "/config.json");
  const bool gguf = !is_folder(in) && open_tensors(in).format.starts_with("GGUF");
  const std::string suffix = format_suffix(out);
  if (options.big_endian && suffix != ".gguf") {
    fail(out, ": only .gguf files can be big-endian");
  }
  if (!(folder || gguf)) return convert_tensors(in, out, options);
  if (suffix == ".gguf") {
    const GgufModel model = open_as_gguf(in, options.dtype);
    const auto towers = folder ? converting::translate_towers(in, options.dtype) : std::nullopt;
    if (towers) write_gguf(*towers, towers_path(out), options);
    return write_gguf(model, out, options);
  }
  if (!suffix.empty()) return convert_tensors(in, out, options);
  converting::write_folder(folder ? converting::plan_folder(in, options.dtype)
                                  : converting::translate_gguf(GgufFile::open(in), options.dtype),
                           out, options);
}

}  // namespace tallow
