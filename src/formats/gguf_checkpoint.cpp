// From GGUF metadata to a configuration with Hugging Face's keys, and tensors under their names.
#include "formats/gguf_checkpoint.h"

#include <cmath>

#include "formats/byte_reader.h"
#include "formats/gguf_names.h"
#include "tallow/error.h"

namespace tallow {
namespace {

/// The tensors of a file under translated names.
class GgufWeights final : public WeightSource {
 public:
  GgufWeights(std::shared_ptr<const GgufFile> file, const GgufArchitecture* architecture)
      : file_(std::move(file)), architecture_(architecture) {
    const auto& tensors = file_->tensors();
    names_.reserve(tensors.size());
    index_.reserve(tensors.size());
    for (const TensorInfo& t : tensors) {
      names_.push_back(architecture ? hugging_face_name(*architecture, t.name) : t.name);
      if (!index_.emplace(names_.back(), index_.size()).second) {
        fail(path(), ": tensor ", quoted(t.name), " is there twice, as ", quoted(names_.back()));
      }
    }
  }

  const std::string& path() const override { return file_->path(); }
  std::vector<std::string> names() const override { return names_; }
  bool contains(std::string_view name) const override { return index_.contains(name); }
  Tensor get(std::string_view name) const override {
    const auto found = index_.find(name);
    if (found == index_.end()) fail(path(), ": tensor ", quoted(name), " is not in the file");
    const TensorInfo& info = file_->tensors()[found->second];
    const float added = architecture_ ? gguf_added(*architecture_, info.name) : 0;
    const Tensor tensor = file_->get(info.name);
    if (added == 0) return tensor;
    std::vector<float> values = tensor.to_vector();
    for (float& value : values) value -= added;
    return Tensor::from(std::span<const float>(values), tensor.shape());
  }

 private:
  std::shared_ptr<const GgufFile> file_;
  const GgufArchitecture* architecture_;
  std::vector<std::string> names_;  // parallel to the file's tensors; never changed, so views hold
  std::unordered_map<std::string_view, size_t> index_;
};

void add_keys(Json& out, const GgufFile& file, std::span<const GgufKey> keys,
              const std::string& prefix) {
  for (const GgufKey& row : keys) {
    const std::string key = prefix + row.gguf;
    if (!file.find_value(key)) continue;
    switch (row.kind) {
      case GgufKeyKind::integer: out.set(row.hugging_face, *file.integer(key)); break;
      case GgufKeyKind::number: out.set(row.hugging_face, *file.number(key)); break;
      case GgufKeyKind::boolean: out.set(row.hugging_face, *file.boolean(key)); break;
    }
  }
}

void add_lists(Json& out, const GgufFile& file, std::span<const GgufList> lists,
               const std::string& prefix) {
  constexpr uint64_t kMostLayers = 4096;
  for (const GgufList& row : lists) {
    const GgufValue* value = file.find_value(prefix + row.gguf);
    if (!value) continue;
    if (value->count > kMostLayers) {
      fail(file.path(), ": metadata ", quoted(value->key), " has ", value->count,
           " values; a model has at most ", kMostLayers, " layers");
    }
    const Json plain = to_json(*value, kMostLayers);
    if (row.kind != GgufListKind::sliding) {
      out.set(row.hugging_face, plain);
      continue;
    }
    if (!plain.is_array()) {
      // Every how many layers one does not slide.
      out.set("sliding_window_pattern", plain);
      continue;
    }
    Json::Array names;
    for (const Json& item : plain.items()) {
      const bool slides =
          item.is_boolean() ? item.boolean() : item.is_number() && item.number() != 0;
      names.emplace_back(slides ? "sliding_attention" : "full_attention");
    }
    out.set(row.hugging_face, Json(std::move(names)));
  }
}

/// longrope's divisors of frequencies, which are tensors in GGUF.
void add_long_rope(Json& rope, const GgufFile& file) {
  constexpr std::pair<const char*, const char*> kFactors[] = {
      {"rope_factors_long.weight", "long_factor"}, {"rope_factors_short.weight", "short_factor"}};
  constexpr int64_t kMostFactors = 1 << 14;
  for (const auto& [name, key] : kFactors) {
    const TensorInfo* info = file.find(name);
    if (!info) continue;
    const Tensor values = file.get(name);
    if (values.numel() > kMostFactors) {
      fail(file.path(), ": tensor ", quoted(name), " has ", values.numel(),
           " factors; a head has at most ", kMostFactors);
    }
    Json::Array list;
    for (const float value : values.to_vector()) list.emplace_back(static_cast<double>(value));
    rope.set(key, Json(std::move(list)));
  }
}

/// rope_scaling as config.json has it. llama.cpp multiplies yarn's attention factor by
/// 1 + 0.1 ln(factor); Hugging Face's attention_factor is the product.
void add_rope_scaling(Json& out, const GgufFile& file, const std::string& prefix) {
  const std::string scaling = prefix + "rope.scaling.";
  std::string type(file.string(scaling + "type").value_or(""));
  auto factor = file.number(scaling + "factor");
  if (type.empty()) {
    factor = factor ? factor : file.number(prefix + "rope.scale_linear");
    if (factor.value_or(1) != 1) type = "linear";
  }
  if (type.empty() || type == "none") return;

  Json rope;
  rope.set("rope_type", type);
  if (factor) rope.set("factor", *factor);
  if (const auto length = file.integer(scaling + "original_context_length")) {
    rope.set("original_max_position_embeddings", *length);
  }
  if (type == "longrope") {
    add_long_rope(rope, file);
    rope.set("attention_factor", file.number(scaling + "attn_factor").value_or(1));
  } else if (const auto attention = file.number(scaling + "attn_factor");
             attention && *attention != 1) {
    const bool yarn = type == "yarn" && factor.value_or(0) > 0;
    rope.set("attention_factor", *attention * (yarn ? 1 + 0.1 * std::log(*factor) : 1));
  }
  for (const char* beta : {"beta_fast", "beta_slow"}) {
    if (const auto value = file.number(scaling + "yarn_" + beta)) rope.set(beta, *value);
  }
  out.set("rope_scaling", std::move(rope));
}

Json make_config(const GgufFile& file, const GgufArchitecture& architecture) {
  const std::string prefix = str(architecture.gguf, ".");
  Json out = Json::object();
  out.set("architectures", Json::Array{architecture.hugging_face});
  out.set("model_type", architecture.gguf);
  add_keys(out, file, architecture.keys, prefix);
  add_lists(out, file, architecture.lists, prefix);
  add_keys(out, file, gguf_token_keys(), "");
  // The rows that are there count; the key says at times how many the tokenizer has.
  const TensorInfo* embedding = file.find("token_embd.weight");
  if (embedding && embedding->shape.size() == 2) out.set("vocab_size", embedding->shape[0]);
  add_rope_scaling(out, file, prefix);
  for (const GgufFlag& flag : architecture.flags) {
    out.set(flag.hugging_face, file.contains(flag.tensor) == flag.when_present);
  }
  out.set("rope_interleaved", architecture.rope_interleaved);
  return out;
}

/// All metadata but long arrays, under GGUF's keys: for architectures without a table.
Json plain_config(const GgufFile& file) {
  constexpr uint64_t kMaxItems = 1024;
  Json out = Json::object();
  for (const GgufValue& value : file.metadata()) {
    if (value.count <= kMaxItems) out.set(value.key, to_json(value, kMaxItems));
  }
  return out;
}

/// What generation_config.json says elsewhere: how to sample, and the tokens that end an answer.
Json make_generation(const GgufFile& file) {
  Json out = Json::object();
  add_keys(out, file, gguf_sampling_keys(), "");
  add_keys(out, file, gguf_token_keys(), "");
  Json::Array ends;
  for (const char* key : {"eos", "eot", "eom"}) {
    const auto id = file.integer(str("tokenizer.ggml.", key, "_token_id"));
    if (id) ends.emplace_back(*id);
  }
  if (!ends.empty()) out.set("eos_token_id", Json(std::move(ends)));
  return out;
}

}  // namespace

Json gguf_config(const GgufFile& file, const GgufArchitecture& architecture) {
  return make_config(file, architecture);
}

std::shared_ptr<const WeightSource> gguf_weights(std::shared_ptr<const GgufFile> file,
                                                 const GgufArchitecture* architecture) {
  return std::make_shared<GgufWeights>(std::move(file), architecture);
}

Checkpoint make_gguf_checkpoint(const std::shared_ptr<const GgufFile>& file) {
  const auto name = file->string("general.architecture");
  if (!name) fail(file->path(), ": metadata \"general.architecture\" is missing");
  const GgufArchitecture* architecture = find_gguf_architecture(*name);
  auto source = gguf_weights(file, architecture);
  return Checkpoint{
      Config(architecture ? make_config(*file, *architecture) : plain_config(*file), file->path()),
      Weights(std::move(source)),
      architecture ? architecture->hugging_face : std::string(*name),
      Config(make_generation(*file), file->path()),
      file,
  };
}

}  // namespace tallow
