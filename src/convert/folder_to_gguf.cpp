// A folder of Hugging Face's as a GGUF model, key for key as llama.cpp's converter writes it
// (convert_hf_to_gguf.py): the names and keys are those of formats/gguf_names.cpp.
#include <algorithm>
#include <cstdlib>

#include "convert/form.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow::converting {
namespace {

/// general.file_type of llama.cpp, by the dtype of most matrices.
constexpr std::pair<DType, uint32_t> kFileTypes[] = {
    {DType::f32, 0},  {DType::f16, 1},  {DType::bf16, 32}, {DType::q4_0, 2},
    {DType::q4_1, 3}, {DType::q8_0, 7}, {DType::q5_0, 8},  {DType::q5_1, 9},
};
constexpr const char* kEmbedding = "token_embd.weight";
constexpr uint32_t kGuessed = 1024;
constexpr uint32_t kQuantizationVersion = 2;

std::string base_name(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

/// A folder on its way to GGUF.
class Translation {
 public:
  Translation(const std::string& folder, std::optional<DType> dtype)
      : folder_(folder), source_{open_checkpoint(folder), nullptr, dtype} {
    const std::string& name = source_.checkpoint.architecture;
    source_.architecture = find_gguf_architecture_of(name);
    if (!source_.architecture) {
      fail(source_.config().what(), ": architecture ", quoted(name),
           " has no GGUF form here; known are ", known_gguf_architectures());
    }
    const bool gemma = std::string_view(source_.architecture->gguf).starts_with("gemma");
    form_ = gemma ? gemma_to_gguf(source_) : llama_to_gguf(source_);
  }

  GgufModel translate() {
    tensors_ = form_->tensors();
    sort_tensors();
    add_general();
    form_->add_settings(metadata_);
    add_sampling();
    const auto embedding = std::ranges::find(tensors_, kEmbedding, &PlannedTensor::name);
    if (embedding == tensors_.end()) {
      fail(source_.weights().path(), ": holds no embedding of tokens");
    }
    add_tokenizer(folder_, embedding->shape[0], source_.architecture->tokenizer, metadata_);
    return {metadata_.as_file(folder_), std::move(tensors_)};
  }

 private:
  /// What comes first, layer by layer, what comes last: the order in which they are read.
  void sort_tensors() {
    const auto place = [](const std::string& name) {
      constexpr std::string_view kLayer = "blk.";
      if (name.starts_with("output")) return int64_t{1} << 40;
      if (!name.starts_with(kLayer)) return int64_t{-1};
      return int64_t{std::strtol(name.c_str() + kLayer.size(), nullptr, 10)};
    };
    std::ranges::stable_sort(tensors_, {}, [&](const PlannedTensor& t) { return place(t.name); });
  }

  void add_general() {
    metadata_.set_string("general.architecture", source_.architecture->gguf);
    metadata_.set_string("general.type", "model");
    metadata_.set_string("general.name", base_name(folder_));
    std::vector<std::pair<DType, int64_t>> counts;
    for (const PlannedTensor& t : tensors_) {
      if (t.shape.size() < 2) continue;
      const auto found = std::ranges::find(counts, t.dtype, &std::pair<DType, int64_t>::first);
      if (found == counts.end()) {
        counts.emplace_back(t.dtype, 1);
      } else {
        ++found->second;
      }
    }
    const auto most = std::ranges::max_element(counts, {}, &std::pair<DType, int64_t>::second);
    uint32_t type = kGuessed;
    for (const auto& [dtype, number] : kFileTypes) {
      if (most != counts.end() && most->first == dtype) type = number;
    }
    metadata_.set_u32("general.file_type", type);
    metadata_.set_u32("general.quantization_version", kQuantizationVersion);
  }

  void add_sampling() {
    for (const GgufKey& row : gguf_sampling_keys()) {
      if (!source_.checkpoint.generation.has(row.hugging_face)) continue;
      if (row.kind == GgufKeyKind::integer) {
        metadata_.set_i32(row.gguf, static_cast<int32_t>(source_.checkpoint.generation.integer(
                                        row.hugging_face, 0)));
      } else {
        metadata_.set_f32(
            row.gguf, static_cast<float>(source_.checkpoint.generation.number(row.hugging_face)));
      }
    }
  }

  std::string folder_;
  FormSource source_;
  std::unique_ptr<ToGguf> form_;
  GgufMetadata metadata_;
  std::vector<PlannedTensor> tensors_;
};

}  // namespace

std::string FormSource::key(std::string_view name) const {
  return str(architecture->gguf, ".", name);
}

PlannedTensor planned_gguf(const FormSource& source, const std::string& name,
                           std::string new_name) {
  const Tensor x = source.weights().get_any(name);
  DType dtype = x.dim() < 2 ? DType::f32 : converted_dtype(x, source.dtype, DType::bf16);
  if (info(dtype).gguf < 0) dtype = DType::bf16;
  return planned(source.weights(), name, std::move(new_name), dtype);
}

GgufModel translate_folder(const std::string& folder, std::optional<DType> dtype) {
  return Translation(folder, dtype).translate();
}

}  // namespace tallow::converting
