// The vector kernels of reductions, running sums and normalizations: a table per instruction set,
// and its binding to the ops. All arrays are f32 unless said otherwise.
#pragma once

#include <cstdint>

namespace tallow::cpu {

/// Reductions of dense elements of one dtype, f32 or 16 bits.
struct FoldKernels {
  double (*sum)(const void* x, int64_t n);
  /// NaN where there is one.
  float (*max)(const void* x, int64_t n);
  float (*min)(const void* x, int64_t n);
  /// The first of n >= 1 elements that equals `value`, or is NaN where that is.
  int64_t (*find)(const void* x, int64_t n, float value);
  /// Adds `rows` rows, `stride` elements apart, to the totals [n].
  void (*add_rows)(const void* x, int64_t stride, int64_t rows, double* totals, int64_t n);
  /// The extremes of the columns of rows and of what stands in `top` [n].
  void (*max_rows)(const void* x, int64_t stride, int64_t rows, float* top, int64_t n);
  void (*min_rows)(const void* x, int64_t stride, int64_t rows, float* top, int64_t n);
};

struct ReduceKernels {
  FoldKernels f32, bf16, f16;
  /// As max_rows, with the index of the row (from `first` on) at which each extreme stands; -1 in
  /// `index` where there is none yet.
  void (*indexed_max_rows)(const float* x, int64_t stride, int64_t rows, int32_t first, float* top,
                           int32_t* index, int64_t n);
  void (*indexed_min_rows)(const float* x, int64_t stride, int64_t rows, int32_t first, float* top,
                           int32_t* index, int64_t n);
  /// Writes the indices of the elements above `limit`, or NaN, into `places`; returns how many.
  int64_t (*above)(const float* x, int64_t n, float limit, int32_t* places);
  /// The same for elements below.
  int64_t (*below)(const float* x, int64_t n, float limit, int32_t* places);
  /// y = the running sums of x, which begin at `carry`.
  void (*running_sum)(const float* x, float* y, int64_t n, double carry);
  /// y = totals += x.
  void (*running_row)(const float* x, float* y, double* totals, int64_t n);
};

struct SoftmaxKernels {
  /// Rows of x [rows, n]; `far` writes past the caches, by way of scratch [n].
  void (*rows)(const float* x, float* y, int64_t rows, int64_t n, bool logarithm, float* scratch);
  /// `width` neighbouring columns of x [n, stride]; `far` writes past the caches; scratch
  /// [2 * width].
  void (*columns)(const float* x, float* y, int64_t n, int64_t stride, int64_t width,
                  bool logarithm, bool far, float* scratch);
  /// log(sum(exp(x)))
  float (*log_sum_exp)(const float* x, int64_t n);
  /// As LogitLoops has them.
  void (*log_sum_exps)(const float* x, int64_t n, int64_t stride, int64_t width, float* result);
  void (*exp_scaled)(const float* x, float* y, int64_t n, int64_t stride, int64_t width,
                     const float* shifts, const float* scales);
  void (*rows_backward)(const float* g, const float* y, float* dx, int64_t rows, int64_t n,
                        bool logarithm);
};

struct NormKernels {
  /// weight and bias may be null.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float* y, float* means,
                     float* inverses, int64_t rows, int64_t n, double eps);
  /// Adds to dw and db [n].
  void (*layer_norm_backward)(const float* g, const float* x, const float* weight,
                              const float* means, const float* inverses, float* dx, float* dw,
                              float* db, int64_t rows, int64_t n);
  /// Adds the sums of x - shift and of its squares.
  void (*moments)(const float* x, int64_t n, float shift, double* sum, double* squares);
  /// y = (x - mean) scale + shift: as exact where x is far from 0.
  void (*scale)(const float* x, float* y, int64_t n, float mean, float scale, float shift);
  /// Adds the sums of g and of g (x - mean).
  void (*gradient_sums)(const float* g, const float* x, int64_t n, float mean, double* first,
                        double* second);
  /// dx = a g + b x + c
  void (*combine)(const float* g, const float* x, float* dx, int64_t n, float a, float b, float c);
};

namespace isa_portable {
extern const ReduceKernels reduce_kernels;
extern const SoftmaxKernels softmax_kernels;
extern const NormKernels norm_kernels;
}  // namespace isa_portable
namespace isa_avx2 {
extern const ReduceKernels reduce_kernels;
extern const SoftmaxKernels softmax_kernels;
extern const NormKernels norm_kernels;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const ReduceKernels reduce_kernels;
extern const SoftmaxKernels softmax_kernels;
extern const NormKernels norm_kernels;
}  // namespace isa_avx512

void bind_reduce();
void bind_norm();
void bind_order();

}  // namespace tallow::cpu
