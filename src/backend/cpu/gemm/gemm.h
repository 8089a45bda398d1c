// Products y = x w^T of f32 or f64 rows with weights in any form, over all threads.
//
// A product is cut into units of up to 32 columns. A task takes a run of units and a block of rows
// of x, goes through k in steps whose panels fit the caches, and fetches each unit's panel of the
// weight once: in place where the weight was packed before, else packed, converted or dequantized
// on the way. The steps depend on the shapes alone, so that every thread count gives one result.
#pragma once

#include <memory>
#include <span>

#include "backend/cpu/gemm/kernels.h"
#include "backend/cpu/packed_memory.h"
#include "backend/cpu/quant/quant.h"
#include "tallow/dtype.h"

namespace tallow::cpu {

/// A weight [n, k] and where it stands in the product.
struct Weight {
  enum class Form : uint8_t {
    rows,    ///< as `dtype` has them: any strides of f32 and f64, one that is 1 of bf16 where
             ///< has_bf16_product(); else contiguous
    groups,  ///< f32 in groups of 16 rows, [n / 16][k][16]
    pairs,   ///< bf16 in groups of 16 rows in pairs, [n / 16][k to a multiple of 32, / 2][16][2]
    blocks,  ///< quantized and packed: data is a PackedBlocks
  };
  Form form = Form::rows;
  DType dtype = DType::f32;
  const void* data = nullptr;
  int64_t n = 0, k = 0;
  int64_t n_stride = 0, k_stride = 1;  ///< of f32, f64 and bf16 rows, in elements
  const void* bias = nullptr;          ///< [n] of y's type, or null
};

/// x [m, k] by its strides, in elements.
template <class T>
struct Activations {
  const T* data;
  int64_t m, k;
  int64_t row_stride, k_stride = 1;
};

/// y [m, sum of n] with rows ldy apart: the products with each weight side by side. Where `gated`,
/// there are two weights of one n, gate and up, and y is silu(gate) * up, [m, n].
/// T is float or double (and then all weights are f64 rows, not gated).
template <class T>
void product(const Activations<T>& x, std::span<const Weight> weights, T* y, int64_t ldy,
             bool gated = false);

/// The same for few rows of x and weights of f32 or bf16 that are read as they lie in memory: rows
/// or, of f32, columns without gaps. takes_few_rows() says whether that is possible, and pays.
void product_few(const Activations<float>& x, const Weight& weight, float* y, int64_t ldy);
bool takes_few_rows(const Activations<float>& x, const Weight& weight);

/// x [m, k] in f32 or bf16, by its strides, one of which is 1.
struct Bf16Rows {
  const void* data;
  DType dtype;
  int64_t m, k;
  int64_t row_stride, k_stride = 1;
};

/// The same with x rounded to bf16, for weights in pairs, in packed blocks or in bf16 rows, where
/// the processor has bf16 tiles or dot products: has_bf16_product(). y is f32, or bf16 where there
/// is one weight; biases are f32.
void product_bf16(const Bf16Rows& x, std::span<const Weight> weights, float* y, int64_t ldy,
                  bool gated = false);
void product_bf16(const Bf16Rows& x, const Weight& weight, uint16_t* y, int64_t ldy);
bool has_bf16_product();
/// Whether the latter reads the weight once and in place, as fast as memory gives it: then it beats
/// product_few for any number of rows.
bool streams_weight(const Bf16Rows& x, const Weight& weight);

/// Rows [n, k] in the form `groups` (f32) or `pairs` (bf16), packed in parallel.
std::shared_ptr<void> pack_groups(const float* rows, int64_t n, int64_t k,
                                  const SourceRead& read = {});
std::shared_ptr<void> pack_pairs(const uint16_t* rows, int64_t n, int64_t k,
                                 const SourceRead& read = {});

/// While it lives, products that this thread begins are not divided: others are made beside them.
class UndividedProducts {
 public:
  explicit UndividedProducts(bool undivided);
  ~UndividedProducts();
  UndividedProducts(const UndividedProducts&) = delete;

 private:
  bool before_;
};
/// The threads that a product of this thread may be divided among.
int64_t product_threads();

/// This thread's scratch memory number `slot`, at least `bytes` long, aligned to 64. It stays until
/// the next call with the same slot.
enum class Scratch { x, panel, rows, tile, up, weight, kCount };
std::byte* scratch(Scratch slot, int64_t bytes);

}  // namespace tallow::cpu
