// Element types. A quantized GGUF block type is a row in the same table as f32.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tallow {

// clang-format off
enum class DType : uint8_t {
  f64, f32, f16, bf16, f8_e4m3, f8_e5m2, f8_e4m3fnuz, f8_e5m2fnuz, f8_e8m0,
  i8, i16, i32, i64, u8, u16, u32, u64, boolean, c64, c128,
  f4_e2m1, f6_e2m3, f6_e3m2,
  q4_0, q4_1, q5_0, q5_1, q8_0,
  q2_k, q3_k, q4_k, q5_k, q6_k,
  iq4_nl, iq4_xs, mxfp4, tq2_0, tq1_0, nvfp4,
  iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s,
  q1_0, q2_0, q8_1, q8_k,
  // What checkpoints in safetensors are repacked into (core/blocks_grouped.h):
  u2_g32, u2_g64, u2_g128, u3_g32, u3_g64, u3_g128, u4_g32, u4_g64, u4_g128,
  u8_g32, u8_g64, u8_g128, nf4_g64, bnb4_g64, fp4_g16, f8_g64,
};
// clang-format on
inline constexpr int kDTypeCount = static_cast<int>(DType::f8_g64) + 1;

enum class DTypeKind : uint8_t { real, integer, boolean, complex, block };

/// One row of the dtype table.
struct DTypeInfo {
  DType dtype;
  const char* name;         ///< as PyTorch or ggml spell it, lower case: "f32", "q4_k"
  const char* safetensors;  ///< the name in a safetensors header, or null
  int gguf;                 ///< the ggml_type id, or -1
  DTypeKind kind;
  int block;  ///< elements in a block (1 unless quantized)
  int bytes;  ///< bytes of a block
  /// Converts n elements (a multiple of `block`) to or from f32; null where there is none.
  void (*to_f32)(const void* source, float* target, int64_t n);
  void (*from_f32)(const float* source, void* target, int64_t n);
};

const DTypeInfo& info(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
std::optional<DType> dtype_from_safetensors(std::string_view name);
std::optional<DType> dtype_from_gguf(int64_t id);

inline bool is_block(DType d) { return info(d).kind == DTypeKind::block; }
inline bool is_real(DType d) { return info(d).kind == DTypeKind::real; }
inline bool is_complex(DType d) { return info(d).kind == DTypeKind::complex; }
/// Whether values of the dtype can have a gradient: real and complex ones.
inline bool is_differentiable(DType d) { return is_real(d) || is_complex(d); }
/// Integers and bool.
inline bool is_integral(DType d) {
  return info(d).kind == DTypeKind::integer || info(d).kind == DTypeKind::boolean;
}
/// c64 for f32 and narrower, c128 for f64; complex dtypes themselves.
DType to_complex(DType d);
/// f32 for c64, f64 for c128; other dtypes themselves.
DType to_real(DType d);
/// What a function of integers that is not an integer yields, and what numbers with a fraction
/// become: f32, unless set. As torch.set_default_dtype; throws Error for a dtype that is not real.
DType default_dtype();
void set_default_dtype(DType dtype);
std::string to_string(DType dtype);

/// The bytes of n elements along the last dimension; n must be a multiple of the block length.
/// Throws Error when it is not, or when the product overflows.
int64_t storage_bytes(DType dtype, int64_t n);

}  // namespace tallow
