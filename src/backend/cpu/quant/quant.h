// Matrix products with weights in GGUF block types: the packed form of the weights, activations
// rounded to 8 bits, and the kernels that multiply the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "backend/cpu/kernels.h"
#include "backend/cpu/packed_memory.h"
#include "tallow/dtype.h"

namespace tallow::cpu {

/// Rows that are interleaved in the packed form; a share of the outputs starts at a multiple of it.
inline constexpr int64_t kPackedRows = 16;

/// A weight matrix [n, k] with 16 rows interleaved, so that one 64-byte load holds 4 consecutive k
/// of 16 rows. At most 1.06 times the bytes of the source, but for codebooks, which are expanded to
/// 3 or 4 bits an element, and tq1_0, to 2; n is padded with rows of zeros.
class PackedBlocks {
 public:
  PackedBlocks(DType dtype, int64_t n, int64_t k);
  /// What one takes. Throws Error for a type without such a form, and for what cannot be addressed.
  static int64_t bytes(DType dtype, int64_t n, int64_t k);

  DType dtype() const { return dtype_; }
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t bytes() const { return bytes_; }
  /// The bytes of 16 interleaved rows; row group g starts at data() + g * group_bytes().
  int64_t group_bytes() const { return group_bytes_; }
  uint8_t* data() const { return reinterpret_cast<uint8_t*>(memory_.get()); }

 private:
  DType dtype_;
  int64_t n_, k_, group_bytes_, bytes_;
  std::shared_ptr<std::byte> memory_;
};

/// Whether pack_blocks takes this dtype.
bool has_packed_form(DType dtype);

/// Packs rows [n, k] (row-major blocks, as in a GGUF file), in parallel. Throws Error when the
/// memory cannot be had.
std::shared_ptr<PackedBlocks> pack_blocks(DType dtype, const void* rows, int64_t n, int64_t k,
                                          const SourceRead& read = {});
/// The same of rows that are made on the way: `rows` writes their bytes [begin, end).
using MadeRows = std::function<void(int64_t begin, int64_t end, std::byte* out)>;
std::shared_ptr<PackedBlocks> pack_blocks(DType dtype, const MadeRows& rows, int64_t n, int64_t k,
                                          const SourceRead& read = {});

/// 1.5 * 2^23 in f32, and its bits. An integer below 2^22 added to the bits is added to the value.
inline constexpr float kMagic = 12582912.0f;
inline constexpr int32_t kMagicBits = 0x4b400000;

/// 32 activations of one row in 8 bits, with what every weight type needs beside them.
struct alignas(64) QuantizedBlock {
  int32_t q[8];      ///< 32 signed bytes, 4 to a word
  float scale;       ///< activation = scale * byte; has 22 bits, so that magic is exact
  float magic;       ///< kMagic * scale
  float total;       ///< the sum of the 32 activations as rounded
  float half[2];     ///< the same for each 16
  int32_t zero;      ///< kMagicBits - 128 * the sum of the 32 bytes: undoes unsigned weights' +128
  int32_t zero2[2];  ///< -128 * the sum of the bytes of each 16
};

/// Activations [m, k] in 8 bits, in memory of the caller's. Rows stand in tiles of 8 (the last may
/// be narrower), and the blocks of a tile are interleaved: [tile][k / 32][rows of the tile].
struct QuantizedRows {
  static constexpr int64_t kTile = 8;
  QuantizedBlock* blocks = nullptr;  ///< aligned to 64
  int64_t m = 0, k = 0;

  /// The bytes of workspace that m rows of k need; k is a multiple of 32.
  static int64_t bytes(int64_t m, int64_t k) {
    return m * (k / 32) * static_cast<int64_t>(sizeof(QuantizedBlock));
  }
  int64_t tile_width(int64_t row) const {
    const int64_t rest = m - row / kTile * kTile;
    return rest < kTile ? rest : kTile;
  }
  /// The first block of a row; its next is tile_width(row) further.
  QuantizedBlock* row(int64_t i) const { return blocks + i / kTile * kTile * (k / 32) + i % kTile; }
};

/// Rounds x [m, k] (rows ldx floats apart) into `workspace` of QuantizedRows::bytes(m, k) bytes,
/// aligned to 64. Large inputs are done in parallel.
QuantizedRows quantize_rows(const float* x, int64_t m, int64_t k, int64_t ldx, void* workspace);
/// One thread's share of the same: rows [m0, m1) of x into `rows`, whose fields are set.
void quantize_rows_share(const QuantizedRows& rows, const float* x, int64_t ldx, int64_t m0,
                         int64_t m1);

/// y[i, j] = activations[i, :] . weights[j, :] for i in [m0, m1) and j in [n0, min(n1, n)): one
/// thread's share. n0 is a multiple of 16, m0 best a multiple of 8; y points at element [0, 0] and
/// has rows ldy floats apart. The result of an element does not depend on the share it is in.
void block_matmul(const PackedBlocks& weights, const QuantizedRows& x, int64_t m0, int64_t m1,
                  int64_t n0, int64_t n1, float* y, int64_t ldy);

/// Whether block_matmul takes the type; else real_matmul does, with activations in f32.
bool takes_bytes(DType dtype);
/// As block_matmul, of x in rows ldx floats apart.
void real_matmul(const PackedBlocks& weights, const float* x, int64_t ldx, int64_t m0, int64_t m1,
                 int64_t n0, int64_t n1, float* y, int64_t ldy);

/// Weights [n0, n0 + 32) x [k0, k1) as bf16 (round to nearest even) in the order that AMX takes:
/// [2][(k1 - k0) / 2][16 rows][2]. n0 is a multiple of 16, k0 and k1 of the block length; rows from
/// n on are zero. `panel` is aligned to 64.
void panel_bf16(const PackedBlocks& weights, int64_t n0, int64_t k0, int64_t k1, uint16_t* panel);
/// The same in f32, in the order [k1 - k0][32 rows], of types that block_matmul takes.
void panel_f32(const PackedBlocks& weights, int64_t n0, int64_t k0, int64_t k1, float* panel);

}  // namespace tallow::cpu
