// A folder of Hugging Face's as a GGUF model, key for key as llama.cpp's converter writes it
// (convert_hf_to_gguf.py): the names and keys are those of formats/gguf_names.cpp.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "convert/plan.h"
#include "core/read_file.h"
#include "formats/byte_reader.h"
#include "formats/gguf_names.h"
#include "tallow/error.h"
#include "tallow/nn.h"
#include "tallow/ops.h"

namespace tallow::converting {
namespace {

/// general.file_type of llama.cpp, by the dtype of most matrices.
constexpr std::pair<DType, uint32_t> kFileTypes[] = {
    {DType::f32, 0},  {DType::f16, 1},  {DType::bf16, 32}, {DType::q4_0, 2},
    {DType::q4_1, 3}, {DType::q8_0, 7}, {DType::q5_0, 8},  {DType::q5_1, 9},
};
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
      : folder_(folder), checkpoint_(open_checkpoint(folder)), dtype_(dtype) {
    const std::string& name = checkpoint_.architecture;
    architecture_ = find_gguf_architecture_of(name);
    if (!architecture_ || !architecture_->converts) {
      fail(config().what(), ": architecture ", quoted(name), " has no GGUF form here; known are ",
           known_gguf_architectures());
    }
    heads_ = config().integer("num_attention_heads");
    kv_heads_ = config().integer_or("num_key_value_heads", heads_);
    head_dim_ = config().integer_or("head_dim", config().integer("hidden_size") / heads_);
  }

  GgufModel translate() {
    add_weights();
    add_rope_divisors();
    sort_tensors();
    add_general();
    add_sizes();
    add_rope_scaling();
    add_sampling();
    add_tokenizer(folder_, vocabulary_, metadata_);
    return {metadata_.as_file(folder_), std::move(tensors_)};
  }

 private:
  const Config& config() const { return checkpoint_.config; }
  std::string key(std::string_view name) const { return str(architecture_->gguf, ".", name); }

  /// A key of config.json, or of its rope_parameters.
  const Json* value(std::string_view name) const {
    if (const Json* found = config().find(name)) return found;
    const Json* rope = config().find("rope_parameters");
    return rope ? rope->find(name) : nullptr;
  }

  bool skipped(const std::string& name) const {
    // Buffers that old checkpoints keep, and a head that is the embedding.
    return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".masked_bias") ||
           (name == "lm_head.weight" && config().boolean_or("tie_word_embeddings", false));
  }

  int64_t heads_of(std::string_view name) const {
    if (!architecture_->rope_interleaved) return 0;
    if (name.find(".self_attn.q_proj.") != name.npos) return heads_;
    return name.find(".self_attn.k_proj.") != name.npos ? kv_heads_ : 0;
  }

  void add_weights() {
    const Weights& weights = checkpoint_.weights;
    for (const std::string& name : weights.names()) {
      if (skipped(name)) continue;
      const auto renamed = gguf_name(*architecture_, name);
      if (!renamed) fail(weights.path(), ": tensor ", quoted(name), " has no name in GGUF");
      const Tensor x = weights.get_any(name);
      DType dtype = x.dim() < 2 ? DType::f32 : converted_dtype(x, dtype_, DType::bf16);
      if (info(dtype).gguf < 0) dtype = DType::bf16;
      tensors_.push_back(planned(weights, name, *renamed, dtype));
      if (name == "model.embed_tokens.weight") vocabulary_ = x.size(0);
      if (const int64_t heads = heads_of(name)) permute(tensors_.back(), heads);
    }
    if (vocabulary_ == 0) weights.get_any("model.embed_tokens.weight");  // throws
  }

  /// Before the conversion of dtypes, since rows of blocks cannot be moved.
  void permute(PlannedTensor& tensor, int64_t heads) const {
    const Weights weights = checkpoint_.weights;
    const std::string name = hugging_face_name(*architecture_, tensor.name);
    const DType dtype = tensor.dtype;
    tensor.make = [weights, name, dtype, heads] {
      Tensor x = weights.get_any(name);
      if (is_block(x.dtype())) x = x.to(DType::f32);
      return interleave_rows(x, heads).to(dtype);
    };
  }

  /// LLaMA 3's scaling is a tensor of divisors, one for each frequency.
  void add_rope_divisors() {
    if (rope_type() != "llama3") return;
    const Tensor divisors = nn::RotaryEmbedding(plain_rope(), head_dim_).frequencies() /
                            nn::RotaryEmbedding(config(), head_dim_).frequencies();
    tensors_.push_back(
        {"rope_freqs.weight", divisors.shape(), DType::f32, [divisors] { return divisors; }});
  }

  Config plain_rope() const {
    Json values = config().values();
    if (const Json* theta = value("rope_theta")) values.set("rope_theta", Json(*theta));
    values.set("rope_scaling", Json());
    values.set("rope_parameters", Json());
    return Config(std::move(values), config().what());
  }

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
    metadata_.set_string("general.architecture", architecture_->gguf);
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

  void add_sizes() {
    for (const GgufKey& row : architecture_->keys) {
      const Json* found = value(row.hugging_face);
      if (!found) continue;
      switch (row.kind) {
        case GgufKeyKind::integer:
          metadata_.set_u32(key(row.gguf),
                            static_cast<uint32_t>(config().integer_or(row.hugging_face, 0, 0)));
          break;
        case GgufKeyKind::number:
          metadata_.set_f32(key(row.gguf), static_cast<float>(found->number()));
          break;
        case GgufKeyKind::boolean: metadata_.set_boolean(key(row.gguf), found->boolean()); break;
      }
    }
    const auto set = [&](const char* name, int64_t number) {
      metadata_.set_u32(key(name), static_cast<uint32_t>(number));
    };
    set("vocab_size", vocabulary_);
    set("attention.head_count_kv", kv_heads_);
    set("attention.key_length", head_dim_);
    set("attention.value_length", head_dim_);
    set("rope.dimension_count", head_dim_);
  }

  const Json* rope_section() const {
    for (const char* name : {"rope_parameters", "rope_scaling"}) {
      const Json* found = config().find(name);
      if (found && found->is_object()) return found;
    }
    return nullptr;
  }

  std::string rope_type() const {
    const Json* rope = rope_section();
    if (!rope) return "default";
    for (const char* name : {"rope_type", "type"}) {
      if (const Json* type = rope->find(name)) return type->string();
    }
    return "default";
  }

  void add_rope_scaling() {
    const std::string type = rope_type();
    if (type == "default" || type == "llama3") return;
    if (type != "linear" && type != "yarn") {
      fail(config().what(), ": rope_type ", quoted(type),
           " has no GGUF form for this architecture; linear, yarn and llama3 have");
    }
    const Config rope(*rope_section(), config().what() + ": rope_scaling");
    const double factor = rope.number("factor");
    metadata_.set_string(key("rope.scaling.type"), type);
    metadata_.set_f32(key("rope.scaling.factor"), static_cast<float>(factor));
    if (rope.has("original_max_position_embeddings")) {
      metadata_.set_u32(key("rope.scaling.original_context_length"),
                        static_cast<uint32_t>(rope.integer("original_max_position_embeddings")));
    }
    if (type != "yarn") return;
    if (rope.has("attention_factor")) {
      // llama.cpp multiplies by 1 + 0.1 ln(factor), which attention_factor takes the place of.
      const double own = 1 + 0.1 * std::log(factor);
      metadata_.set_f32(key("rope.scaling.attn_factor"),
                        static_cast<float>(rope.number("attention_factor") / own));
    }
    for (const char* beta : {"beta_fast", "beta_slow"}) {
      if (rope.has(beta)) {
        metadata_.set_f32(key(str("rope.scaling.yarn_", beta)),
                          static_cast<float>(rope.number(beta)));
      }
    }
  }

  void add_sampling() {
    for (const GgufKey& row : gguf_sampling_keys()) {
      if (!checkpoint_.generation.has(row.hugging_face)) continue;
      if (row.kind == GgufKeyKind::integer) {
        metadata_.set_i32(
            row.gguf, static_cast<int32_t>(checkpoint_.generation.integer(row.hugging_face, 0)));
      } else {
        metadata_.set_f32(row.gguf,
                          static_cast<float>(checkpoint_.generation.number(row.hugging_face)));
      }
    }
  }

  std::string folder_;
  Checkpoint checkpoint_;
  std::optional<DType> dtype_;
  const GgufArchitecture* architecture_ = nullptr;
  int64_t heads_ = 0, kv_heads_ = 0, head_dim_ = 0, vocabulary_ = 0;
  GgufMetadata metadata_;
  std::vector<PlannedTensor> tensors_;
};

}  // namespace

GgufModel translate_folder(const std::string& folder, std::optional<DType> dtype) {
  return Translation(folder, dtype).translate();
}

}  // namespace tallow::converting
