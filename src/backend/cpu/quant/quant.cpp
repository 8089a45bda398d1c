// Packing, and the division of quantized products into tiles, for the instruction set at hand.
#include "backend/cpu/quant/quant.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/quant/kernels.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::cpu {
namespace {

/// The activations that stay in the L2 cache while all weights pass by.
constexpr int64_t kActivationBytes = int64_t{512} << 10;
/// Fewer activations than this are rounded by the calling thread.
constexpr int64_t kParallelActivations = 16 << 10;

const quant::Format* format_of(DType dtype) {
  switch (quant::format_type(dtype)) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return &quant::k_##type;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    case DType::nf4_g64:
    case DType::bnb4_g64: return &quant::k_real4;
    case DType::f8_g64: return &quant::k_real8;
    default: return nullptr;
  }
}

const quant::MatmulKernels* matmul_kernels(DType dtype) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512_vnni) return quant::matmul_vnni(dtype);
  if (isa() >= Isa::avx2) return quant::matmul_avx2(dtype);
#endif
  return quant::matmul_portable(dtype);
}

const quant::RealKernels* real_kernels(DType dtype) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) return quant::real_avx512(dtype);
#endif
  (void)dtype;
  return nullptr;
}

quant::PackFn pack_kernel(DType dtype) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) return quant::pack_avx512(dtype);
#endif
  return quant::pack_portable(dtype);
}

quant::QuantizeFn quantize_kernel() {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) return quant::quantize_avx512;
  if (isa() >= Isa::avx2) return quant::quantize_avx2;
#endif
  return quant::quantize_portable;
}

quant::PanelBf16Fn panel_bf16_kernel(DType dtype) {
  if (const quant::RealKernels* kernels = real_kernels(dtype)) return kernels->panel_bf16;
#if defined(__x86_64__)
  if (isa() >= Isa::avx512_bf16) return quant::panel_bf16_bf16(dtype);
  if (isa() >= Isa::avx512) return quant::panel_bf16_avx512(dtype);
#endif
  return quant::panel_bf16_portable(dtype);
}

quant::PanelF32Fn panel_f32_kernel(DType dtype) {
#if defined(__x86_64__)
  if (isa() >= Isa::avx512) return quant::panel_f32_avx512(dtype);
#endif
  return quant::panel_f32_portable(dtype);
}

/// The units that a range along k takes in a row group: where they begin, and how many they are.
struct Units {
  int64_t offset;
  quant::Length length;
};

Units units_of(DType dtype, int64_t k0, int64_t k1) {
  const quant::Format& f = *format_of(dtype);
  const int64_t block = info(dtype).block;
  const int groups = static_cast<int>(block / 32);
  return {k0 / block * f.unit_bytes(groups), {(k1 - k0) / block, groups}};
}

}  // namespace

int64_t PackedBlocks::bytes(DType dtype, int64_t n, int64_t k) {
  if (!format_of(dtype)) {
    fail("packed weights: ", dtype, " has no packed form; convert it to f32");
  }
  storage_bytes(dtype, k);
  const int64_t groups = (n + kPackedRows - 1) / kPackedRows;
  int64_t bytes = 0;
  if (n < 0 || __builtin_mul_overflow(groups, units_of(dtype, k, k).offset, &bytes)) {
    fail("packed weights: [", n, ", ", k, "] is not a size that memory can hold");
  }
  return bytes;
}

PackedBlocks::PackedBlocks(DType dtype, int64_t n, int64_t k)
    : dtype_(dtype), n_(n), k_(k), bytes_(bytes(dtype, n, k)), memory_(packed_memory(bytes_)) {
  group_bytes_ = units_of(dtype, k, k).offset;
}

bool has_packed_form(DType dtype) {
  const quant::Format* f = format_of(dtype);
  return f && (f->values != quant::Values::real || real_kernels(dtype));
}

bool takes_bytes(DType dtype) { return format_of(dtype)->values != quant::Values::real; }

namespace {

/// Packs groups [begin, end) of 16 rows; `source` is the first of them.
void pack_groups_of(PackedBlocks& packed, const uint8_t* source, int64_t begin, int64_t end) {
  const quant::PackFn pack = pack_kernel(packed.dtype());
  const int64_t n = packed.n(), row_bytes = storage_bytes(packed.dtype(), packed.k());
  const std::vector<uint8_t> zeros(n % kPackedRows ? static_cast<size_t>(row_bytes) : 0);
  for (int64_t g = begin; g < end; ++g) {
    const uint8_t* pointers[kPackedRows];
    for (int64_t r = 0; r < kPackedRows; ++r) {
      const int64_t row = g * kPackedRows + r;
      pointers[r] = row < n ? source + (row - begin * kPackedRows) * row_bytes : zeros.data();
    }
    pack(pointers, packed.k() / info(packed.dtype()).block,
         packed.data() + g * packed.group_bytes());
  }
}

/// Packs all rows in parallel. `rows` gives the bytes [begin, end) of the source.
template <class F>
std::shared_ptr<PackedBlocks> pack_all(DType dtype, int64_t n, int64_t k, const SourceRead& read,
                                       const F& rows) {
  auto packed = std::make_shared<PackedBlocks>(dtype, n, k);
  const int64_t row_bytes = storage_bytes(dtype, k), group = kPackedRows * row_bytes;
  const int64_t groups = (n + kPackedRows - 1) / kPackedRows;
  pack_slices(groups, group, read, [&](int64_t begin, int64_t end) {
    pack_groups_of(*packed, rows(begin * group, std::min(end * group, n * row_bytes)), begin, end);
  });
  return packed;
}

}  // namespace

std::shared_ptr<PackedBlocks> pack_blocks(DType dtype, const void* rows, int64_t n, int64_t k,
                                          const SourceRead& read) {
  return pack_all(dtype, n, k, read, [rows](int64_t begin, int64_t) {
    return static_cast<const uint8_t*>(rows) + begin;
  });
}

std::shared_ptr<PackedBlocks> pack_blocks(DType dtype, const MadeRows& rows, int64_t n, int64_t k,
                                          const SourceRead& read) {
  return pack_all(dtype, n, k, read, [&rows](int64_t begin, int64_t end) {
    thread_local std::vector<uint8_t> made;
    made.resize(static_cast<size_t>(end - begin));
    rows(begin, end, reinterpret_cast<std::byte*>(made.data()));
    return made.data();
  });
}

void quantize_rows_share(const QuantizedRows& rows, const float* x, int64_t ldx, int64_t m0,
                         int64_t m1) {
  const quant::QuantizeFn quantize = quantize_kernel();
  for (int64_t i = m0; i < m1; ++i) {
    quantize(x + i * ldx, rows.k, rows.row(i), rows.tile_width(i));
  }
}

QuantizedRows quantize_rows(const float* x, int64_t m, int64_t k, int64_t ldx, void* workspace) {
  const QuantizedRows rows{static_cast<QuantizedBlock*>(workspace), m, k};
  if (m * k < kParallelActivations) {
    quantize_rows_share(rows, x, ldx, 0, m);
    return rows;
  }
  const int64_t grain = std::max<int64_t>(1, kParallelActivations / 4 / std::max<int64_t>(1, k));
  parallel_for(m, grain, [&](int64_t begin, int64_t end, int) {
    quantize_rows_share(rows, x, ldx, begin, end);
  });
  return rows;
}

void block_matmul(const PackedBlocks& weights, const QuantizedRows& x, int64_t m0, int64_t m1,
                  int64_t n0, int64_t n1, float* y, int64_t ldy) {
  const quant::MatmulKernels& kernels = *matmul_kernels(weights.dtype());
  const quant::Length length = units_of(weights.dtype(), 0, weights.k()).length;
  const int64_t row_bytes = QuantizedRows::bytes(1, weights.k());
  const int64_t chunk =
      std::max<int64_t>(1,
                        kActivationBytes / std::max<int64_t>(1, row_bytes * QuantizedRows::kTile)) *
      QuantizedRows::kTile;
  n1 = std::min(n1, weights.n());
  for (int64_t c0 = m0; c0 < m1;) {
    const int64_t c1 = std::min(m1, (c0 / chunk + 1) * chunk);
    for (int64_t n = n0; n < n1; n += kPackedRows) {
      const uint8_t* group = weights.data() + n / kPackedRows * weights.group_bytes();
      const int rows = static_cast<int>(std::min(kPackedRows, n1 - n));
      for (int64_t i = c0; i < c1;) {
        const int64_t end = std::min(c1, (i / QuantizedRows::kTile + 1) * QuantizedRows::kTile);
        const int columns = static_cast<int>(end - i);
        kernels.columns[columns - 1](
            {group, x.row(i), x.tile_width(i), length, y + i * ldy + n, ldy, rows, columns});
        i = end;
      }
    }
    c0 = c1;
  }
}

void real_matmul(const PackedBlocks& weights, const float* x, int64_t ldx, int64_t m0, int64_t m1,
                 int64_t n0, int64_t n1, float* y, int64_t ldy) {
  const quant::RealKernels& kernels = *real_kernels(weights.dtype());
  const int64_t units = units_of(weights.dtype(), 0, weights.k()).length.units;
  n1 = std::min(n1, weights.n());
  for (int64_t n = n0; n < n1; n += kPackedRows) {
    const uint8_t* group = weights.data() + n / kPackedRows * weights.group_bytes();
    const int rows = static_cast<int>(std::min(kPackedRows, n1 - n));
    for (int64_t i = m0; i < m1;) {
      const int64_t columns = std::min<int64_t>(4, m1 - i);
      kernels.columns[columns - 1]({group, x + i * ldx, ldx, units, y + i * ldy + n, ldy, rows});
      i += columns;
    }
  }
}

void panel_bf16(const PackedBlocks& weights, int64_t n0, int64_t k0, int64_t k1, uint16_t* panel) {
  const quant::PanelBf16Fn convert = panel_bf16_kernel(weights.dtype());
  const Units units = units_of(weights.dtype(), k0, k1);
  for (int g = 0; g < 2; ++g, panel += (k1 - k0) * kPackedRows) {
    const int64_t group = n0 / kPackedRows + g;
    if (group * kPackedRows < weights.n()) {
      convert(weights.data() + group * weights.group_bytes() + units.offset, units.length, panel);
    } else {
      std::memset(panel, 0, static_cast<size_t>((k1 - k0) * kPackedRows) * sizeof *panel);
    }
  }
}

void panel_f32(const PackedBlocks& weights, int64_t n0, int64_t k0, int64_t k1, float* panel) {
  const quant::PanelF32Fn convert = panel_f32_kernel(weights.dtype());
  const Units units = units_of(weights.dtype(), k0, k1);
  for (int g = 0; g < 2; ++g, panel += kPackedRows) {
    const int64_t group = n0 / kPackedRows + g;
    if (group * kPackedRows < weights.n()) {
      convert(weights.data() + group * weights.group_bytes() + units.offset, units.length, panel);
    } else {
      for (int64_t j = 0; j < k1 - k0; ++j) std::memset(panel + 32 * j, 0, 64);
    }
  }
}

}  // namespace tallow::cpu
