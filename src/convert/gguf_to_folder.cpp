// A GGUF model as a folder that transformers opens.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "convert/folder.h"
#include "convert/plan.h"
#include "formats/byte_reader.h"
#include "formats/gguf_names.h"
#include "tallow/error.h"
#include "tallow/language_model.h"
#include "tallow/nn.h"
#include "tallow/ops.h"
#include "tallow/weights.h"

namespace tallow::converting {
namespace {

constexpr const char* kDivisors = "rope_freqs.weight";

/// The rope_scaling of which llama.cpp made these divisors of frequencies. Between the wavelengths
/// that are kept and those that are divided by the factor, 1 / divisor is linear in the frequency:
/// two of them give the line, and the line gives the rest, with low_freq_factor 1.
Json llama3_scaling(const std::vector<float>& divisors, const std::vector<float>& frequencies) {
  const double factor = static_cast<double>(std::ranges::max(divisors));
  std::vector<std::pair<double, double>> between;  // turns a token; the share that is kept
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double divisor = static_cast<double>(divisors[i]);
    if (divisor <= 1 || divisor >= factor) continue;
    const double kept = (1 / divisor - 1 / factor) / (1 - 1 / factor);
    between.emplace_back(static_cast<double>(frequencies[i]) / (2 * std::numbers::pi), kept);
  }
  double slope = 8192.0 / 3, offset = 1.0 / 3;  // LLaMA 3.1's own
  if (between.size() >= 2) {
    const auto [x0, y0] = between.front();
    const auto [x1, y1] = between.back();
    slope = (y1 - y0) / (x1 - x0);
    offset = slope * x0 - y0;
  }
  // kept = (original / wavelength - low) / (high - low)
  const double span = 1 / offset;
  Json rope = Json::object();
  rope.set("rope_type", "llama3");
  rope.set("factor", factor);
  rope.set("low_freq_factor", 1.0);
  rope.set("high_freq_factor", std::round((1 + span) * 1e4) / 1e4);
  rope.set("original_max_position_embeddings", static_cast<int64_t>(std::llround(slope * span)));
  return rope;
}

class Translation {
 public:
  Translation(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype)
      : file_(file), checkpoint_(open_checkpoint(file->path())), dtype_(dtype) {
    const std::string name(file->string("general.architecture").value_or(""));
    architecture_ = find_gguf_architecture(name);
    if (!architecture_ || !architecture_->converts) {
      fail(file->path(), ": architecture ", quoted(name),
           " has no form as a folder here; known are ", known_gguf_architectures());
    }
    heads_ = config().integer("num_attention_heads");
    kv_heads_ = config().integer_or("num_key_value_heads", heads_);
    head_dim_ = config().integer_or("head_dim", config().integer("hidden_size") / heads_);
  }

  Folder translate() {
    Folder out;
    config_ = config().values();
    for (const char* ours : {"rope_interleaved", "rotary_dim"}) erase(config_, ours);
    config_.set("head_dim", head_dim_);
    config_.set("num_key_value_heads", kv_heads_);
    config_.set("hidden_act", "silu");
    add_weights(out);
    config_.set("dtype", torch_name(matrices_));
    add_tokenizer(out);
    add(out, "generation_config.json", checkpoint_.generation.values());
    add(out, "config.json", config_);
    return out;
  }

 private:
  const Config& config() const { return checkpoint_.config; }

  static void erase(Json& object, std::string_view key) {
    std::erase_if(object.members(), [&](const auto& member) { return member.first == key; });
  }

  int64_t heads_of(std::string_view name) const {
    if (!architecture_->rope_interleaved) return 0;
    if (name.find(".self_attn.q_proj.") != name.npos) return heads_;
    return name.find(".self_attn.k_proj.") != name.npos ? kv_heads_ : 0;
  }

  void add_weights(Folder& out) {
    const Weights& weights = checkpoint_.weights;
    bool q_bias = false, o_bias = false, mlp_bias = false;
    for (const std::string& name : weights.names()) {
      if (name == kDivisors) {
        const nn::RotaryEmbedding plain(config(), head_dim_);
        config_.set("rope_scaling", llama3_scaling(weights.get_any(name).to_vector(),
                                                   plain.frequencies().to_vector()));
        continue;
      }
      const Tensor x = weights.get_any(name);
      const DType dtype = converted_dtype(x, dtype_, DType::f16);
      if (x.dim() == 2) matrices_ = dtype;
      out.tensors.push_back(planned(weights, name, name, dtype));
      if (const int64_t heads = heads_of(name)) {
        out.tensors.back().make = [weights, name, dtype, heads] {
          return separate_rows(weights.get_any(name).to(dtype), heads);
        };
      }
      q_bias = q_bias || name.ends_with("q_proj.bias");
      o_bias = o_bias || name.ends_with("o_proj.bias");
      mlp_bias = mlp_bias || name.ends_with("down_proj.bias");
    }
    if (std::string_view(architecture_->gguf) != "llama") return;
    config_.set("attention_bias", q_bias || o_bias);
    config_.set("mlp_bias", mlp_bias);
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
  Checkpoint checkpoint_;
  std::optional<DType> dtype_;
  const GgufArchitecture* architecture_ = nullptr;
  int64_t heads_ = 0, kv_heads_ = 0, head_dim_ = 0;
  Json config_;
  DType matrices_ = DType::f32;
};

}  // namespace

Folder translate_gguf(const std::shared_ptr<const GgufFile>& file, std::optional<DType> dtype) {
  return Translation(file, dtype).translate();
}

}  // namespace tallow::converting
