// The table of schemes, and the folder that shows a scheme's tensors as weights.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "formats/quantized/quantized.h"

namespace tallow {
namespace quantized {

Tensor Module::get(std::string_view part) const {
  const std::string full = str(name, part);
  if (!source.contains(full)) fail(part, "is missing; the quantized weight needs it");
  return source.get(full);
}

Tensor Module::get(std::string_view part, DType dtype, int dims) const {
  Tensor t = get(part);
  if (t.dtype() != dtype || t.dim() != dims) {
    fail(part, "is ", t, "; it needs ", dtype, " of ", dims, " dimensions");
  }
  return t;
}

Tensor Module::real(std::string_view part) const {
  Tensor t = get(part);
  if (!is_real(t.dtype()) || t.dtype() == DType::f64) {
    fail(part, "is ", t, "; it needs f32, f16 or bf16");
  }
  return t;
}

double Module::number(std::string_view part) const {
  const Tensor t = get(part);
  if (t.numel() != 1 || !info(t.dtype()).to_f32 || is_block(t.dtype())) {
    fail(part, "is ", t, "; it needs one number");
  }
  return element(t, 0);
}

void Module::check_shape(std::string_view part, const Tensor& t, const Shape& shape) const {
  if (t.shape() != shape) fail(part, "is ", t, "; the weight's other tensors ask for ", shape);
}

namespace {

/// A tensor whose name ends with `marker` says that its module is quantized: its weight is named
/// MODULE + weight.
struct Scheme {
  const char* method;  // quant_method
  const char* marker;
  const char* weight;
  Open open;
};

constexpr Scheme kSchemes[] = {
    {"gptq", ".qweight", ".weight", open_gptq},
    {"awq", ".qweight", ".weight", open_awq},
    {"fp8", ".weight_scale_inv", ".weight", open_fp8},
    {"fp8", ".weight_scale", ".weight", open_fp8},
    {"fbgemm_fp8", ".weight_scale", ".weight", open_fp8},
    {"bitsandbytes", ".weight.quant_state.bitsandbytes__nf4", ".weight", open_bitsandbytes_4bit},
    {"bitsandbytes", ".weight.quant_state.bitsandbytes__fp4", ".weight", open_bitsandbytes_4bit},
    {"bitsandbytes", ".SCB", ".weight", open_bitsandbytes_int8},
    {"compressed-tensors", ".weight_packed", ".weight", open_compressed_packed},
    {"compressed-tensors", ".weight_scale", ".weight", open_compressed_plain},
    {"modelopt", ".weight_scale", ".weight", open_modelopt},
    {"mxfp4", "_blocks", "", open_mxfp4_experts},
    {"hqq", ".W_q", ".weight", open_hqq},
    {"torchao", "._weight_qdata", ".weight", open_torchao},
};

/// Tensors of a quantized module that are no weights of their own.
constexpr const char* kParts[] = {
    ".qzeros",
    ".scales",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_scale_2",
    ".input_scale",
    ".activation_scale",
    ".weight_zero_point",
    ".input_zero_point",
    ".weight_shape",
    ".weight_g_idx",
    ".weight_global_scale",
    ".input_global_scale",
    ".SCB",
    ".weight_format",
    ".weight.absmax",
    ".weight.quant_map",
    ".weight.nested_absmax",
    ".weight.nested_quant_map",
    "_scales",
    "._weight_scale",
    "._weight_zero_point",
    ".nbits",
    ".group_size",
    ".shape",
    ".scale",
    ".zero",
    ".axis",
    ".packing",
    ".unpack_view_dtype",
    ".view_as_float",
    ".quant_scale",
    ".quant_zero",
    ".compute_dtype",
    ".offload_meta",
    ".encoded_state_dict",
    ".stores_quant_config",
    ".channel_wise",
    ".optimize",
    ".round_zero",
};

class QuantizedFolder final : public WeightSource {
 public:
  QuantizedFolder(std::shared_ptr<const TensorFolder> folder, const std::string& method,
                  Json config)
      : folder_(std::move(folder)), config_(std::move(config)) {
    const std::vector<std::string> all = folder_->names();
    for (const Scheme& scheme : kSchemes) {
      if (method == scheme.method) find_weights(all, scheme);
    }
    for (const std::string& name : all) {
      if (!is_part(name)) names_.push_back(name);
    }
    for (const auto& [name, entry] : weights_) {
      if (!folder_->contains(name)) names_.push_back(name);
    }
  }

  const std::string& path() const override { return folder_->path(); }
  std::vector<std::string> names() const override { return names_; }
  bool contains(std::string_view name) const override {
    return weights_.contains(std::string(name)) || (folder_->contains(name) && !is_part(name));
  }
  Tensor get(std::string_view name) const override {
    const auto found = weights_.find(std::string(name));
    if (found == weights_.end()) return folder_->get(name);
    const Entry& entry = found->second;
    const std::lock_guard lock(mutex_);
    if (!entry.opened) {
      entry.opened = entry.scheme->open(Module{*folder_, config_, entry.module});
    }
    return entry.opened;
  }

 private:
  struct Entry {
    std::string module;
    const Scheme* scheme;
    mutable Tensor opened;
  };

  void find_weights(const std::vector<std::string>& names, const Scheme& scheme) {
    for (const std::string& name : names) {
      if (!name.ends_with(scheme.marker)) continue;
      const std::string module = name.substr(0, name.size() - std::strlen(scheme.marker));
      weights_.try_emplace(module + scheme.weight, Entry{module, &scheme, {}});
      modules_.insert(module);
      markers_.insert(name);
    }
  }

  bool is_part(std::string_view name) const {
    const std::string text(name);
    if (markers_.contains(text)) return true;
    for (const std::string_view part : kParts) {
      if (name.ends_with(part) && modules_.contains(text.substr(0, text.size() - part.size()))) {
        return true;
      }
    }
    return false;
  }

  std::shared_ptr<const TensorFolder> folder_;
  Json config_;
  std::unordered_map<std::string, Entry> weights_;
  std::unordered_set<std::string> modules_, markers_;
  std::vector<std::string> names_;
  mutable std::mutex mutex_;
};

std::string text_of(const Json& config, const char* key) {
  const Json* value = config.find(key);
  return value && value->is_string() ? value->string() : "";
}

/// quant_method, or what older files say instead of it.
std::string method_of(const Json& config) {
  std::string method = text_of(config, "quant_method");
  if (method.empty() && config.find("quant_algo")) return "modelopt";
  if (method.empty() && config.find("w_bit")) return "awq";
  if (method.empty() && config.find("bits") && config.find("group_size")) return "gptq";
  if (method == "auto-round") {
    const std::string packing = text_of(config, "packing_format");
    return packing.find("awq") != packing.npos ? "awq" : "gptq";
  }
  return method == "compressed_tensors" ? "compressed-tensors" : method;
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  std::string known;
  for (const Scheme& scheme : kSchemes) {
    if (known.find(scheme.method) == known.npos)
      known += str(known.empty() ? "" : ", ", scheme.method);
  }
  fail(path, ": quantization_config: ", what, " is not known; known are ", known,
       ": dequantize the model with the library that wrote it, or quantize it with one of these");
}

/// Variants of a known method that pack their tensors in another way.
void check_variant(const std::string& path, const std::string& method, const Json& config) {
  const std::string format = text_of(config, "checkpoint_format");
  if (method == "gptq" && !format.empty() && format != "gptq" && format != "gptq_v2") {
    refuse(path, str("checkpoint_format ", quoted(format)));
  }
  const std::string packed = text_of(config, "format");
  for (const char* other : {"sparse-24-bitmask", "sparse-bitmask", "marlin-24",
                            "mxfp6-pack-quantized", "mxfp8-quantized"}) {
    if (method == "compressed-tensors" && packed == other) {
      refuse(path, str("format ", quoted(packed)));
    }
  }
}

}  // namespace
}  // namespace quantized

std::shared_ptr<const WeightSource> open_quantized(std::shared_ptr<const TensorFolder> folder,
                                                   const Json& config) {
  if (!config.is_object()) return folder;
  const std::string method = quantized::method_of(config);
  const bool known = std::any_of(std::begin(quantized::kSchemes), std::end(quantized::kSchemes),
                                 [&](const auto& scheme) { return method == scheme.method; });
  if (!known) quantized::refuse(folder->path(), str("quant_method ", quoted(method)));
  quantized::check_variant(folder->path(), method, config);
  return std::make_shared<quantized::QuantizedFolder>(std::move(folder), method, config);
}

}  // namespace tallow
