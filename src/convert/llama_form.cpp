// LLaMA and Qwen2 in GGUF and back: rows of queries and keys where llama.cpp rotates neighbours,
// and scaled rope.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "convert/form.h"
#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/nn.h"
#include "tallow/ops.h"

namespace tallow::converting {
namespace {

constexpr const char* kDivisors = "rope_freqs.weight";
/// GGUF's tensors of longrope's divisors, and config.json's lists of them.
constexpr std::pair<const char*, const char*> kLongRope[] = {
    {"rope_factors_long.weight", "long_factor"},
    {"rope_factors_short.weight", "short_factor"},
};

/// How many heads there are, where rows of them are reordered.
struct Heads {
  int64_t query, key, dim;
  bool interleaved;

  explicit Heads(const FormSource& s)
      : query(s.config().integer("num_attention_heads", 1)),
        key(s.config().integer_or("num_key_value_heads", query, 1)),
        dim(s.config().integer_or("head_dim", s.config().integer("hidden_size") / query, 1)),
        interleaved(s.architecture->rope_interleaved) {}

  /// 0 where rows stay as they are.
  int64_t of(std::string_view name) const {
    if (!interleaved) return 0;
    if (name.find(".self_attn.q_proj.") != name.npos) return query;
    return name.find(".self_attn.k_proj.") != name.npos ? key : 0;
  }
};

/// Before the conversion of dtypes, since rows of blocks cannot be moved.
void permute(PlannedTensor& tensor, const Weights& weights, const std::string& name,
             int64_t heads) {
  const DType dtype = tensor.dtype;
  tensor.make = [weights, name, dtype, heads] {
    Tensor x = weights.get_any(name);
    if (is_block(x.dtype())) x = x.to(DType::f32);
    return interleave_rows(x, heads).to(dtype);
  };
}

PlannedTensor constant(std::string name, const Tensor& value) {
  return {std::move(name), value.shape(), DType::f32, [value] { return value; }};
}

class LlamaToGguf final : public ToGguf {
 public:
  explicit LlamaToGguf(FormSource source) : s_(std::move(source)), heads_(s_) {
    const Config& c = s_.config();
    const std::string activation = c.string_or("hidden_act", "silu");
    if (activation != "silu") {
      fail(c.what(), ": hidden_act ", quoted(activation), " has no GGUF form; silu has");
    }
    if (slides(c)) fail(c.what(), ": sliding windows have no GGUF form for this architecture");
    if (2 * nn::RotaryEmbedding(c, heads_.dim).frequencies().numel() != heads_.dim) {
      fail(c.what(), ": partial_rotary_factor has no GGUF form for this architecture");
    }
  }

  std::vector<PlannedTensor> tensors() const override {
    std::vector<PlannedTensor> result;
    for (const std::string& name : s_.weights().names()) {
      if (skipped(name)) continue;
      const auto renamed = gguf_name(*s_.architecture, name);
      if (!renamed) fail(s_.weights().path(), ": tensor ", quoted(name), " has no name in GGUF");
      result.push_back(planned_gguf(s_, name, *renamed));
      if (const int64_t heads = heads_.of(name)) {
        permute(result.back(), s_.weights(), name, heads);
      }
    }
    add_rope(result);
    return result;
  }

  void add_settings(GgufMetadata& out) const override {
    for (const GgufKey& row : s_.architecture->keys) {
      const Json* found = s_.config().find(row.hugging_face);
      if (!found || found->is_null()) continue;
      const std::string key = s_.key(row.gguf);
      if (row.kind == GgufKeyKind::number) {
        out.set_f32(key, static_cast<float>(found->number()));
      } else {
        out.set_u32(key, static_cast<uint32_t>(s_.config().integer(row.hugging_face, 0)));
      }
    }
    const auto set = [&](const char* name, int64_t number) {
      out.set_u32(s_.key(name), static_cast<uint32_t>(number));
    };
    set("vocab_size", s_.weights().get_any("model.embed_tokens.weight").size(0));
    set("attention.head_count_kv", heads_.key);
    set("attention.key_length", heads_.dim);
    set("attention.value_length", heads_.dim);
    set("rope.dimension_count", heads_.dim);
    out.set_f32(s_.key("rope.freq_base"), static_cast<float>(rope_theta(s_.config())));
    add_rope_scaling(s_, s_.config(), out);
  }

 private:
  static bool slides(const Config& c) {
    if (!c.boolean_or("use_sliding_window", false) || !c.has("sliding_window")) return false;
    const Json* types = c.find("layer_types");
    if (!types || !types->is_array()) {
      return c.integer("num_hidden_layers") > c.integer_or("max_window_layers", 28, 0);
    }
    return std::ranges::any_of(types->items(), [](const Json& type) {
      return type.is_string() && type.string() == "sliding_attention";
    });
  }
  bool skipped(const std::string& name) const {
    // Buffers that old checkpoints keep, and a head that is the embedding.
    return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".masked_bias") ||
           (name == "lm_head.weight" && s_.config().boolean_or("tie_word_embeddings", false));
  }

  /// LLaMA 3's scaling is a tensor of divisors, one for each frequency; longrope's are two.
  void add_rope(std::vector<PlannedTensor>& out) const {
    const Config rope = rope_section(s_.config());
    const std::string type = rope.string("rope_type");
    if (type == "llama3") {
      const Tensor divisors = nn::RotaryEmbedding(plain_rope(), heads_.dim).frequencies() /
                              nn::RotaryEmbedding(s_.config(), heads_.dim).frequencies();
      out.push_back(constant(kDivisors, divisors));
    }
    if (type != "longrope") return;
    if (!s_.architecture->rope_interleaved) {
      fail(s_.config().what(), ": rope_type \"longrope\" has no GGUF form for ",
           s_.architecture->hugging_face, "; llama.cpp reads its factors for LLaMA only");
    }
    for (const auto& [tensor, key] : kLongRope) {
      std::vector<float> values;
      const Json* list = rope.find(key);
      if (!list || !list->is_array()) fail(rope.what(), ": ", key, " must be a list of numbers");
      for (const Json& item : list->items()) values.push_back(static_cast<float>(item.number()));
      if (std::ssize(values) != heads_.dim / 2) {
        fail(rope.what(), ": ", key, " must be a list of ", heads_.dim / 2, " numbers");
      }
      out.push_back(
          constant(tensor, Tensor::from(std::span<const float>(values), {std::ssize(values)})));
    }
  }

  Config plain_rope() const {
    Json values = s_.config().values();
    values.set("rope_theta", rope_theta(s_.config()));
    values.set("rope_scaling", Json());
    values.set("rope_parameters", Json());
    return Config(std::move(values), s_.config().what());
  }

  FormSource s_;
  Heads heads_;
};

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

class LlamaToFolder final : public ToFolder {
 public:
  explicit LlamaToFolder(FormSource source) : s_(std::move(source)), heads_(s_) {}

  std::vector<PlannedTensor> tensors() const override {
    std::vector<PlannedTensor> result;
    for (const std::string& name : s_.weights().names()) {
      if (of_rope(name)) continue;
      const DType dtype = converted_dtype(s_.weights().get_any(name), s_.dtype, DType::f16);
      result.push_back(planned(s_.weights(), name, name, dtype));
      if (const int64_t heads = heads_.of(name)) {
        result.back().make = [weights = s_.weights(), name, dtype, heads] {
          return separate_rows(weights.get_any(name).to(dtype), heads);
        };
      }
    }
    return result;
  }

  Json config() const override {
    Json out = s_.config().values();
    for (const char* ours : {"rope_interleaved", "rotary_dim"}) {
      std::erase_if(out.members(), [&](const auto& member) { return member.first == ours; });
    }
    out.set("head_dim", heads_.dim);
    out.set("num_key_value_heads", heads_.key);
    out.set("hidden_act", "silu");
    if (const Tensor divisors = s_.weights().find(kDivisors, {heads_.dim / 2})) {
      const nn::RotaryEmbedding plain(s_.config(), heads_.dim);
      out.set("rope_scaling",
              llama3_scaling(divisors.to_vector(), plain.frequencies().to_vector()));
    }
    if (std::string_view(s_.architecture->gguf) != "llama") return out;
    out.set("attention_bias", has_bias("q_proj.bias") || has_bias("o_proj.bias"));
    out.set("mlp_bias", has_bias("down_proj.bias"));
    return out;
  }

 private:
  static bool of_rope(const std::string& name) {
    return name == kDivisors ||
           std::ranges::any_of(kLongRope, [&](const auto& row) { return name == row.first; });
  }
  bool has_bias(const char* ending) const {
    return std::ranges::any_of(s_.weights().names(),
                               [&](const std::string& name) { return name.ends_with(ending); });
  }

  FormSource s_;
  Heads heads_;
};

}  // namespace

std::unique_ptr<ToGguf> llama_to_gguf(FormSource source) {
  return std::make_unique<LlamaToGguf>(std::move(source));
}

std::unique_ptr<ToFolder> llama_to_folder(FormSource source) {
  return std::make_unique<LlamaToFolder>(std::move(source));
}

}  // namespace tallow::converting
