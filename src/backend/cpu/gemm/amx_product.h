// What the two ways of multiplying on AMX tiles share.
#pragma once

#include "backend/cpu/gemm/pair_panels.h"

namespace tallow::cpu {

/// Equal parts of k, multiples of 32 and none longer than `most`.
int64_t tile_step(int64_t k, int64_t most);

/// The widest unit of up to `most` panels that does not leave one thread with more columns than
/// another needs to have.
int64_t unit_width(std::span<const Weight> weights, int64_t most);

/// Up to 16 rows of x from m on as tiles [k / 32][16][32], zeros up to whole tiles.
void pack_tiles(const GemmKernels& kernels, const Bf16Rows& x, int64_t m, int rows, int64_t k0,
                int64_t k, uint16_t* target);

/// Whether product_strips turns the product around: the weight's rows are read in place.
bool turns(const Bf16Rows& x, const Weight& weight);

/// y = x w^T with one weight in rows or in pairs. y's type takes the bias: see product_bf16.
void product_strips(const GemmKernels& kernels, const Bf16Rows& x, const Weight& weight, float* y,
                    int64_t ldy);
void product_strips(const GemmKernels& kernels, const Bf16Rows& x, const Weight& weight,
                    uint16_t* y, int64_t ldy);

}  // namespace tallow::cpu
