// FP8 and 8-bit integers as they are, under scales: fp8, fbgemm_fp8, compressed-tensors' plain
// formats, LLM.int8.
#include <algorithm>
#include <cstring>

#include "formats/quantized/quantized.h"

namespace tallow::quantized {
namespace {

constexpr int64_t kF8Block = 64;

/// Scales of a weight [n, k]: one, one for each row, or one for each block.
struct ScaleGrid {
  int64_t rows = 1, columns = 1;  // of the weight, under one scale
  int64_t stride = 0;             // scales in a row of the grid
  int64_t at(int64_t row, int64_t column_block) const { return row / rows * stride + column_block; }
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

ScaleGrid grid_of(const Module& m, const Tensor& codes, const Tensor& scales,
                  std::pair<int64_t, int64_t> block) {
  const int64_t n = codes.size(0), k = codes.size(1);
  if (scales.numel() == 1) return {std::max<int64_t>(n, 1), std::max<int64_t>(k, 1), 0};
  const bool column = scales.dim() == 2 && scales.size(1) == 1;
  if (scales.numel() == n && (scales.dim() == 1 || column)) return {1, std::max<int64_t>(k, 1), 1};
  if (scales.dim() == 2 && scales.size(0) == n && scales.size(1) > 0 && k % scales.size(1) == 0) {
    return {1, k / scales.size(1), scales.size(1)};
  }
  const auto [rows, columns] = block;
  if (rows > 0 && columns > 0 && scales.dim() == 2 && scales.size(0) == ceil_div(n, rows) &&
      scales.size(1) == ceil_div(k, columns)) {
    return {rows, columns, scales.size(1)};
  }
  m.fail("", "scales ", scales, " fit neither the rows of the weight ", codes,
         " nor its blocks of ", rows, " x ", columns);
}

/// E4M3 codes, the scale written every 64.
Tensor open_f8(const Tensor& codes, const Tensor& scales, const ScaleGrid& grid) {
  const int64_t k = codes.size(1);
  const Origin origin{{codes}, true};
  const auto* bytes = static_cast<const uint8_t*>(codes.raw());
  if (k % kF8Block != 0 || grid.columns % kF8Block != 0) {
    const auto rows = [=](int64_t begin, int64_t end, float* out) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t j = 0; j < k; ++j) {
          *out++ = element(codes, r * k + j) * element(scales, grid.at(r, j / grid.columns));
        }
      }
    };
    return dense_weight(dense_dtype(scales.dtype()), codes.shape(), rows, origin);
  }
  const auto rows = [=](int64_t begin, int64_t end, std::byte* out) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t j = 0; j < k; j += kF8Block, out += kF8Block + 4) {
        const float scale = element(scales, grid.at(r, j / grid.columns));
        std::memcpy(out, &scale, 4);
        std::memcpy(out + 4, bytes + r * k + j, kF8Block);
      }
    }
  };
  return deferred_weight(DType::f8_g64, codes.shape(), rows, origin);
}

Tensor open_i8(const Tensor& codes, const Tensor& scales, const Tensor& zeros,
               const ScaleGrid& grid) {
  IntegerWeight w;
  w.n = codes.size(0), w.k = codes.size(1), w.bits = 8, w.group = grid.columns;
  w.codes = [codes, k = w.k](int64_t begin, int64_t end, uint8_t* out) {
    const auto* from = static_cast<const uint8_t*>(codes.raw()) + begin * k;
    for (int64_t i = 0; i < (end - begin) * k; ++i) out[i] = from[i] ^ 0x80;  // 128 is added
  };
  w.scales = scales.dtype();
  w.scale = [scales, grid](int64_t row, int64_t g) { return element(scales, grid.at(row, g)); };
  w.zero = [zeros, grid](int64_t row, int64_t g) {
    return 128.0f + (zeros ? element(zeros, grid.at(row, g)) : 0.0f);
  };
  w.origin = {{codes}, true};
  return open_integers(std::move(w));
}

}  // namespace

Tensor open_scaled(const Module& m, const Tensor& codes, const Tensor& scales, const Tensor& zeros,
                   std::pair<int64_t, int64_t> block) {
  if (codes.dim() != 2) m.fail("", "the weight is ", codes, "; it needs [n, k]");
  const ScaleGrid grid = grid_of(m, codes, scales, block);
  if (zeros && zeros.numel() != scales.numel()) {
    m.fail("", "zero points ", zeros, " do not fit the scales ", scales);
  }
  if (codes.dtype() == DType::f8_e4m3) return open_f8(codes, scales, grid);
  if (codes.dtype() == DType::i8) return open_i8(codes, scales, zeros, grid);
  m.fail("", "the weight is ", codes, "; known are f8_e4m3 and i8");
}

// DeepSeek's and transformers' FP8: weight, and weight_scale_inv for each block of 128 x 128, which
// is multiplied with all the same; vLLM's, with one weight_scale; and fbgemm_fp8, with one a row.
Tensor open_fp8(const Module& m) {
  std::pair<int64_t, int64_t> block{128, 128};
  const Json* size = m.config.find("weight_block_size");
  if (size && size->is_array() && size->items().size() == 2 && size->items()[0].is_integer() &&
      size->items()[1].is_integer()) {
    block = {size->items()[0].integer(), size->items()[1].integer()};
    block = {std::clamp<int64_t>(block.first, 0, 1 << 30),
             std::clamp<int64_t>(block.second, 0, 1 << 30)};
  }
  const Tensor codes = m.get(".weight");
  if (is_real(codes.dtype()) && codes.dtype() != DType::f8_e4m3) return codes;  // left as it was
  const char* part = m.has(".weight_scale_inv") ? ".weight_scale_inv" : ".weight_scale";
  return open_scaled(m, codes, m.real(part), {}, block);
}

// compressed-tensors' int-quantized, float-quantized and naive-quantized.
Tensor open_compressed_plain(const Module& m) {
  const Tensor codes = m.get(".weight"), scales = m.real(".weight_scale");
  if (is_real(codes.dtype()) && codes.dtype() != DType::f8_e4m3) return codes;
  const Tensor zeros = m.has(".weight_zero_point") ? m.get(".weight_zero_point") : Tensor();
  if (zeros && zeros.dtype() != DType::i8 && !is_real(zeros.dtype())) {
    m.fail(".weight_zero_point", "is ", zeros, "; it needs i8");
  }
  return open_scaled(m, codes, scales, zeros, {128, 128});
}

// bitsandbytes, functional.int8_vectorwise_dequant: SCB holds the largest magnitude of each row.
Tensor open_bitsandbytes_int8(const Module& m) {
  constexpr float kInverse127 = 7.874015718698502e-3f;
  const Tensor codes = m.get(".weight", DType::i8, 2), largest = m.real(".SCB");
  m.check_shape(".SCB", largest, {codes.size(0)});
  if (m.has(".weight_format") && m.number(".weight_format") != 0) {
    m.fail(".weight_format", "is not \"row\"; save the model with a newer bitsandbytes");
  }
  Tensor scales = Tensor::empty(largest.shape(), DType::f32);
  for (int64_t i = 0; i < scales.numel(); ++i) {
    scales.data<float>()[i] = element(largest, i) * kInverse127;
  }
  return open_scaled(m, codes, scales, {}, {0, 0});
}

}  // namespace tallow::quantized
