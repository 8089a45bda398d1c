// Checkpoints in safetensors whose weights are quantized: each scheme opens the tensors of a module
// as one weight, of a block dtype that holds it without loss (core/blocks_grouped.h).
//
// A scheme is a row of the table in schemes.cpp and a function in a file beside it. Nothing is read
// but shapes and small tensors until the weight is used: blocks are made, some rows at a time, by
// whoever asks for them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/byte_reader.h"
#include "tallow/error.h"
#include "tallow/tensor_folder.h"

namespace tallow::quantized {

/// A module of the checkpoint ("model.layers.0.mlp.up_proj"), and what is said of all of them.
struct Module {
  const TensorFolder& source;
  const Json& config;  ///< quantization_config
  std::string name;

  template <class... T>
  [[noreturn]] void fail(std::string_view part, const T&... reason) const {
    tallow::fail(source.path(), ": tensor ", quoted(str(name, part)), ": ", reason...);
  }
  bool has(std::string_view part) const { return source.contains(str(name, part)); }
  /// The tensor name + part. Throws Error when it is missing.
  Tensor get(std::string_view part) const;
  /// The same, of a given dtype and number of dimensions.
  Tensor get(std::string_view part, DType dtype, int dims) const;
  /// The same of f32, f16, bf16 or f64, in any shape.
  Tensor real(std::string_view part) const;
  /// The only number of a tensor.
  double number(std::string_view part) const;
  /// Throws Error unless `t` has this shape.
  void check_shape(std::string_view part, const Tensor& t, const Shape& shape) const;
};

/// Element i of a contiguous real tensor.
inline float element(const Tensor& t, int64_t i) {
  const DTypeInfo& type = info(t.dtype());
  float value;
  type.to_f32(static_cast<const std::byte*>(t.raw()) + i * type.bytes, &value, 1);
  return value;
}
/// Element i of a contiguous i32 or i64 tensor.
inline int64_t integer(const Tensor& t, int64_t i) {
  return t.dtype() == DType::i32 ? t.data<int32_t>()[i] : t.data<int64_t>()[i];
}

/// Element `index` of a row of `bits`-bit codes that follow each other from the lowest bit up.
inline uint8_t bits_at(const uint8_t* row, int64_t index, int bits) {
  const int64_t bit = index * bits;
  uint32_t word = row[bit / 8];
  if (bit % 8 + bits > 8) word |= static_cast<uint32_t>(row[bit / 8 + 1]) << 8;
  return static_cast<uint8_t>(word >> (bit % 8) & ((1u << bits) - 1));
}

/// The 8 nibbles of a word, a byte each.
inline uint64_t spread_nibbles(uint32_t word) {
  uint64_t x = word;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  return (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
}
/// The first `count` codes of such a row, a byte each.
void unpack_bits(const uint8_t* row, int64_t count, int bits, uint8_t* out);

/// Writes rows [begin, end) of a weight, of `T` each.
template <class T>
using Rows = std::function<void(int64_t begin, int64_t end, T* out)>;

/// The tensors that a weight is made of, whose pages can go when it is packed.
struct Origin {
  Tensors parts;
  bool by_rows = true;  ///< rows of the weight are rows of the parts, in the same order
};

/// A weight whose rows `rows` writes as blocks (or elements) of `dtype`.
Tensor deferred_weight(DType dtype, const Shape& shape, Rows<std::byte> rows, Origin origin);
/// The same of f16 or bf16, for what fits no block dtype: `rows` writes f32.
Tensor dense_weight(DType dtype, const Shape& shape, Rows<float> rows, Origin origin);
/// The dtype of such a weight: that of its scales where it is narrower than f32.
inline DType dense_dtype(DType scales) { return scales == DType::bf16 ? DType::bf16 : DType::f16; }

/// Integer codes in groups along k: scale * (code - zero).
struct IntegerWeight {
  int64_t n = 0, k = 0;
  int bits = 4;       ///< 1 to 8
  int64_t group = 0;  ///< consecutive columns under one scale
  /// Codes [rows, k], a byte each.
  Rows<uint8_t> codes;
  std::function<float(int64_t row, int64_t group)> scale, zero;
  DType scales = DType::f16;  ///< their dtype in the file
  /// The group of each column, where groups are not consecutive.
  std::vector<int32_t> group_of;
  Origin origin;
};
Tensor open_integers(IntegerWeight weight);

/// The group of each column as `index` [k] says; empty where groups of `group` columns follow each
/// other. `part` is the tensor's name, for messages.
std::vector<int32_t> read_groups(const Module& m, std::string_view part, const Tensor& index,
                                 int64_t groups, int64_t group);

/// What opens a module's weight. Throws Error.
using Open = Tensor (*)(const Module&);

Tensor open_gptq(const Module&);
Tensor open_awq(const Module&);
Tensor open_fp8(const Module&);
Tensor open_bitsandbytes_4bit(const Module&);
Tensor open_bitsandbytes_int8(const Module&);
Tensor open_compressed_packed(const Module&);
Tensor open_compressed_plain(const Module&);
Tensor open_modelopt(const Module&);
Tensor open_mxfp4_experts(const Module&);
Tensor open_hqq(const Module&);
Tensor open_torchao(const Module&);

/// Nibbles of FP4 (E2M1), two to a byte, the first one low: with E4M3 scales per 16 times `factor`,
/// or with E8M0 scales per 32.
Tensor open_nvfp4(const Module& m, const Tensor& codes, const Tensor& scales, float factor);
Tensor open_mxfp4(const Module& m, const Tensor& codes, const Tensor& scales, const Shape& shape);
/// E4M3 or i8 codes [n, k] under a scale for all, for each row or for each block of
/// `block` = {rows, columns}; `zeros`, if defined, has the shape of the scales.
Tensor open_scaled(const Module& m, const Tensor& codes, const Tensor& scales, const Tensor& zeros,
                   std::pair<int64_t, int64_t> block);

}  // namespace tallow::quantized

namespace tallow {

/// The tensors of a folder with the quantized ones joined into weights, as `config` (that of
/// config.json, or of a file beside it) says; `folder` itself where nothing is quantized. Throws
/// Error for a scheme that is not known.
std::shared_ptr<const WeightSource> open_quantized(std::shared_ptr<const TensorFolder> folder,
                                                   const Json& config);

}  // namespace tallow
