// torchao's tensors whose layout is plain: Int8Tensor, IntxUnpackedToInt8Tensor, Int4Tensor and
// Float8Tensor, flattened to _weight_qdata, _weight_scale and _weight_zero_point.
#include "formats/quantized/quantized.h"
#include "tallow/safetensors.h"

namespace tallow::quantized {
namespace {

/// The class of the weight, from the metadata of its file.
std::string class_of(const Module& m) {
  const std::string name = m.name + ".weight";
  for (const auto& file : m.source.files()) {
    const auto* safetensors = dynamic_cast<const SafetensorsFile*>(file.get());
    if (!safetensors) continue;
    for (const auto& [key, value] : safetensors->metadata()) {
      if (key != name) continue;
      const Json json = Json::parse(value, str(file->path(), ": metadata ", quoted(key)));
      const Json* type = json.find("_type");
      if (type && type->is_string()) return type->string();
    }
  }
  m.fail("._weight_qdata", "the metadata of its file does not name its class; save the model with ",
         "torchao 0.15 or newer");
}

/// Nibbles [n, k / 2] in two's complement, the first one low; scales and zeros [k / group, n], and
/// zeros are added after the scale.
Tensor open_int4(const Module& m) {
  const Tensor packed = m.get("._weight_qdata"), scales = m.real("._weight_scale");
  const Tensor zeros = m.real("._weight_zero_point");
  if (packed.dim() != 2 || info(packed.dtype()).bytes != 1 || scales.dim() != 2) {
    m.fail("._weight_qdata", packed, " with scales ", scales, " is not a torchao Int4Tensor");
  }
  IntegerWeight w;
  w.n = packed.size(0), w.k = packed.size(1) * 2, w.bits = 4;
  const int64_t groups = scales.size(0), n = w.n, k = w.k;
  if (groups == 0 || k % groups != 0) {
    m.fail("._weight_scale", scales, " does not divide ", k, " columns");
  }
  m.check_shape("._weight_scale", scales, {groups, n});
  m.check_shape("._weight_zero_point", zeros, {groups, n});
  w.group = k / groups;
  w.scales = scales.dtype();
  w.codes = [packed, k](int64_t begin, int64_t end, uint8_t* out) {
    const auto* from = static_cast<const uint8_t*>(packed.raw());
    for (int64_t i = begin * k; i < end * k; ++i) {
      *out++ = (from[i / 2] >> (4 * (i % 2)) & 15) ^ 8;
    }
  };
  w.scale = [=](int64_t row, int64_t g) { return element(scales, g * n + row); };
  w.zero = [=](int64_t row, int64_t g) {
    const float scale = element(scales, g * n + row);
    return scale == 0 ? 8 : 8 - element(zeros, g * n + row) / scale;
  };
  w.origin = {{packed}, true};
  return open_integers(std::move(w));
}

}  // namespace

Tensor open_torchao(const Module& m) {
  const std::string type = class_of(m);
  if (type == "Int4Tensor") return open_int4(m);
  if (type != "Int8Tensor" && type != "IntxUnpackedToInt8Tensor" && type != "Float8Tensor") {
    m.fail("._weight_qdata", "is a torchao ", type, "; known are Int4Tensor, Int8Tensor, ",
           "IntxUnpackedToInt8Tensor, Float8Tensor: quantize the model with one of their layouts");
  }
  const Tensor codes = m.get("._weight_qdata"), scales = m.real("._weight_scale");
  const bool has_zeros = type != "Float8Tensor" && m.has("._weight_zero_point");
  return open_scaled(m, codes, scales, has_zeros ? m.get("._weight_zero_point") : Tensor(),
                     {128, 128});
}

}  // namespace tallow::quantized
