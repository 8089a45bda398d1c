// A GGUF model as a folder that transformers opens.
#include <utility>

#include "convert/folder.h"
#include "convert/form.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/language_model.h"

namespace tallow::converting {
namespace {

class Translation {
 public:
  Translation(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype)
      : file_(file), source_{open_checkpoint(file->path()), nullptr, dtype} {
    const std::string name(file->string("general.architecture").value_or(""));
    source_.architecture = find_gguf_architecture(name);
    if (!source_.architecture) {
      fail(file->path(), ": architecture ", quoted(name),
           " has no form as a folder here; known are ", known_gguf_architectures());
    }
    form_ = name.starts_with("gemma") ? gemma_to_folder(source_) : llama_to_folder(source_);
  }

  Folder translate() {
    Folder out;
    Json config = form_->config();
    out.tensors = form_->tensors();
    DType matrices = DType::f32;
    for (const PlannedTensor& t : out.tensors) {
      if (t.shape.size() == 2) matrices = t.dtype;
    }
    for (PlannedTensor& t : out.tensors) narrow(t, matrices);
    config.set("dtype", torch_name(matrices));
    add_tokenizer(out);
    add(out, "generation_config.json", source_.checkpoint.generation.values());
    add(out, "config.json", config);
    return out;
  }

 private:
  /// Vectors are f32 in GGUF: those that were not are what they were.
  static void narrow(PlannedTensor& t, DType matrices) {
    const bool half = matrices == DType::bf16 || matrices == DType::f16;
    if (!half || t.shape.size() >= 2 || t.dtype != DType::f32) return;
    const Tensor x = t.make(), less = x.to(matrices);
    if (less.to(DType::f32).to_vector() != x.to_vector()) return;
    t.dtype = matrices;
    t.make = [less] { return less; };
  }

  static void add(Folder& out, const char* name, const Json& json) {
    out.texts.emplace_back(name, json.dump(2) + "\n");
  }

  void add_tokenizer(Folder& out) const {
    if (!file_->find_value("tokenizer.ggml.model")) return;
    const TextModel text = TextModel::open(*file_);
    out.texts.emplace_back("tokenizer.json", text.tokenizer.to_json());
    Json settings = Json::object();
    settings.set("tokenizer_class", "PreTrainedTokenizerFast");
    settings.set("clean_up_tokenization_spaces", false);
    constexpr std::pair<const char*, const char*> kSpecial[] = {
        {"bos_token", "bos"},       {"eos_token", "eos"},     {"unk_token", "unknown"},
        {"sep_token", "seperator"}, {"pad_token", "padding"}, {"mask_token", "mask"},
    };
    for (const auto& [key, name] : kSpecial) {
      const auto id = file_->integer(str("tokenizer.ggml.", name, "_token_id"));
      if (id && *id >= 0 && *id < text.tokenizer.vocab_size()) {
        settings.set(key, text.tokenizer.token(static_cast<int32_t>(*id)));
      }
    }
    if (text.chat_template) settings.set("chat_template", text.chat_template->source());
    add(out, "tokenizer_config.json", settings);
  }

  std::shared_ptr<const GgufFile> file_;
  FormSource source_;
  std::unique_ptr<ToFolder> form_;
};

}  // namespace

Folder translate_gguf(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype) {
  return Translation(file, dtype).translate();
}

}  // namespace tallow::converting
