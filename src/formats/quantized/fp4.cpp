// Four-bit floats: NVFP4, MXFP4, and bitsandbytes' NF4 and FP4.
#include <cmath>
#include <cstring>

#include "core/blocks.h"
#include "core/blocks_grouped.h"
#include "formats/quantized/quantized.h"

namespace tallow::quantized {
namespace {

/// 32 nibbles, two to a byte, as the block dtypes have them.
void put_nibbles(const uint8_t* pairs, bool high_first, uint8_t* out) {
  uint8_t codes[32];
  for (int j = 0; j < 16; ++j) {
    codes[2 * j] = high_first ? pairs[j] >> 4 : pairs[j] & 15;
    codes[2 * j + 1] = high_first ? pairs[j] & 15 : pairs[j] >> 4;
  }
  blocks::put_codes(4, codes, out);
}

const uint8_t* bytes_of(const Tensor& t) { return static_cast<const uint8_t*>(t.raw()); }

}  // namespace

Tensor open_nvfp4(const Module& m, const Tensor& codes, const Tensor& scales, float factor) {
  const int64_t n = codes.size(0), k = codes.size(1) * 2;
  if (k % 16 != 0 || scales.dtype() != DType::f8_e4m3) {
    m.fail("", "codes ", codes, " and scales ", scales, " are not those of NVFP4");
  }
  m.check_shape(".weight_scale", scales, {n, k / 16});
  const uint8_t *from = bytes_of(codes), *scale = bytes_of(scales);
  const Origin origin{{codes, scales}, true};
  if (k % 64 != 0) {
    const auto rows = [=](int64_t begin, int64_t end, float* out) {
      for (int64_t i = begin * k; i < end * k; ++i) {
        const int code = from[i / 2] >> (4 * (i % 2)) & 15;
        *out++ = 0.5f * static_cast<float>(blocks::kFp4Values[code]) *
                 (element(scales, i / 16) * factor);
      }
    };
    return dense_weight(DType::bf16, {n, k}, rows, origin);
  }
  const auto rows = [=](int64_t begin, int64_t end, std::byte* out) {
    auto* block = reinterpret_cast<uint8_t*>(out);
    for (int64_t i = begin * k; i < end * k; i += 64, block += 40) {
      std::memcpy(block, &factor, 4);
      std::memcpy(block + 4, scale + i / 16, 4);
      put_nibbles(from + i / 2, false, block + 8);
      put_nibbles(from + i / 2 + 16, false, block + 24);
    }
  };
  return deferred_weight(DType::fp4_g16, {n, k}, rows, origin);
}

Tensor open_mxfp4(const Module& m, const Tensor& codes, const Tensor& scales, const Shape& shape) {
  const int64_t k = shape.back();
  int64_t n = 1;
  for (int i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  if (k % 32 != 0 || scales.numel() != n * k / 32 || codes.numel() != n * k / 2 ||
      info(scales.dtype()).bytes != 1) {
    m.fail("", "codes ", codes, " and scales ", scales, " are not those of MXFP4 weights ", shape);
  }
  const uint8_t *from = bytes_of(codes), *scale = bytes_of(scales);
  const auto rows = [=](int64_t begin, int64_t end, std::byte* out) {
    auto* block = reinterpret_cast<uint8_t*>(out);
    for (int64_t i = begin * k; i < end * k; i += 32, block += 17) {
      block[0] = scale[i / 32];
      put_nibbles(from + i / 2, false, block + 1);
    }
  };
  return deferred_weight(DType::mxfp4, shape, rows, {{codes, scales}, true});
}

// gpt-oss: NAME_blocks [experts, n, k / 32, 16] and NAME_scales [experts, n, k / 32].
Tensor open_mxfp4_experts(const Module& m) {
  const Tensor codes = m.get("_blocks", DType::u8, 4), scales = m.get("_scales");
  if (codes.size(3) != 16) m.fail("_blocks", "is ", codes, "; it needs [experts, n, k / 32, 16]");
  m.check_shape("_scales", scales, {codes.size(0), codes.size(1), codes.size(2)});
  return open_mxfp4(m, codes, scales, {codes.size(0), codes.size(1), codes.size(2) * 32});
}

// TensorRT Model Optimizer: FP8 with one scale, NVFP4 with a scale of scales.
Tensor open_modelopt(const Module& m) {
  const Tensor codes = m.get(".weight");
  if (codes.dtype() != DType::u8) return open_fp8(m);
  if (codes.dim() != 2) m.fail(".weight", "is ", codes, "; it needs [n, k / 2]");
  const Tensor scales = m.get(".weight_scale");
  const auto factor = static_cast<float>(m.number(".weight_scale_2"));
  return open_nvfp4(m, codes, scales, factor);
}

namespace {

/// What the tensor NAME.weight.quant_state.bitsandbytes__nf4 says in JSON.
struct QuantState {
  bool nf4;
  int64_t n, k, block;
  int64_t nested_block = 0;
  float nested_offset = 0;
  DType dtype = DType::f16;
};

int64_t state_integer(const Module& m, const std::string& part, const Json* value) {
  constexpr int64_t kMost = int64_t{1} << 40;
  if (!value || !value->is_integer() || value->integer() < 1 || value->integer() > kMost) {
    m.fail(part, "a size is missing or out of range; the file is damaged");
  }
  return value->integer();
}

QuantState read_state(const Module& m) {
  const bool nf4 = m.has(".weight.quant_state.bitsandbytes__nf4");
  const std::string part =
      nf4 ? ".weight.quant_state.bitsandbytes__nf4" : ".weight.quant_state.bitsandbytes__fp4";
  const Tensor bytes = m.get(part, DType::u8, 1);
  const Json json =
      Json::parse({static_cast<const char*>(bytes.raw()), static_cast<size_t>(bytes.numel())},
                  str(m.source.path(), ": tensor ", quoted(m.name + part)));
  QuantState s{};
  s.nf4 = nf4;
  s.block = state_integer(m, part, json.find("blocksize"));
  const Json* shape = json.find("shape");
  if (!shape || !shape->is_array() || shape->items().size() != 2) {
    m.fail(part, "\"shape\" is missing or not [n, k]");
  }
  s.n = state_integer(m, part, &shape->items()[0]);
  s.k = state_integer(m, part, &shape->items()[1]);
  if (const Json* nested = json.find("nested_blocksize")) {
    s.nested_block = state_integer(m, part, nested);
    const Json* offset = json.find("nested_offset");
    if (!offset || !offset->is_number()) m.fail(part, "\"nested_offset\" is missing");
    s.nested_offset = static_cast<float>(offset->number());
  }
  const Json* dtype = json.find("dtype");
  if (dtype && dtype->is_string() && dtype->string() == "bfloat16") s.dtype = DType::bf16;
  return s;
}

/// The scale of each block; where they are quantized themselves, a code of a table of 256, times a
/// scale of their own, plus an offset.
std::function<float(int64_t)> read_absmax(const Module& m, const QuantState& s, int64_t count) {
  if (s.nested_block == 0) {
    const Tensor absmax = m.real(".weight.absmax");
    if (absmax.numel() != count) {
      m.fail(".weight.absmax", absmax, " does not have the ", count, " blocks of the weight");
    }
    return [absmax](int64_t i) { return element(absmax, i); };
  }
  const Tensor codes = m.get(".weight.absmax", DType::u8, 1);
  const Tensor table = m.get(".weight.nested_quant_map", DType::f32, 1);
  const Tensor outer = m.get(".weight.nested_absmax", DType::f32, 1);
  if (codes.numel() != count) {
    m.fail(".weight.absmax", codes, " does not have the ", count, " blocks of the weight");
  }
  m.check_shape(".weight.nested_quant_map", table, {256});
  m.check_shape(".weight.nested_absmax", outer, {(count + s.nested_block - 1) / s.nested_block});
  return [=](int64_t i) {
    const float inner = table.data<float>()[codes.data<uint8_t>()[i]];
    return inner * outer.data<float>()[i / s.nested_block] + s.nested_offset;
  };
}

void check_table(const Module& m, const float* table) {
  const Tensor map = m.get(".weight.quant_map", DType::f32, 1);
  m.check_shape(".weight.quant_map", map, {16});
  for (int i = 0; i < 16; ++i) {
    if (std::abs(map.data<float>()[i] - table[i]) > 1e-6f) {
      m.fail(".weight.quant_map", "value ", i, " is ", map.data<float>()[i], ", where ", table[i],
             " was expected; this code is not known");
    }
  }
}

}  // namespace

// weight: nibbles of the flat matrix, the high one first, in blocks with a scale each.
Tensor open_bitsandbytes_4bit(const Module& m) {
  constexpr int64_t kBlock = 64;
  const QuantState s = read_state(m);
  const Tensor packed = m.get(".weight");
  int64_t count;
  if (__builtin_mul_overflow(s.n, s.k, &count) || packed.nbytes() != (count + 1) / 2) {
    m.fail(".weight", packed, " does not hold the nibbles of [", s.n, ", ", s.k, "]");
  }
  const float* table = s.nf4 ? blocks::kNf4Values : blocks::kBnb4Values;
  check_table(m, table);
  const auto absmax = read_absmax(m, s, (count + s.block - 1) / s.block);
  const uint8_t* from = bytes_of(packed);
  const int64_t k = s.k, block = s.block;
  const Origin origin{{packed}, true};
  if (k % kBlock != 0 || block % kBlock != 0) {
    const auto rows = [=](int64_t begin, int64_t end, float* out) {
      for (int64_t i = begin * k; i < end * k; ++i) {
        *out++ = absmax(i / block) * table[from[i / 2] >> (i % 2 ? 0 : 4) & 15];
      }
    };
    return dense_weight(s.dtype, {s.n, k}, rows, origin);
  }
  const auto rows = [=](int64_t begin, int64_t end, std::byte* out) {
    auto* target = reinterpret_cast<uint8_t*>(out);
    for (int64_t i = begin * k; i < end * k; i += kBlock, target += 36) {
      const float scale = absmax(i / block);
      std::memcpy(target, &scale, 4);
      put_nibbles(from + i / 2, true, target + 4);
      put_nibbles(from + i / 2 + 16, true, target + 20);
    }
  };
  return deferred_weight(s.nf4 ? DType::nf4_g64 : DType::bnb4_g64, {s.n, k}, rows, origin);
}

}  // namespace tallow::quantized
